//! Splice models through the command line: a miniature network, genes on both strands.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, genome, ok, rows, said, vcf, workspace};

/// How far two ways of computing the same may lie apart: the miniature's random weights amplify rounding.
const NEAR: f32 = 1e-4;
const CHANGES: [&str; 4] = ["acceptor_gain", "acceptor_loss", "donor_gain", "donor_loss"];

/// A store over the genome of the tests with the miniature as model `mini`, a table of two overlapping genes, and the
/// bases of `chr1`.
fn prepare(folder: &Path) -> (PathBuf, PathBuf, Vec<u8>) {
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
