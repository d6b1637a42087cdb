//! Regulatory models through the command line: a miniature Borzoi with a table of five targets.

mod embeddings;
mod genes;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use vestore::Store;

use crate::programs::{checkpoint, command, fails, genome, ok, rows, said, vcf};

const TABLE: &str = "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription
0\tA+\t/a\t1\t0.3\t0.5\tsum\t1\tCAGE:liver
1\tA-\t/a\t1\t0.3\t0.5\tsum\t0\tCAGE:liver
2\tB\t/b\t1\t32\t2\tmean\t2\tATAC:brain
3\tC+\t/c\t1\t0.2\t0.3\tsum_sqrt\t4\tRNA:liver
4\tC-\t/c\t1\t0.2\t0.3\tsum_sqrt\t3\tRNA:liver
";
const MINIATURE: &str =
    "--layers 2 --hidden 24 --heads 2 --intermediate 40 --widths 7,8,9,10,11,12 --targets 5,3 --bins 16";
/// What every run of the miniature has.
pub(crate) const SCORE: &str = "score {} --window 2048 --device cpu --threads 1 --quiet";

/// A store over the genome of the tests with the miniature as model `mini`, and the bases of `chr1`.
pub(crate) fn prepare(folder: &Path) -> (PathBuf, Vec<u8>) {
    let (fasta, store, model) = (folder.join("genome.fa"), folder.join("store"), folder.join("model"));
    let bases = genome(&fasta);
    checkpoint(&model, "borzoi", MINIATURE);
    fs::write(model.join("targets.txt"), TABLE).unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("model add {} mini --checkpoint {}", &[&store, &model]);
    (store, bases)
}

fn effects(store: &Path, track: &str) -> Vec<HashMap<String, String>> {
    rows(&ok(&format!("query {{}} --effects --track {track} --format tsv"), &[store]))
}

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-4 * left.abs().max(right.abs()).max(0.01)
}

#[test]
fn strands_of_an_experiment_are_merged_and_targets_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let kinds = "--model mini --score sum,log-sum,d2,sax,ref --region chr1:2500-2501";
    ok(&format!("{SCORE} {kinds} --strand-pairs keep --track keep"), &[&store]);
    ok(&format!("{SCORE} {kinds} --track merge"), &[&store]);
    let (kept, merged) = (effects(&store, "keep"), effects(&store, "merge"));
    assert_eq!((kept.len(), merged.len()), (6 * 5, 6 * 3));
    for (kept, merged) in kept.chunks(5).zip(merged.chunks(3)) {
        let names: Vec<&str> = merged.iter().map(|row| row["target"].as_str()).collect();
        assert_eq!(names, ["A+", "B", "C+"]);
        for (row, strands) in merged.iter().zip([&kept[0..2], &kept[2..3], &kept[3..5]]) {
            for column in ["sum", "log_sum", "sax", "ref"] {
                let sum: f64 = strands.iter().map(|strand| number(strand, column)).sum();
                assert!(near(number(row, column), sum), "{column}: {row:?} {strands:?}");
            }
            let squares: f64 = strands.iter().map(|strand| number(strand, "d2").powi(2)).sum();
            assert!(near(number(row, "d2"), squares.sqrt()), "{row:?} {strands:?}");
        }
    }
    // The score is the largest effect.
    let scores = rows(&ok("query {} --track merge --format tsv", &[&store]));
    assert!(!scores[0].contains_key("ref_max_abs"));
    for (score, effects) in scores.iter().zip(merged.chunks(3)) {
        for column in ["sum", "d2", "sax"] {
            let largest = effects.iter().map(|row| number(row, column).abs()).fold(0.0, f64::max);
            assert!(near(number(score, &format!("{column}_max_abs")), largest), "{score:?}");
        }
    }
    // Chosen targets have the numbers that they have among all; either strand and the description name them.
    for (pattern, names) in [("A-", vec!["A+"]), ("*liver", vec!["A+", "C+"]), ("?", vec!["B"])] {
        let track = format!("t{}", names.len() + names[0].len());
        ok(&format!("{SCORE} {kinds} --target {pattern} --track {track}"), &[&store]);
        let chosen = effects(&store, &track);
        let expected: Vec<_> = merged.iter().filter(|row| names.contains(&row["target"].as_str())).collect();
        assert_eq!(chosen.len(), expected.len());
        for (row, expected) in chosen.iter().zip(expected) {
            assert_eq!(row["target"], expected["target"]);
            // A product of fewer rows rounds otherwise.
            let difference = number(row, "sum") - number(expected, "sum");
            assert!(difference.abs() < 1e-5 * number(row, "ref").max(1.0), "{row:?} {expected:?}");
        }
    }
    assert!(ok("verify {} --rescore 100 --quiet", &[&store]).is_empty());
}

#[test]
fn a_shared_window_is_the_window_of_the_variant_in_its_middle() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let dry = format!("{SCORE} --model mini --region chr1:2300-2559 --dry-run");
    let forwards = |options: &str| -> u64 {
        let told = said(&format!("{dry} {options}"), &[&store]);
        assert!(told.contains("bases") && !told.contains("token"), "{told}");
        let bases = told.split(", ").find(|part| part.contains("bases")).unwrap();
        bases.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    // Three alternates and a reference for each site, against seven and one.
    let (alone, shared) = (forwards(""), forwards("--share 512"));
    assert!(alone * 20 > shared * 23, "{alone} {shared}");
    ok(&format!("{SCORE} --model mini --region chr1:2550-2570 --share 512 --track shared"), &[&store]);
    // Their own windows start at a multiple of 512: 2560 + 1 - 1024 = 1537, 0-based 1536.
    ok(&format!("{SCORE} --model mini --region chr1:2560 --track own"), &[&store]);
    let of_site = |rows: Vec<HashMap<String, String>>| -> Vec<(String, String, String)> {
        let at = rows.into_iter().filter(|row| row["position"] == "2560");
        at.map(|row| (row["alternate"].clone(), row["target"].clone(), row["log_sum"].clone())).collect()
    };
    let own = of_site(effects(&store, "own"));
    assert_eq!(own.len(), 9);
    assert_eq!(of_site(effects(&store, "shared")), own);
    let told = ok("explain {} 1-2550-A-C --track shared", &[&store]);
    assert!(told.contains("the variant at its base 1014") || told.contains("no row"), "{told}");
}

#[test]
fn windows_that_leave_the_contig_are_filled_with_n() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = prepare(folder.path());
    // The same contig between bases N.
    let (fasta, other) = (folder.path().join("padded.fa"), folder.path().join("other"));
    let n = "N".repeat(3000);
    fs::write(&fasta, format!(">chr1\n{n}{}{n}\n", String::from_utf8(bases).unwrap())).unwrap();
    ok("init {} --reference {}", &[&other, &fasta]);
    ok("model add {} mini --checkpoint {}", &[&other, &folder.path().join("model")]);
    for (region, padded) in [("chr1:3-3", "chr1:3003-3003"), ("chr1:5999-5999", "chr1:8999-8999")] {
        ok(&format!("{SCORE} --model mini --region {region} --track t"), &[&store]);
        ok(&format!("{SCORE} --model mini --region {padded} --track t"), &[&other]);
    }
    let values = |store: &Path| -> Vec<String> {
        effects(store, "t").into_iter().map(|row| row["log_sum"].clone()).collect()
    };
    let found = values(&store);
    assert_eq!(found.len(), 2 * 3 * 3);
    assert!(found.iter().all(|value| !value.is_empty()) && found == values(&other));
    let told = ok("explain {} 1-3-A-C --track t", &[&store]);
    assert!(told.contains("chr1:1-1027") && told.contains("1021 N beyond the contig"), "{told}");
}

#[test]
fn indels_are_compensated_unless_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = prepare(folder.path());
    let variants = folder.path().join("v.vcf");
    let text = |from: usize, to: usize| String::from_utf8(bases[from - 1..to].to_vec()).unwrap();
    let (anchor, deleted) = (text(2400, 2400), text(2400, 2404));
    let other = |base: &str| if base == "A" { "C" } else { "A" }.to_owned();
    let inserted = format!("{}{}GT", text(2500, 2500), other(&text(2501, 2501)));
    let long = format!("{}{}", text(2700, 2700), "ACGTA".repeat(300));
    let last = text(2600, 2600);
    vcf(
        &variants,
        &[
            ("chr1", 2400, deleted, anchor),
            ("chr1", 2500, text(2500, 2500), inserted),
            ("chr1", 2600, last.clone(), other(&last)),
            ("chr1", 2700, text(2700, 2700), long),
        ],
    );
    let mut found = HashMap::new();
    for indels in ["compensate", "stitch", "plain"] {
        let score = format!("{SCORE} --model mini --variants {{}} --score sum,js --indels {indels}");
        ok(&format!("{score} --track {indels}"), &[&store, &variants]);
        found.insert(indels, effects(&store, indels));
    }
    let [compensated, stitched, plain] = ["compensate", "stitch", "plain"].map(|indels| &found[indels]);
    for ((compensated, stitched), plain) in compensated.iter().zip(stitched).zip(plain) {
        if plain["status"] != "scored" {
            assert_eq!((&*plain["position"], &*plain["status"]), ("2700", "unsupported_allele"));
            continue;
        }
        let sums = [compensated, stitched, plain].map(|row| number(row, "sum"));
        let indel = plain["reference"].len() != plain["alternate"].len();
        assert_eq!(sums[0] != sums[2] && sums[1] != sums[2], indel, "{plain:?} {sums:?}");
        // Two predictions have no divergence; one has.
        assert_eq!(compensated["js"].is_empty(), indel, "{compensated:?}");
        assert!(!stitched["js"].is_empty() && !plain["js"].is_empty());
    }
    assert_eq!(plain.iter().filter(|row| row["status"] == "scored").count(), 9);
    // Where no effect is defined, the values of the windows still are.
    ok(
        &format!("{SCORE} --model mini --variants {{}} --score js,ref,alt --track values"),
        &[&store, &variants],
    );
    for row in effects(&store, "values").iter().filter(|row| row["position"] != "2700") {
        assert_eq!(row["status"], "scored", "{row:?}");
        assert!(!row["ref"].is_empty() && !row["alt"].is_empty(), "{row:?}");
    }
    let error = fails(
        1,
        &format!("{SCORE} --model mini --variants {{}} --score js,ref --shifts=-1,1"),
        &[&store, &variants],
    );
    assert!(error.contains("`js` is not defined for several shifts"), "{error}");
}

#[test]
fn a_run_in_parts_or_killed_ends_with_the_same_effects() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    crate::kill::copy(&store, &whole);
    crate::kill::copy(&store, &parts);
    let words = |region: &str| format!("{SCORE} --model mini {region} --shifts=-1,1 --share 64 --track t");
    let all = words("--region chr1:2300-2330 --region HLA-A*01:01:400-430");
    ok(&all, &[&whole]);
    ok(&words("--region chr1:2311-2320"), &[&parts]);
    ok(&all, &[&parts]);
    let stored = || -> u64 {
        Store::open(&store).unwrap().all_segments().unwrap().iter().map(|segment| segment.rows).sum()
    };
    for _ in 0..2 {
        let before = stored();
        let mut child = command(&all, &[&store]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while stored() == before && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ok(&all, &[&store]);
    for table in ["--effects", ""] {
        let query = format!("query {{}} --track t {table} --format tsv");
        let wanted = ok(&query, &[&whole]);
        assert!(wanted.lines().count() > 186 && ok(&query, &[&store]) == wanted, "{table}, killed");
        assert!(ok(&query, &[&parts]) == wanted, "{table}, in parts");
    }
    assert!(ok("verify {} --quiet", &[&store]).is_empty());
}

#[test]
fn an_ablated_block_is_a_pruned_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let options = "--region chr1:2400-2402 --score log-sum,d1";
    ok(&format!("{SCORE} {options} --model mini --track full"), &[&store]);
    ok(&format!("{SCORE} {options} --model mini --track full").replacen("score", "ablate", 1), &[&store]);
    let ablated = rows(&ok("query {} --ablation --track full --format tsv", &[&store]));
    let full = rows(&ok("query {} --track full --format tsv", &[&store]));
    assert_eq!((full.len(), ablated.len()), (9, 18));
    for block in 0..2 {
        ok(&format!("model add {{}} without{block} --from mini --drop-layers {block}"), &[&store]);
        ok(&format!("{SCORE} {options} --model without{block} --track without{block}"), &[&store]);
        let pruned = rows(&ok(&format!("query {{}} --track without{block} --format tsv"), &[&store]));
        let changes = ablated.iter().filter(|row| row["layer"] == block.to_string());
        for ((full, pruned), change) in full.iter().zip(&pruned).zip(changes) {
            for column in ["log_sum_max_abs", "d1_max_abs"] {
                let expected = number(pruned, column) - number(full, column);
                assert!((number(change, column) - expected).abs() < 1e-4, "{change:?} {expected}");
            }
        }
    }
    let part =
        format!("{SCORE} {options} --model mini --track a --part attention").replacen("score", "ablate", 1);
    ok(&part, &[&store]);
    let error = fails(2, &part.replace("attention", "tower"), &[&store]);
    assert!(error.contains("unknown part `tower`"), "{error}");
}

#[test]
fn a_table_of_targets_is_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let model = folder.path().join("model");
    let shown = ok("model show {} mini", &[&store]);
    assert!(
        shown.contains("borzoi") && shown.contains("human, 5 targets") && shown.contains("16 in the middle")
    );
    // Another table, another model; a malformed or a foreign one is refused.
    let table = folder.path().join("other.txt");
    fs::write(&table, TABLE.replace("\t0.5\t", "\t0.25\t")).unwrap();
    ok("model add {} scaled --checkpoint {} --targets {}", &[&store, &model, &table]);
    fs::write(&table, TABLE.replace("0.2\t0.3\tsum_sqrt\t4", "0.2\tmany\tsum_sqrt\t4")).unwrap();
    let error = fails(1, "model add {} bad --checkpoint {} --targets {}", &[&store, &model, &table]);
    assert!(error.contains("line 5: invalid scale `many`"), "{error}");
    fs::write(&table, TABLE.lines().take(4).map(|line| line.to_owned() + "\n").collect::<String>()).unwrap();
    let error = fails(1, "model add {} bad --checkpoint {} --targets {}", &[&store, &model, &table]);
    assert!(error.contains("lists 3 targets, and the human head has 5"), "{error}");
    // The mouse head has a table of its own, or none.
    ok("model add {} mouse --checkpoint {} --head mouse", &[&store, &model]);
    ok(&format!("{SCORE} --model mouse --strands forward --region chr1:2500 --track mouse"), &[&store]);
    let names: Vec<String> = effects(&store, "mouse").into_iter().map(|row| row["target"].clone()).collect();
    assert_eq!(names[..3], ["0", "1", "2"]);
    for (options, part) in [
        ("", "--strands forward, or add the model with --targets"),
        ("--strands forward --untransform old", "needs the table of targets"),
        ("--strands forward --strand-pairs merge", "needs the table of targets"),
    ] {
        let error = fails(2, &format!("{SCORE} --model mouse --region chr1:2500 {options}"), &[&store]);
        assert!(error.contains(part), "{options}: {error}");
    }
    // A copy has its table; without one, the file that was added must stay as it was.
    let copying = folder.path().join("copying");
    ok("init {} --reference {}", &[&copying, &folder.path().join("genome.fa")]);
    ok("model add {} mini --checkpoint {} --copy", &[&copying, &model]);
    fs::write(model.join("targets.txt"), TABLE.replace("\t0.5\t", "\t0.25\t")).unwrap();
    let moved = folder.path().join("moved");
    fs::rename(&copying, &moved).unwrap();
    ok(&format!("{SCORE} --model mini --region chr1:2500 --track t"), &[&moved]);
    ok("model add {} pruned --from mini --drop-layers 1", &[&moved]);
    ok(&format!("{SCORE} --model pruned --region chr1:2500 --track u"), &[&moved]);
    let error = fails(1, &format!("{SCORE} --model mini --region chr1:2500 --track t"), &[&store]);
    assert!(error.contains("has changed since it was added"), "{error}");
}

#[test]
fn what_regulatory_models_do_not_take_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let enformer = folder.path().join("enformer");
    checkpoint(&enformer, "enformer", MINIATURE);
    ok("model add {} enformer --checkpoint {}", &[&store, &enformer]);
    let score = "score {} --region chr1:2500 --device cpu";
    for (options, part) in [
        ("--model mini --window 2048 --score sad", "unknown score kind `sad`"),
        ("--model enformer --window 2048 --score sum", "unknown score kind `sum`"),
        ("--model mini --window 2048 --score ref", "accompanies effects"),
        ("--model enformer --window 2048 --score gene-sed", "unknown score kind `gene-sed`"),
        ("--model mini --window 2048 --shifts=0,0", "invalid shifts `0,0`"),
        ("--model mini --window 2048 --shifts=2000", "less than half of the window"),
        ("--model mini --window 2048 --share 1025", "expected 1 to 1024"),
        ("--model mini --window 2048 --target nothing", "no target matches `nothing`"),
        ("--model enformer --window 2048 --indels plain", "for Borzoi and Flashzoi"),
        ("--model mini --window 2048 --distance 10", "splice models"),
    ] {
        let error = fails(2, &format!("{score} {options}"), &[&store]);
        assert!(error.contains(part), "{options}: {error}");
    }
    let error = fails(1, &format!("{score} --model mini --window 2100"), &[&store]);
    assert!(error.contains("expected a multiple of 128; use 2048"), "{error}");
    let small = folder.path().join("small");
    checkpoint(&small, "dnabert2", "--layers 1");
    ok("model add {} small --checkpoint {}", &[&store, &small]);
    let error = fails(2, &format!("{score} --model small --shifts=1"), &[&store]);
    assert!(error.contains("for regulatory models"), "{error}");
    let error = fails(2, "model add {} head --checkpoint {} --head mouse", &[&store, &small]);
    assert!(error.contains("for regulatory models"), "{error}");
    // Other options, other tracks, named after them.
    let track = format!("{SCORE} --region chr1:2500 --model");
    for options in [
        "mini",
        "mini --shifts=-1,1",
        "mini --indels stitch",
        "mini --untransform new",
        "mini --bins all",
        "mini --strand-pairs keep",
        "mini --target B",
        "mini --share 64",
        "mini --dtype bf16",
        "enformer",
        "enformer --shifts=0,1 --strands forward",
    ] {
        ok(&format!("{track} {options}"), &[&store]);
    }
    let listed = ok("track list {}", &[&store]);
    for name in [
        "mini.log-sum.w2048 ",
        "mini.log-sum.w2048.s-1+1 ",
        ".stitch ",
        ".u-new ",
        ".all-bins ",
        ".keep ",
        ".share64 ",
        "enformer.sad.w2048 ",
    ] {
        assert!(listed.contains(name), "{name}: {listed}");
    }
}

#[test]
fn forests_learn_from_the_effects_on_all_targets() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    ok(&format!("{SCORE} --model mini --region chr1:2500-2519 --score log-sum,d2 --track t"), &[&store]);
    // Whether the effect on one of the targets is above 0.
    let labels = folder.path().join("labels.csv");
    let mut table = vec!["CHROM,POS,REF,ALT,label".to_owned()];
    for row in effects(&store, "t").iter().filter(|row| row["target"] == "B") {
        let label = u8::from(number(row, "log_sum") > 0.0);
        table.push(format!("chr1,{},{},{},{label}", row["position"], row["reference"], row["alternate"]));
    }
    fs::write(&labels, table.join("\n")).unwrap();
    let words = "evaluate {} --labels {} --track t --probe forest --features effects --folds 5 --format tsv";
    let found = rows(&ok(words, &[&store, &labels]));
    let forest =
        |row: &&HashMap<String, String>| row["track"] == "t:log_sum:forest" && row["metric"] == "auroc";
    let row = found.iter().find(forest).unwrap();
    assert!(number(row, "estimate") > 0.8 && row["n"] == "60", "{row:?}");
}
