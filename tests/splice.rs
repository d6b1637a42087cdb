//! Splice models through the command line: a miniature network, genes on both strands.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, genome, ok, rows, run, said, vcf, workspace};

/// How far two ways of computing the same may lie apart: the miniature's random weights amplify rounding.
const NEAR: f32 = 1e-4;
const CHANGES: [&str; 4] = ["acceptor_gain", "acceptor_loss", "donor_gain", "donor_loss"];

/// A store over the genome of the tests with the miniature as model `mini`, a table of two overlapping genes, and the
/// bases of `chr1`.
pub(crate) fn prepare(folder: &Path) -> (PathBuf, PathBuf, Vec<u8>) {
    let (fasta, store, genes) = (folder.join("genome.fa"), folder.join("store"), folder.join("genes.gtf"));
    let bases = genome(&fasta);
    let exon = |gene: &str, strand: &str, start: u32, end: u32| {
        format!("1\tx\texon\t{start}\t{end}\t.\t{strand}\t.\tgene_id \"{gene}\"; transcript_id \"{gene}\";\n")
    };
    let table = [
        exon("A", "+", 1001, 1100),
        exon("A", "+", 1201, 1500),
        exon("B", "-", 1301, 1400),
        exon("B", "-", 1601, 1700),
    ];
    fs::write(&genes, table.concat()).unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    let mini = workspace().join("ingest/tests/fixtures/splice");
    ok("model add {} mini --checkpoint {}", &[&store, &mini]);
    (store, genes, bases)
}

fn effects(store: &Path, track: &str) -> Vec<HashMap<String, String>> {
    rows(&ok(&format!("query {{}} --gene-effects --track {track} --format tsv"), &[store]))
}

fn number(row: &HashMap<String, String>, column: &str) -> f32 {
    row[column].parse().unwrap()
}

#[test]
fn every_variant_is_scored_in_every_gene_that_it_lies_in() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, bases) = prepare(folder.path());
    let told = said(
        "score {} --model mini --region chr1:1295-1304 --genes {} --distance 10 --track t --device cpu --quiet",
        &[&store, &genes],
    );
    assert!(told.contains("30 rows written"), "{told}");
    let found = effects(&store, "t");
    let at = |position: u32| -> Vec<&str> {
        let of = |row: &&HashMap<String, String>| row["position"] == position.to_string();
        let mut names: Vec<&str> = found.iter().filter(of).map(|row| row["gene"].as_str()).collect();
        names.dedup();
        names
    };
    assert_eq!((at(1300), at(1301)), (vec!["A"], vec!["A", "B", "A", "B", "A", "B"]));
    assert_eq!(found.len(), 6 * 3 + 4 * 3 * 2);
    let header = ok("query {} --gene-effects --track t --format tsv --limit 1", &[&store]);
    let columns =
        "contig\tposition\treference\talternate\tgene\tmodel\ttrack\tstatus\tacceptor_gain\tacceptor_loss";
    assert!(header.starts_with(columns), "{header}");
    // The score is the largest change over genes; probabilities explain each change.
    let scores = rows(&ok("query {} --track t --format tsv", &[&store]));
    for row in &scores {
        let same = |effect: &&HashMap<String, String>| {
            ["position", "alternate"].iter().all(|column| effect[*column] == row[*column])
        };
        let of_variant: Vec<_> = found.iter().filter(same).collect();
        let changes = of_variant.iter().flat_map(|effect| CHANGES.map(|change| number(effect, change)));
        assert_eq!(changes.fold(f32::MIN, f32::max), number(row, "splice_max"));
        for effect in of_variant {
            for (change, sign) in CHANGES.into_iter().zip([1.0, -1.0, 1.0, -1.0]) {
                let [before, after] =
                    ["ref", "alt"].map(|which| number(effect, &format!("{change}_{which}")));
                assert!((sign * (after - before) - number(effect, change)).abs() < 1e-6, "{effect:?}");
            }
        }
    }
    // Outside genes both strands are scored; a base of another letter is a row with a status.
    let variants = folder.path().join("v.vcf");
    let letter = |position: u32| char::from(bases[position as usize - 1]).to_string();
    let other = |position: u32| if letter(position) == "A" { "G" } else { "A" }.to_owned();
    vcf(
        &variants,
        &[
            ("chr1", 700, letter(700), other(700)),
            ("chr1", 800, letter(800), "N".to_owned()),
            ("chr1", 900, letter(900), letter(900) + &"AC".repeat(30)),
        ],
    );
    ok(
        "score {} --model mini --variants {} --distance 10 --track u --device cpu --quiet",
        &[&store, &variants],
    );
    let found = effects(&store, "u");
    let genes: Vec<_> = found.iter().map(|row| (row["gene"].as_str(), row["status"].as_str())).collect();
    assert_eq!(genes, [("+", "scored"), ("-", "scored"), ("", "non_acgt"), ("", "unsupported_allele")]);
    assert!(ok("verify {}", &[&store]).is_empty());
}

#[test]
fn a_score_depends_neither_on_its_neighbours_nor_on_interruptions() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let score = "score {} --genes {} --distance 10 --device cpu --threads 1 --quiet";
    ok(&format!("{score} --model mini --region chr1:1290-1320 --track t"), &[&store, &genes]);
    let other = folder.path().join("other");
    let mini = workspace().join("ingest/tests/fixtures/splice");
    ok("init {} --reference {}", &[&other, &folder.path().join("genome.fa")]);
    ok("model add {} mini --checkpoint {}", &[&other, &mini]);
    for region in ["chr1:1300-1301", "chr1:1310-1310", "chr1:1290-1320"] {
        ok(&format!("{score} --model mini --region {region} --track t"), &[&other, &genes]);
    }
    let (whole, parts) = (effects(&store, "t"), effects(&other, "t"));
    assert_eq!(whole.len(), parts.len());
    for (whole, part) in whole.iter().zip(&parts) {
        assert_eq!((&whole["position"], &whole["gene"]), (&part["position"], &part["gene"]));
        for change in CHANGES {
            assert!((number(whole, change) - number(part, change)).abs() < NEAR, "{whole:?} {part:?}");
        }
    }
}

#[test]
fn an_ablated_block_is_a_pruned_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let options = "--genes {} --distance 10 --region chr1:1290-1300 --device cpu --threads 1 --quiet";
    ok(&format!("score {{}} --model mini --track full {options}"), &[&store, &genes]);
    ok(&format!("ablate {{}} --model mini --track full {options}"), &[&store, &genes]);
    let ablated = rows(&ok("query {} --ablation --track full --format tsv", &[&store]));
    let full = rows(&ok("query {} --track full --format tsv", &[&store]));
    assert_eq!(ablated.len(), 4 * full.len());
    for block in 0..4 {
        ok(&format!("model add {{}} without{block} --from mini --drop-layers {block}"), &[&store]);
        let score = format!("score {{}} --model without{block} --track without{block} {options}");
        ok(&score, &[&store, &genes]);
        let pruned = rows(&ok(&format!("query {{}} --track without{block} --format tsv"), &[&store]));
        let changes = ablated.iter().filter(|row| row["layer"] == block.to_string());
        for ((full, pruned), change) in full.iter().zip(&pruned).zip(changes) {
            let expected = number(pruned, "splice_max") - number(full, "splice_max");
            assert!((number(change, "splice_max") - expected).abs() < NEAR, "{change:?}");
        }
    }
}

#[test]
fn what_splice_models_do_not_take_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let score = "score {} --model mini --region chr1:1300 --device cpu";
    let valid = " --distance 10";
    for (options, part) in [
        ("--window 600", "--distance"),
        ("--strands both", "leave out --strands"),
        ("--dtype bf16", "float32"),
        ("--embeddings pooled", "no embeddings"),
        ("--score llr", "unknown score kind `llr`"),
        ("--distance 24", "1 to 23"),
        ("--distance 0", "1 to 23"),
        ("--mask", "--genes"),
    ] {
        let code = if options.starts_with("--window") { 1 } else { 2 };
        let distance = if options.contains("--distance") { "" } else { valid };
        let error = fails(code, &format!("{score} {options}{distance}"), &[&store]);
        assert!(error.contains(part), "{options}: {error}");
    }
    let small = folder.path().join("model");
    crate::programs::checkpoint(&small, "dnabert2", "--layers 1");
    ok("model add {} small --checkpoint {}", &[&store, &small]);
    let error = fails(2, "score {} --model small --region chr1:1300 --genes {}", &[&store, &genes]);
    assert!(error.contains("for splice models"), "{error}");
    // Other options, other tracks.
    let options = ["", " --distance 5", " --convention cispliceai", " --genes {}", " --genes {} --mask"];
    for options in options {
        let paths: &[&Path] = if options.contains("{}") { &[&store, &genes] } else { &[&store] };
        ok(
            &format!("{score} --quiet --distance 10{options}")
                .replace("--distance 10 --distance 5", "--distance 5"),
            paths,
        );
    }
    assert_eq!(ok("track list {} --format json", &[&store]).matches("\"recipe\"").count(), 5);
}

#[test]
fn a_kept_gene_table_goes_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let score = "score {} --model mini --region chr1:1295-1304 --distance 10 --track t --device cpu";
    let told = said(&format!("{score} --genes {{}}"), &[&store, &genes]);
    assert!(told.contains("vestore genes add"), "{told}");
    let told = said("verify {} --rescore 5", &[&store]);
    assert!(told.contains("track t: not rescored") && told.contains("0 rows rescored"), "{told}");
    let told = fails(1, &format!("ablate {}", &score[5..]), &[&store]);
    assert!(told.contains("the store does not keep"), "{told}");
    let told = said("genes add {} {}", &[&store, &genes]);
    assert!(told.contains("genes.gtf: 2 genes") && told.contains("the store keeps it"), "{told}");
    let told = said("genes add {} {}", &[&store, &genes]);
    assert!(told.contains("already in the store"), "{told}");
    let info = ok("info {}", &[&store]);
    let line = info.lines().find(|line| line.starts_with("genes")).unwrap();
    assert!(line.contains("genes.gtf: 2 genes"), "{info}");
    let digest = line.rsplit(' ').next().unwrap();
    // By name, by digest, by that of the track; no file is needed any more, wherever the store lies.
    fs::remove_file(&genes).unwrap();
    let moved = folder.path().join("moved");
    fs::rename(&store, &moved).unwrap();
    for genes in ["--genes genes.gtf".to_owned(), format!("--genes {digest}"), String::new()] {
        let told = said(&format!("{score} {genes}"), &[&moved]);
        assert!(told.contains("the model was not run"), "{genes}: {told}");
    }
    let told = said("verify {} --rescore 5", &[&moved]);
    assert!(told.contains("5 rows rescored, 0 values differ"), "{told}");
    ok(&format!("ablate {} --quiet", &score[5..]), &[&moved]);
    let told = fails(1, &format!("{score} --genes other.gtf"), &[&moved]);
    assert!(told.contains("unknown gene table `other.gtf`") && told.contains("`genes.gtf`"), "{told}");
    // Damage is found, and mended by adding the table again.
    let files = fs::read_dir(moved.join("genes")).unwrap().map(|entry| entry.unwrap().path());
    let kept = files.into_iter().find(|path| !path.to_string_lossy().ends_with(".names.tsv")).unwrap();
    let whole = fs::read(&kept).unwrap();
    fs::write(&kept, String::from_utf8(whole.clone()).unwrap().replace("1300", "1299")).unwrap();
    let verified = run("verify {}", &[&moved]);
    let found = String::from_utf8(verified.stdout).unwrap();
    assert!(found.contains("checksum") && found.contains("gene table `genes.gtf`"), "{found}");
    assert!(fails(1, score, &[&moved]).contains("is damaged"));
    let again = folder.path().join("again");
    fs::create_dir(&again).unwrap();
    prepare(&again);
    said("genes add {} {}", &[&moved, &again.join("genes.gtf")]);
    assert_eq!(fs::read(&kept).unwrap(), whole);
    assert!(ok("verify {}", &[&moved]).is_empty());
}

#[test]
fn a_gene_table_of_another_assembly_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let exon = |start: u32, end: u32| {
        format!("1\tx\texon\t{start}\t{end}\t.\t+\t.\tgene_id \"{start}\"; transcript_id \"T\";\n")
    };
    fs::write(&genes, exon(5901, 6001) + &exon(1, 9)).unwrap();
    let told = said("genes add {} {}", &[&store, &genes]);
    assert!(told.contains("1 gene, such as `5901` at chr1:5901-6001, and chr1 has 6,000 bases"), "{told}");
    fs::write(&genes, exon(6001, 6002)).unwrap();
    assert!(fails(1, "genes add {} {}", &[&store, &genes]).contains("every gene begins beyond"));
    fs::write(&genes, exon(1, 9).replace("1\tx", "7\tx")).unwrap();
    assert!(fails(1, "genes add {} {}", &[&store, &genes]).contains("no record is on a contig"));
}

#[test]
fn networks_of_an_ensemble_can_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(folder.path());
    let mini = workspace().join("ingest/tests/fixtures/splice");
    let told = said("model add {} first --from mini --keep-networks 0", &[&store]);
    assert!(told.contains("4 of 4 layers, 1 of 2 networks"), "{told}");
    said("model add {} second --checkpoint {} --keep-networks 1 --keep-layers 0-2", &[&store, &mini]);
    let shown = ok("model show {} second --format json", &[&store]);
    assert!(shown.replace([' ', '\n'], "").contains("\"kept_networks\":[1]"), "{shown}");
    // The same whichever way it came about.
    let told = fails(1, "model add {} other --checkpoint {} --keep-networks 0", &[&store, &mini]);
    assert!(told.contains("`first`"), "{told}");
    let options = "--genes {} --distance 10 --region chr1:1300-1301 --device cpu --threads 1 --quiet";
    for model in ["mini", "first"] {
        ok(&format!("score {{}} --model {model} --track {model} {options}"), &[&store, &genes]);
    }
    assert_ne!(effects(&store, "mini")[0]["acceptor_gain"], effects(&store, "first")[0]["acceptor_gain"]);
    let add = "model add {} x --keep-networks";
    for (rest, code, part) in [
        ("0 --from second", 1, "expected some of [1]"),
        ("0,2 --from mini", 1, "unknown network 2"),
        ("0-9000000 --from mini", 2, "invalid list of networks"),
        ("x --from mini", 2, "invalid list of networks"),
        ("0 --from small", 2, "for splice models"),
    ] {
        if rest.ends_with("small") {
            crate::programs::checkpoint(&folder.path().join("small"), "dnabert2", "--layers 1");
            ok("model add {} small --checkpoint {}", &[&store, &folder.path().join("small")]);
        }
        let told = fails(code, &format!("{add} {rest}"), &[&store]);
        assert!(told.contains(part), "{rest}: {told}");
    }
}

#[test]
fn a_weight_that_no_network_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = prepare(folder.path());
    let (mini, other) = (workspace().join("ingest/tests/fixtures/splice"), folder.path().join("other"));
    fs::create_dir(&other).unwrap();
    fs::copy(mini.join("config.json"), other.join("config.json")).unwrap();
    let bytes = fs::read(mini.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (header, data) = bytes[8..].split_at(length);
    for (name, refused) in
        [("models.2.stem.bias", true), ("models.0.blocks.0.norm1.num_batches_tracked", false)]
    {
        let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
        let offsets = [data.len(), data.len() + 4];
        header[name] = serde_json::json!({ "dtype": "F32", "shape": [1], "data_offsets": offsets });
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        let file = [&length[..], header.as_bytes(), data, &[0; 4]].concat();
        fs::write(other.join("model.safetensors"), file).unwrap();
        let output = run("model add {} other --checkpoint {}", &[&store, &other]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.contains(&format!("no place for, first `{name}`")), refused, "{told}");
        // Without it, the model is that of the store.
        assert!(!output.status.success() && (refused || told.contains("in the store as `mini`")), "{told}");
    }
}

#[test]
fn gene_effects_are_explained_with_whole_positions() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genes, bases) = prepare(folder.path());
    let options = "--genes {} --distance 10 --region chr1:1301 --device cpu --track t --quiet";
    ok(&format!("score {{}} --model mini {options}"), &[&store, &genes]);
    let reference = char::from(bases[1300]);
    let alternate = if reference == 'A' { 'C' } else { 'A' };
    let told = ok(&format!("explain {{}} chr1-1301-{reference}-{alternate} --track t"), &[&store]);
    for gene in ["gene      A\n", "gene      B\n"] {
        let rest = &told[told.find(gene).unwrap() + gene.len()..];
        let gain: Vec<&str> = rest.lines().next().unwrap().split_whitespace().collect();
        let [name, value, "at", position, before, "to", after] = gain[..] else { panic!("{gain:?}") };
        let [value, before, after] =
            [value.trim_end_matches(','), before, after].map(|text| text.parse::<f32>().unwrap());
        assert!(name == "acceptor_gain" && (after - before - value).abs() < 1e-6, "{gain:?}");
        assert!(position.trim_end_matches(',').parse::<i32>().is_ok_and(|at| at.abs() <= 10), "{gain:?}");
    }
    let table = ok("query {} --gene-effects --track t", &[&store]);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let mut found = 0;
    for line in table.lines().skip(1) {
        for (name, cell) in header.iter().zip(line.split_whitespace()) {
            if name.ends_with("_position") {
                assert!(cell == "-" || cell.parse::<i32>().is_ok(), "{name}: {cell}");
                found += 1;
            }
        }
    }
    assert_eq!(found, 3 * 2 * 4);
}
