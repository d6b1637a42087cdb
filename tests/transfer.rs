//! Transfers of a regulatory model from the command line: killed at any moment they end with the same weights, what every
//! method writes is a model of the store, and the studies of methods and blocks are recorded.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::programs::{checkpoint, fails, killed_between_states, ok, rows, said, vestore, workspace};
use crate::support::Random;

const MINIATURE: &str =
    "--layers 2 --hidden 24 --heads 2 --intermediate 40 --widths 7,8,9,10,11,12 --targets 5,3 --bins 16";
const TRAIN: &str = "train transfer {} --model base --name moved --targets {} --output {} --window 1152 --steps 24 --evaluate-every 6 --learning-rate 0.003 --save-every 2 --seed 4 --device cpu --threads 1 --quiet --method full";
const METHODS: [&str; 7] = ["full", "linear", "lora", "locon", "ia3", "houlsby", "houlsby-se"];

/// A store over 60,000 bases with a miniature of a family as `base`, and a table of three tracks: how many C and G there
/// are, and the surplus of either over the other on its strand.
fn prepare(folder: &Path, family: &str) -> (PathBuf, PathBuf) {
    let mut random = Random(11);
    let mut bases = Vec::new();
    while bases.len() < 60_000 {
        let letters = [&b"ACGT"[..], b"CCGA", b"GGCT", b"AATT"][random.below(4) as usize];
        bases.extend((0..200).map(|_| letters[random.below(4) as usize]));
    }
    let genome = folder.join("genome.fa");
    fs::write(&genome, format!(">chr1\n{}\n", String::from_utf8(bases.clone()).unwrap())).unwrap();
    let mut tracks = [String::new(), String::new(), String::new()];
    for (number, bin) in bases.chunks(32).enumerate() {
        let count = |letter: u8| bin.split(|base| *base == letter).count() as f64 - 1.0;
        let (c, g) = (count(b'C'), count(b'G'));
        for (track, value) in tracks.iter_mut().zip([c + g, (g - c).max(0.0), (c - g).max(0.0)]) {
            let start = 32 * number;
            writeln!(track, "chr1\t{start}\t{}\t{value}", start + bin.len()).unwrap();
        }
    }
    let mut table =
        String::from("\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription\n");
    for (number, (name, pair)) in [("gc", 0), ("more+", 2), ("more-", 1)].into_iter().enumerate() {
        fs::write(folder.join(format!("{name}.bedGraph")), &tracks[number]).unwrap();
        writeln!(table, "{number}\t{name}\t{name}.bedGraph\t384\t32\t0.1\tmean\t{pair}\tcounts").unwrap();
    }
    let (store, model, targets) = (folder.join("store"), folder.join("base"), folder.join("targets.txt"));
    fs::write(&targets, table).unwrap();
    checkpoint(&model, family, MINIATURE);
    ok("init {} --reference {}", &[&store, &genome]);
    ok("model add {} base --checkpoint {}", &[&store, &model]);
    (store, targets)
}

fn named(store: &Path, name: &str) -> Value {
    let models: Vec<Value> = serde_json::from_str(&ok("model show {} --format json", &[store])).unwrap();
    models
        .iter()
        .find(|model| model["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {models:?}"))
        .clone()
}

/// The summed predictions of a few reference windows by target.
fn predictions(store: &Path, model: &str) -> Vec<HashMap<String, String>> {
    let change = if named(store, model)["family"] == "enformer" { "sad" } else { "sum" };
    let words = format!(
        "score {{}} --model {model} --score {change},ref --region chr1:20000-20001 --track {model} --quiet"
    );
    said(&words, &[store]);
    rows(&ok(&format!("query {{}} --effects --track {model} --format tsv"), &[store]))
}

#[test]
fn a_killed_transfer_ends_with_the_same_weights_and_a_model_that_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    let second = folder.path().join("second");
    fs::create_dir(&second).unwrap();
    let (other, others) = prepare(&second, "borzoi");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let message = said(TRAIN, &[&store, &targets, &whole]);
    for part in ["3 targets", "24 steps", "trained", "lowest validation loss", "test, ", "pearson"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!whole.join("training").exists(), "what only the training needs is gone");
    let state = killed.join("training/state.safetensors");
    let (mut random, mut kills) = (Random(7), 0);
    while !killed.join("training.json").exists() {
        kills += u64::from(killed_between_states(TRAIN, &[&other, &others, &killed], &state, 4, &mut random));
    }
    assert!(kills >= 2, "only {kills} kills met a transfer that was still going");
    said(TRAIN, &[&other, &others, &killed]);
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed), "other weights");
    let model = named(&store, "moved");
    assert_eq!((&model["id"], &model["parent"]), (&named(&other, "moved")["id"], &"base".into()));
    assert_eq!(model["training"]["untransform"], "new");
    // It is scored as it was trained.
    let message = said("score {} --model moved --region chr1:20000-20001 --track t --quiet", &[&store]);
    assert!(
        message.contains("windows of 1152 bp, both strands, the bins in the middle and new-style"),
        "{message}"
    );
    let found = rows(&ok("query {} --effects --track t --format tsv", &[&store]));
    let names: Vec<&str> = found.iter().take(2).map(|row| row["target"].as_str()).collect();
    assert_eq!(names, ["gc", "more+"]);
    let message = fails(1, &TRAIN.replace("--seed 4", "--seed 5"), &[&store, &targets, &whole]);
    assert!(message.contains("seed is 4 there and 5 now"), "{message}");
    let message = fails(1, &TRAIN.replace("--method full", "--method lora"), &[&store, &targets, &whole]);
    assert!(message.contains("there and"), "{message}");
    // What somebody else put where a training works is neither written over nor removed.
    let occupied = folder.path().join("occupied");
    fs::create_dir_all(occupied.join("training")).unwrap();
    fs::write(occupied.join("training/notes.txt"), "mine").unwrap();
    let other_name = TRAIN.replace("--name moved", "--name another");
    let message = fails(1, &other_name, &[&store, &targets, &occupied]);
    assert!(
        message.contains("training/notes.txt") && occupied.join("training/notes.txt").exists(),
        "{message}"
    );
    // Nor is a table of somebody's own.
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("targets.txt"), "mine").unwrap();
    let message = fails(1, &other_name, &[&store, &targets, &own]);
    assert!(message.contains("holds `targets.txt`"), "{message}");
    assert_eq!(fs::read_to_string(own.join("targets.txt")).unwrap(), "mine");
}

#[test]
fn every_method_becomes_a_model_and_a_merged_adapter_says_the_same() {
    for family in ["borzoi", "flashzoi", "enformer"] {
        let folder = tempfile::tempdir().unwrap();
        let (store, targets) = prepare(folder.path(), family);
        let window = if family == "enformer" { "--window 2048" } else { "--window 1152" };
        let few = ["locon", "ia3"];
        let methods = METHODS.iter().filter(|method| family == "borzoi" || few.contains(method));
        for method in methods {
            let output = folder.path().join(method);
            let merges = ["lora", "locon", "ia3"].contains(method);
            let words = TRAIN
                .replace("--steps 24", "--steps 8")
                .replace("--name moved", &format!("--name {method}"))
                .replace("--window 1152", window)
                .replace(
                    "--method full",
                    &format!("--method {method} {}", if merges { "--merge" } else { "" }),
                );
            said(&words, &[&store, &targets, &output]);
            let model = named(&store, method);
            assert_eq!(model["parent"], "base");
            let kind = &model["adapter_kind"];
            match *method {
                "full" | "linear" => assert!(kind.is_null(), "{kind}"),
                "locon" => assert_eq!(kind, "lora"),
                "houlsby-se" => assert_eq!(kind, "houlsby"),
                method => assert_eq!(kind, method),
            }
            let found = predictions(&store, method);
            assert_eq!(found.iter().filter(|row| row["target"] == "gc").count(), 6);
            if !merges {
                continue;
            }
            let merged = format!("{method}-merged");
            ok(&format!("model add {{}} {merged} --checkpoint {{}}"), &[&store, &output.join("merged")]);
            // Its settings lie beside it.
            let change = if family == "enformer" { "sad" } else { "sum" };
            let words = format!(
                "score {{}} --model {merged} --score {change},ref --region chr1:20000-20001 --track {merged} --quiet"
            );
            said(&words, &[&store]);
            let again = rows(&ok(&format!("query {{}} --effects --track {merged} --format tsv"), &[&store]));
            assert_eq!(again.len(), found.len());
            for (row, other) in found.iter().zip(&again) {
                let [one, other]: [f64; 2] = [row, other].map(|row| row["ref"].parse().unwrap());
                assert!(
                    (one - other).abs() <= 1e-4 * one.abs().max(1.0),
                    "{family} {method}: {row:?} {other}"
                );
            }
        }
        let words =
            TRAIN.replace("--name moved", "--name no").replace("--method full", "--method houlsby --merge");
        let message =
            fails(2, &words.replace("--window 1152", window), &[&store, &targets, &folder.path().join("no")]);
        assert!(message.contains("could be merged"), "{message}");
    }
}

#[test]
fn a_pruned_model_is_transferred() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    ok("model add {} pruned --from base --keep-layers 1", &[&store]);
    for method in ["full", "lora", "houlsby"] {
        let output = folder.path().join(method);
        let words = TRAIN
            .replace("--model base --name moved", &format!("--model pruned --name {method}"))
            .replace("--method full", &format!("--method {method}"));
        said(&words, &[&store, &targets, &output]);
        let model = named(&store, method);
        assert_eq!(model["parent"], "pruned");
        let (layers, kept) = (&model["layers"], &model["kept_layers"]);
        let whole = method == "full";
        assert_eq!(layers, if whole { 1 } else { 2 });
        assert_eq!(kept, &serde_json::json!([i32::from(!whole)]));
        assert_eq!(predictions(&store, method).len(), 12);
    }
}

#[test]
fn activations_are_computed_again_with_the_same_numbers_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    let losses = |name: &str, option: &str| -> Vec<f64> {
        let output = folder.path().join(name);
        let words = TRAIN
            .replace("--steps 24 --evaluate-every 6", "--steps 6 --evaluate-every 1")
            .replace("--name moved", &format!("--name {name} {option}"))
            .replace("--method full", "--method locon");
        said(&words, &[&store, &targets, &output]);
        let record: Value = serde_json::from_slice(&fs::read(output.join("training.json")).unwrap()).unwrap();
        let losses = record["result"]["losses"].as_array().unwrap();
        losses.iter().map(|point| point["loss"].as_f64().unwrap()).collect()
    };
    let (kept, again) =
        (losses("kept", "--dropout 0.3"), losses("again", "--dropout 0.3 --activation-checkpointing"));
    assert_eq!(kept.len(), 6);
    assert!(
        kept.iter().zip(&again).all(|(one, other)| (one - other).abs() < 1e-5 * one.abs()),
        "{kept:?} {again:?}"
    );
    let other = losses("other", "--dropout 0.1");
    assert!(
        kept.iter().zip(&other).all(|(one, other)| (one - other).abs() > 1e-5 * one.abs()),
        "{kept:?} {other:?}"
    );
}

#[test]
fn bad_data_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    let output = folder.path().join("output");
    let refused = |words: &str, targets: &Path| -> String {
        let message = fails(1, words, &[&store, targets, &output]);
        assert!(!output.join("training.json").exists());
        message
    };
    let table = fs::read_to_string(&targets).unwrap();
    let other = folder.path().join("other.txt");
    let changed = |from: &str, to: &str| {
        fs::write(&other, table.replace(from, to)).unwrap();
        refused(TRAIN, &other)
    };
    assert!(changed("gc.bedGraph", "missing.bw").contains("missing.bw"));
    assert!(changed("\tmean\t0", "\tmedian\t0").contains("median"));
    assert!(changed("more-.bedGraph", "more+.bedGraph").contains("more+.bedGraph"));
    assert!(changed("\tmean\t2", "\tmean\t1").contains("strand_pair"));
    fs::write(folder.path().join("negative.bedGraph"), "chr1\t0\t4000\t-1\n").unwrap();
    assert!(changed("gc.bedGraph", "negative.bedGraph").contains("-1"));
    fs::write(folder.path().join("long.bedGraph"), "chr1\t50000\t70000\t1\n").unwrap();
    assert!(changed("gc.bedGraph", "long.bedGraph").contains("chr1"));
    let sequences = folder.path().join("sequences.bed");
    for (text, expected) in [
        ("chr1\t0\t1152\ttrain\nchr1\t1000\t2152\tvalid\n", "overlap"),
        ("chr1\t0\t1000\ttrain\nchr1\t2000\t3152\tvalid\n", "1152"),
        ("chr1\t0\t1152\tfold0\nchr1\t2000\t3152\tvalid\n", "name those for --validation"),
        ("chr7\t0\t1152\ttrain\nchr1\t2000\t3152\tvalid\n", "chr7"),
        ("chr1\t0\t1152\ttrain\n", "validation"),
    ] {
        fs::write(&sequences, text).unwrap();
        let words = format!("{TRAIN} --sequences {{}}");
        let message = fails(1, &words, &[&store, &targets, &output, &sequences]);
        assert!(message.contains(expected), "{text}: {message}");
    }
    fs::write(&sequences, "chr1\t0\t1152\tfold0\nchr1\t2000\t3152\tfold1\nchr1\t4000\t5152\tfold2\n")
        .unwrap();
    let words = format!("{TRAIN} --sequences {{}} --validation fold1 --test fold2")
        .replace("--steps 24", "--steps 2")
        .replace("--name moved", "--name folds");
    let message = said(&words, &[&store, &targets, &folder.path().join("folds"), &sequences]);
    assert!(message.contains("1 window, 1 for validation, 1 for testing"), "{message}");
    for (from, to, expected) in [
        ("--window 1152", "--window 1183", "multiple of 32"),
        ("--seed 4", "--seed 4 --shift 600", "largest shift"),
    ] {
        let message = fails(2, &TRAIN.replace(from, to), &[&store, &targets, &output]);
        assert!(message.contains(expected), "{message}");
    }
    let message = fails(2, &TRAIN.replace("--window 1152", "--window 1100"), &[&store, &targets, &output]);
    assert!(message.contains("invalid window 1100"), "{message}");
    let message =
        fails(2, &TRAIN.replace("--learning-rate 0.003", "--learning-rate 0"), &[&store, &targets, &output]);
    assert!(message.contains("learning rate"), "{message}");
}

#[test]
fn methods_and_blocks_are_studied() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    let words = "--model base --targets {} --output {} --window 1152 --steps 6 --evaluate-every 3 --learning-rate 0.003 --seeds 2 --device cpu --threads 1 --quiet";
    let methods = folder.path().join("methods");
    said(
        &format!("study transfer {{}} --name methods --compare linear,locon {words}"),
        &[&store, &targets, &methods],
    );
    let shown = rows(&ok("study show {} methods --format tsv", &[&store]));
    let mut trained: Vec<(String, String)> =
        shown.iter().map(|row| (row["method"].clone(), row["seed"].clone())).collect();
    trained.sort();
    let pair = |method: &str, seed: &str| (method.to_owned(), seed.to_owned());
    let expected = [
        pair("full", "1"),
        pair("full", "2"),
        pair("k-mer ridge", "1"),
        pair("linear", "1"),
        pair("linear", "2"),
        pair("locon", "1"),
        pair("locon", "2"),
    ];
    assert_eq!(trained, expected);
    let report = ok("study report {} methods", &[&store]);
    assert!(
        report.contains("Ridge regression on k-mers")
            && !report.contains("◆")
            && !report.contains("id=\"layers\""),
        "{report}"
    );
    assert!(!methods.join("coverage").exists());
    let occupied = folder.path().join("occupied");
    fs::create_dir_all(occupied.join("coverage")).unwrap();
    fs::write(occupied.join("coverage/mine.bw"), "mine").unwrap();
    let message = fails(
        1,
        &format!("study transfer {{}} --name other --compare linear {words}"),
        &[&store, &targets, &occupied],
    );
    assert!(message.contains("coverage/mine.bw") && occupied.join("coverage/mine.bw").exists(), "{message}");
    // A study of methods is not one of blocks.
    let message = fails(
        1,
        &format!("study transfer {{}} --name methods --layers --compare linear,locon {words}"),
        &[&store, &targets, &methods],
    );
    assert!(message.contains("methods"), "{message}");
    let message = said(
        &format!("study transfer {{}} --name methods --compare linear,locon {words}"),
        &[&store, &targets, &methods],
    );
    assert!(message.contains("is finished"), "{message}");
    let blocks = folder.path().join("blocks");
    said(&format!("study layers {{}} --name blocks --method linear {words}"), &[&store, &targets, &blocks]);
    let study: Value = serde_json::from_str(&ok("study show {} blocks --format json", &[&store])).unwrap();
    let text = study.to_string();
    for part in ["\"without\"", "block influence", "angular distance", "ablation"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The commands of docs/transfer.md.
#[test]
fn two_targets_are_subtracted_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let (store, targets) = prepare(folder.path(), "borzoi");
    said(
        &TRAIN.replace("--steps 24", "--steps 8").replace("full", "linear"),
        &[&store, &targets, &folder.path().join("output")],
    );
    let page = fs::read_to_string(workspace().join("docs/transfer.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Two targets against each other"));
    let script = section.unwrap().split("```\n").nth(1).unwrap();
    let script = script
        .replace("STORE", store.to_str().unwrap())
        .replace("17:43,044,000-43,046,000", "chr1:20001-20004")
        .replace("borzoi0-mine", "moved --quiet")
        .replace("treated", "more+")
        .replace("control", "gc")
        .replace("vestore ", &format!("{} ", vestore().display()));
    let output =
        Command::new("bash").args(["-eu", "-c", &script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    let effects = rows(&ok("query {} --effects --track saturated --format tsv", &[&store]));
    let number = |row: &HashMap<String, String>, column: &str| -> f64 { row[column].parse().unwrap() };
    let mut largest: HashMap<String, f64> = HashMap::new();
    let found = rows(&fs::read_to_string(folder.path().join("difference.tsv")).unwrap());
    assert_eq!(found.len(), 12);
    for row in &found {
        let of = |target: &str| {
            let same = |effect: &&HashMap<String, String>| {
                effect["target"] == target
                    && ["position", "reference", "alternate"].iter().all(|key| effect[*key] == row[*key])
            };
            number(effects.iter().find(same).unwrap(), "log_sum")
        };
        let difference = of("more+") - of("gc");
        assert!((number(row, "difference") - difference).abs() < 2e-6, "{row:?}");
        let most = largest.entry(row["position"].clone()).or_default();
        *most = most.max(difference.abs());
    }
    let listed = String::from_utf8(output.stdout).unwrap();
    let listed: Vec<(&str, f64)> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(at, value)| (at, value.parse().unwrap()))
        .collect();
    assert_eq!(listed.len(), 4);
    assert!(listed.is_sorted_by(|one, other| one.1 >= other.1), "{listed:?}");
    assert!(listed.iter().all(|(at, value)| (largest[*at] - value).abs() < 2e-6), "{listed:?}");
}
