//! `vestore fidelity`: figures as `SciPy` and scikit-learn compute them, the verdict, and how it stays with the track.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::programs::{fails, ok, run, said};

/// What sums in another order may differ by.
const TOLERANCE: f64 = 1e-9;

/// Of both tracks: the track, then its reference.
const AUROC: [f64; 2] = [0.709_168_638_702_584_2, 0.710_045_326_172_697_1];
const AUPRC: [f64; 2] = [0.610_722_657_124_289_4, 0.610_121_996_965_304_4];

/// Variants of the tables.
const ROWS: i64 = 1500;

/// Scores of variant `i` in tenths (with many ties) and thousandths, and its label.
fn scores(i: i64) -> (i64, i64, i64) {
    let exact = ((i * i * 7919 + i * 104_729) % 601 - 300).div_euclid(10);
    let noise = ((i * 7561) % 1009 - 504) * (1 + i64::from(i % 7 == 0));
    (exact, exact * 100 + noise.div_euclid(4), i64::from((i * 31) % 97 < 40 - exact))
}

/// A store with the tracks `exact` and `fast`, and labels of two of three variants.
fn imported(folder: &Path) -> (PathBuf, PathBuf) {
    let [fasta, exact, fast, labels, store] =
        ["x.fa", "exact.tsv", "fast.tsv", "labels.tsv", "store"].map(|name| folder.join(name));
    fs::write(&fasta, format!(">chr1\n{}\n", "A".repeat(2000))).unwrap();
    let header = "contig\tposition\treference\talternate\t";
    let mut texts = ["llr", "llr", "label"].map(|column| format!("{header}{column}\n"));
    for i in 0..ROWS {
        let (in_exact, in_fast, label) = scores(i);
        let place = format!("chr1\t{}\tA\tC\t", i + 1);
        writeln!(texts[0], "{place}{:.1}", in_exact as f64 / 10.0).unwrap();
        writeln!(texts[1], "{place}{:.3}", in_fast as f64 / 1000.0).unwrap();
        if i % 3 != 0 {
            writeln!(texts[2], "{place}{label}").unwrap();
        }
    }
    // A row that one track alone has.
    texts[1] += "chr1\t1600\tA\tC\t9\n";
    for (path, text) in [&exact, &fast, &labels].into_iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("import {} --track exact {}", &[&store, &exact]);
    ok("import {} --track fast {}", &[&store, &fast]);
    (store, labels)
}

fn listed(store: &Path, track: &str) -> Value {
    let tracks: Value = serde_json::from_str(&ok("track list {} --format json", &[store])).unwrap();
    let found = tracks.as_array().unwrap().iter().find(|listed| listed["name"] == track);
    found.unwrap().clone()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < TOLERANCE, "{found} is not {expected}");
}

/// Expected values: `scipy.stats.spearmanr`, `numpy.percentile`, `numpy.std` (`SciPy` 1.17, `NumPy` 2), and
/// `roc_auc_score` and `average_precision_score` of scikit-learn 1.9, over float32 scores.
#[test]
fn figures_equal_those_of_scipy_and_scikit_learn() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = imported(folder.path());
    assert!(!ok("track list {}", &[&store]).contains("fidelity"));
    assert!(listed(&store, "fast").get("fidelity").is_none());

    let words = "fidelity {} fast exact --labels {} --format json";
    let found: Value = serde_json::from_str(&ok(words, &[&store, &labels])).unwrap();
    assert_eq!([&found["track"], &found["reference"], &found["labels"]], ["fast", "exact", "labels.tsv"]);
    assert_eq!([&found["in_both"], &found["only_track"], &found["only_reference"]], [ROWS, 1, 0]);
    let llr = &found["columns"][0];
    assert_eq!((&llr["column"], &llr["compared"]), (&"llr".into(), &ROWS.into()));
    close(&llr["spearman"], 0.998_695_284_323_831_7);
    close(&llr["largest_difference"], 0.252_000_093_460_083);
    close(&llr["percentile_99_9_difference"], 0.249_002_005_413_175_05);
    close(&llr["standard_deviation"], 1.750_943_712_331_774_3);
    close(&llr["top_1_percent_overlap"], 15.0 / 41.0);
    assert_eq!(llr["sign_changes"], 9);
    close(&llr["sign_change_fraction"], 9.0 / 1500.0);
    let labelled = &llr["labelled"];
    assert_eq!((&labelled["rows"], &labelled["positives"]), (&1000.into(), &427.into()));
    assert_eq!(labelled["negated"], true);
    for (metric, [track, reference]) in [("auroc", AUROC), ("auprc", AUPRC)] {
        let figure = &labelled[metric];
        close(&figure["track"], track);
        close(&figure["reference"], reference);
        close(&figure["difference"], track - reference);
        let bound = |name: &str| figure[name].as_f64().unwrap();
        assert!(bound("low") < track - reference && track - reference < bound("high"), "{figure}");
    }
    assert_eq!([&llr["verdict"], &found["verdict"]], ["different", "different"]);

    // `evaluate` tells the same of the same labels.
    let words = "evaluate {} --labels {} --track exact:-llr --track fast:-llr --metric auroc --format json";
    let evaluated: Value = serde_json::from_str(&ok(words, &[&store, &labels])).unwrap();
    let row = evaluated.as_array().unwrap().iter().find(|row| row["versus"] == "exact:-llr").unwrap();
    for (theirs, ours) in [("estimate", "difference"), ("low", "low"), ("high", "high")] {
        assert_eq!(row[theirs], labelled["auroc"][ours]);
    }
}

#[test]
fn a_verdict_stays_with_its_track_and_grows_stale() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = imported(folder.path());
    let table = ok("fidelity {} fast exact", &[&store]);
    for part in [
        "1,500 in both, 1 only in the track, 0 only in the reference",
        "Spearman",
        "≥ 0.999",
        "verdict: different",
    ] {
        assert!(table.contains(part), "{table}");
    }
    let list = |part: &str| {
        let list = ok("track list {}", &[&store]);
        assert!(list.contains(part), "{list}");
    };
    list("different to exact");
    assert!(!listed(&store, "fast")["fidelity"].to_string().contains("labelled"));
    // Run again, it is replaced.
    ok("fidelity {} fast exact --labels {} --resamples 20", &[&store, &labels]);
    let kept = &listed(&store, "fast")["fidelity"];
    assert_eq!((&kept["stale"], &kept["labels"]), (&false.into(), &"labels.tsv".into()));
    assert_eq!(kept["reference_id"], listed(&store, "exact")["id"]);
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
    said("compact {} --quiet", &[&store]);
    assert_eq!(listed(&store, "fast")["fidelity"]["stale"], false);

    // Rows that come or go make it stale, also those of the reference.
    said("track remove {} exact --status scored", &[&store]);
    list("different to exact (stale)");
    assert_eq!(listed(&store, "fast")["fidelity"]["stale"], true);
    // A reference that was removed as a whole leaves what was found.
    said("track remove {} exact", &[&store]);
    assert_eq!(listed(&store, "fast")["fidelity"]["stale"], false);
    said("track remove {} fast --status scored", &[&store]);
    assert_eq!(listed(&store, "fast")["fidelity"]["stale"], true);
    // It goes with its track.
    said("track remove {} fast", &[&store]);
    ok("import {} --track fast {}", &[&store, &folder.path().join("fast.tsv")]);
    assert!(listed(&store, "fast").get("fidelity").is_none());
}

#[test]
fn faster_recipes_and_pruned_models_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = crate::programs::store(folder.path());
    ok("model add {} pruned --from small --keep-layers 0", &[&store]);
    let score = "--window 96 --device cpu --quiet --region chr1:1001-1400 --score llr,distance";
    said(&format!("score {{}} --model small {score} --track exact"), &[&store]);
    said(
        &format!("score {{}} --model small {score} --batch-tokens 100 --precision 0.000001 --track same"),
        &[&store],
    );
    said(&format!("score {{}} --model small {score} --dtype bf16 --track bf16"), &[&store]);
    said(&format!("score {{}} --model pruned {score} --track pruned"), &[&store]);
    let verdict = |track: &str| -> Value {
        let words = format!("fidelity {{}} {track} exact --format json");
        serde_json::from_str(&ok(&words, &[&store])).unwrap()
    };
    let [same, bf16, pruned] = ["same", "bf16", "pruned"].map(verdict);
    // The first column of each score kind.
    let columns = |found: &Value| -> Vec<String> {
        let columns = found["columns"].as_array().unwrap().iter();
        columns.map(|column| column["column"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(columns(&bf16), ["llr", "l1"]);
    assert_eq!(same["verdict"], "faithful");
    let spearman = |found: &Value| found["columns"][0]["spearman"].as_f64().unwrap();
    assert!(spearman(&same) > spearman(&bf16) && spearman(&bf16) > spearman(&pruned));
    assert!(spearman(&bf16) > 0.9, "{bf16}");
    assert_eq!(pruned["verdict"], "different");
    let one = ok("fidelity {} bf16 exact --score l2 --format json", &[&store]);
    assert_eq!(columns(&serde_json::from_str(&one).unwrap()), ["l2"]);
}

#[test]
fn what_cannot_be_judged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = imported(folder.path());
    let text = fs::read_to_string(&labels).unwrap();
    let (positives, numbers) = (folder.path().join("one.tsv"), folder.path().join("numbers.tsv"));
    let kept: Vec<&str> = text.lines().filter(|line| !line.ends_with("\t0")).collect();
    fs::write(&positives, kept.join("\n")).unwrap();
    fs::write(&numbers, text.replacen("\t1\n", "\t0.5\n", 1)).unwrap();
    for (code, words, file, part) in [
        (2, "fast fast", None, "track `fast` cannot be its own reference"),
        (1, "fast nothing", None, "the store has no track `nothing`; it has exact, fast"),
        (1, "fast exact --score l1", None, "the store has no score column `l1`; it has llr"),
        (1, "fast exact --labels {}", Some(&positives), "auroc is undefined: one class only"),
        (1, "fast exact --labels {}", Some(&numbers), "need labels 0 and 1"),
        (2, "fast exact --label x", None, "--labels"),
    ] {
        let paths: Vec<&Path> = std::iter::once(store.as_path()).chain(file.map(PathBuf::as_path)).collect();
        let told = if code == 2 && part == "--labels" {
            let output = run(&format!("fidelity {{}} {words}"), &paths);
            assert_eq!(output.status.code(), Some(2));
            String::from_utf8(output.stderr).unwrap()
        } else {
            fails(code, &format!("fidelity {{}} {words}"), &paths)
        };
        assert!(told.contains(part), "{words}: {told}");
    }
    assert!(listed(&store, "fast").get("fidelity").is_none());
}
