//! Fine-tuning and layer studies from the command line: killed at any moment they end with the same weights, what
//! they write is a model of the store, and labels of every kind are taken.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use vestore::Store;

use crate::programs::{checkpoint, command, fails, killed_between_states, ok, rows, run, said, store};
use crate::support::Random;

const TUNE: &str = "train finetune {} --model small --name tuned --labels {} --output {} --window 48 --steps 60 --evaluate-every 15 --learning-rate 0.003 --save-every 2 --seed 4 --device cpu --threads 1 --quiet";

/// A store with a model `small`, and a table of labelled SNVs: the label is higher where the alternate is G.
fn labelled(folder: &Path) -> (PathBuf, PathBuf) {
    let (store, bases) = store(folder);
    let mut random = Random(3);
    let mut text = String::from("CHROM\tPOS\tREF\tALT\tlabel\ttissue\tsplit\n");
    let mut taken = 0;
    while taken < 240 {
        let position = 30 + random.below(bases.len() as u64 - 60) as usize;
        let reference = char::from(bases[position]);
        let alternate = char::from(b"ACGT"[random.below(4) as usize]);
        if alternate == reference || !"ACGT".contains(reference) {
            continue;
        }
        let label = if alternate == 'G' { 2.0 } else { -1.0 } + random.below(100) as f64 / 100.0;
        let split = ["train", "train", "train", "valid", "test"][taken % 5];
        let tissue = ["liver", "blood"][taken % 2];
        writeln!(text, "chr1\t{}\t{reference}\t{alternate}\t{label}\t{tissue}\t{split}", position + 1)
            .unwrap();
        taken += 1;
    }
    let labels = folder.join("labels.tsv");
    fs::write(&labels, text).unwrap();
    (store, labels)
}

fn models(store: &Path) -> Vec<Value> {
    serde_json::from_str(&ok("model show {} --format json", &[store])).unwrap()
}

fn named<'a>(models: &'a [Value], name: &str) -> &'a Value {
    models.iter().find(|model| model["name"] == name).unwrap_or_else(|| panic!("no {name} in {models:?}"))
}

#[test]
fn a_killed_tuning_ends_with_the_same_weights_and_a_model_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    // A model has one name in a store, so that the other one goes into another.
    let second = folder.path().join("second");
    fs::create_dir(&second).unwrap();
    let (other, _) = labelled(&second);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let told = said(TUNE, &[&store, &labels, &whole]);
    for part in ["240 labelled rows of 240", "warning: ", "60 steps", "trained", "test: spearman"] {
        assert!(told.contains(part), "{told}");
    }
    let state = killed.join("training/state.safetensors");
    let mut random = Random(7);
    let mut kills = 0;
    let again = TUNE.replace("--name tuned", "--name again");
    while !killed.join("training.json").exists() {
        kills +=
            u64::from(killed_between_states(&again, &[&other, &labels, &killed], &state, 8, &mut random));
    }
    assert!(kills >= 3, "only {kills} kills met a tuning that was still going");
    said(&again, &[&other, &labels, &killed]);
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed), "other weights");
    let (models, others) = (models(&store), models(&other));
    let first = named(&models, "tuned");
    assert_eq!(first["id"], named(&others, "again")["id"]);
    assert_eq!(first["parent"], "small");
    assert_eq!(first["training"]["plan"]["seed"], 4, "{first}");
    assert!(first["training"]["data"]["digest"].as_str().is_some_and(|digest| digest.len() == 64), "{first}");
    // What was learnt is in the scores: the number of the alternate window, by default.
    let variants = folder.path().join("variants.vcf");
    let mut text = String::from("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n");
    for line in fs::read_to_string(&labels).unwrap().lines().skip(1).take(20) {
        let cells: Vec<&str> = line.split('\t').collect();
        writeln!(text, "{}\t{}\t.\t{}\t{}\t.\t.\t.", cells[0], cells[1], cells[2], cells[3]).unwrap();
    }
    fs::write(&variants, text).unwrap();
    let told = said("score {} --model tuned --variants {} --quiet", &[&store, &variants]);
    assert!(told.contains("fine-tuned on windows of 48 bp and both strands"), "{told}");
    let found = rows(&ok("query {} --track tuned.regression.w48 --format tsv", &[&store]));
    assert!(
        found
            .iter()
            .all(|row| row["status"] == "scored" && row.contains_key("value") && row.contains_key("delta"))
    );
    let told = fails(1, &TUNE.replace("--seed 4", "--seed 5"), &[&store, &labels, &killed]);
    assert!(told.contains("seed is 4 there and 5 now"), "{told}");
}

#[test]
fn adapters_become_models_that_score() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    for method in ["lora", "ia3", "houlsby"] {
        let output = folder.path().join(method);
        let words =
            TUNE.replace("--name tuned", &format!("--name {method} --method {method} --split-column split"));
        let told = said(&words, &[&store, &labels, &output]);
        assert!(told.contains("training 144; validation 48; test 48"), "{told}");
        let models = models(&store);
        let model = named(&models, method);
        assert_eq!((&model["adapter_kind"], &model["parent"]), (&method.into(), &"small".into()));
        assert!(
            model["parameters"].as_u64() >= named(&models, "small")["parameters"].as_u64().map(|n| n / 2)
        );
    }
    let told = fails(
        1,
        &TUNE.replace("--model small --name tuned", "--model lora --name twice"),
        &[&store, &labels, &folder.path().join("twice")],
    );
    assert!(told.contains("a model takes one adapter"), "{told}");
}

#[test]
fn sequences_of_several_classes_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = labelled(folder.path());
    let mut random = Random(5);
    let mut text = String::from("name,sequence,species\n");
    for number in 0..120 {
        let (class, word) = [("fly", "ACCATG"), ("mouse", "GGATTA"), ("yeast", "TTTGCA")][number % 3];
        let mut sequence = String::new();
        for _ in 0..6 {
            let other: String = (0..6).map(|_| char::from(b"ACGT"[random.below(4) as usize])).collect();
            sequence += if random.below(10) < 6 { word } else { &other };
        }
        writeln!(text, "s{number},{sequence},{class}").unwrap();
    }
    let table = folder.path().join("species.csv");
    fs::write(&table, text).unwrap();
    let output = folder.path().join("output");
    let words = "train finetune {} --model small --name species --sequences {} --label species --output {} --steps 120 --learning-rate 0.005 --seed 4 --device cpu --threads 1 --quiet --balanced";
    let told = said(words, &[&store, &table, &output]);
    assert!(told.contains("macro_auroc") && told.contains("fly: "), "{told}");
    let config: Value = serde_json::from_slice(&fs::read(output.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"], serde_json::json!({ "0": "fly", "1": "mouse", "2": "yeast" }));
    let record: Value = serde_json::from_slice(&fs::read(output.join("training.json")).unwrap()).unwrap();
    let auroc = record["result"]["test_figures"][0]["value"].as_f64().unwrap();
    assert!(auroc > 0.7, "{record}");
    let told = fails(
        1,
        &words.replace("--balanced", "--input difference").replace("--name species", "--name signed"),
        &[&store, &table, &folder.path().join("o")],
    );
    assert!(told.contains("tune on the alternate alone"), "{told}");
}

#[test]
fn a_killed_study_goes_on_and_ends_with_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    let words = "study layers {} --name NAME --model small --labels {} --output {} --split-column split --window 48 --steps 24 --evaluate-every 12 --learning-rate 0.003 --seeds 2 --compare lora,linear --device cpu --threads 1 --quiet";
    let whole = words.replace("NAME", "whole");
    let told = said(&whole, &[&store, &labels, &folder.path().join("whole")]);
    assert!(
        told.contains("baseline, seed 1: validation spearman") && told.contains("study report"),
        "{told}"
    );
    let killed = words.replace("NAME", "killed");
    let output = folder.path().join("killed");
    let second = folder.path().join("second");
    fs::create_dir(&second).unwrap();
    let (other, _) = labelled(&second);
    let show = |store: &Path, name: &str| -> Value {
        serde_json::from_str(&ok(&format!("study show {{}} {name} --format json"), &[store])).unwrap()
    };
    let mut kills = 0;
    for _ in 0..4 {
        let mut child = command(&killed, &[&other, &labels, &output])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until some more runs are in the catalog.
        let runs = || {
            let studies: Value = serde_json::from_str(&ok("study list {} --format json", &[&other])).unwrap();
            let known = studies.as_array().unwrap().iter().any(|study| study["name"] == "killed");
            if known { show(&other, "killed")["runs"].as_array().map_or(0, Vec::len) } else { 0 }
        };
        let before = runs();
        while runs() < before + 2 && child.try_wait().unwrap().is_none() {}
        kills += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills >= 2, "only {kills} kills met a study that was still going");
    said(&killed, &[&other, &labels, &output]);
    let figures = |study: &Value| -> Vec<(Value, Value, Value)> {
        let runs = study["runs"].as_array().unwrap().iter();
        runs.map(|run| (run["variation"].clone(), run["seed"].clone(), run["validation_figures"].clone()))
            .collect()
    };
    let (one, two) = (show(&store, "whole"), show(&other, "killed"));
    assert_eq!(figures(&one), figures(&two));
    assert_eq!(one["study"]["result"], two["study"]["result"]);
    let verdicts = one["study"]["result"]["layers"].as_array().unwrap();
    assert!(
        !verdicts.is_empty() && verdicts.iter().all(|layer| layer["rankings"].as_array().unwrap().len() == 5)
    );
    let (models, others) = (models(&store), models(&other));
    assert_eq!(named(&models, "whole.baseline")["id"], named(&others, "killed.baseline")["id"]);
    assert_eq!(named(&models, "whole.method-lora")["adapter_kind"], "lora");
    let report = folder.path().join("report.html");
    said("study report {} whole -o {}", &[&store, &report]);
    let html = fs::read_to_string(&report).unwrap();
    assert!(html.contains("cornerstone") && html.contains("shapley"), "{html}");
    let told = fails(
        1,
        &whole.replace("--steps 24", "--steps 25"),
        &[&store, &labels, &folder.path().join("whole")],
    );
    assert!(told.contains("another plan or model"), "{told}");
}

#[test]
fn a_study_needs_layers_to_leave_out() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    let one = folder.path().join("one");
    checkpoint(&one, "nucleotide-transformer-v2", "--layers 1 --hidden 16 --heads 2 --intermediate 16");
    ok("model add {} one --checkpoint {}", &[&store, &one]);
    let words = "study layers {} --name s --model one --labels {} --output {} --window 48 --steps 2 --device cpu --quiet";
    let told = fails(1, words, &[&store, &labels, &folder.path().join("o")]);
    assert!(told.contains("model `one` has one layer"), "{told}");
}

#[test]
fn what_cannot_end_well_is_told_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    let output = folder.path().join("out");
    let taken = TUNE.replace("--name tuned", "--name small");
    let told = fails(1, &taken, &[&store, &labels, &output]);
    assert!(told.contains("model `small`") && told.contains("--name"), "{told}");
    let inside = store.join("models");
    assert!(fails(1, TUNE, &[&store, &labels, &inside]).contains("lies in a vestore store"));
    assert!(fails(2, TUNE, &[&store, &labels, Path::new("s3://bucket/out")]).contains("not a local path"));
    // Beyond float32, and what a head could not multiply.
    for label in ["1e39", "-1e300", "2e30"] {
        let text = fs::read_to_string(&labels).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let cells: Vec<&str> = lines[7].split('\t').collect();
        let changed = text.replacen(&format!("\t{}\t", cells[4]), &format!("\t{label}\t"), 1);
        let line = changed.lines().position(|line| line.contains(label)).unwrap() + 1;
        let large = folder.path().join("large.tsv");
        fs::write(&large, changed).unwrap();
        let told = fails(1, TUNE, &[&store, &large, &output]);
        assert!(told.contains(&format!("line {line}")) && told.contains(label), "{told}");
    }
    assert!(!output.exists(), "something was trained");
    // A loss that is not a number ends the training, and nothing is kept.
    let wild = TUNE.replace("--learning-rate 0.003", "--learning-rate 1e30");
    assert!(fails(1, &wild, &[&store, &labels, &output]).contains("--learning-rate"));
    assert!(!output.join("training.json").exists() && models(&store).len() == 1);
    // Files of others stay.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("README.md"), "mine").unwrap();
    assert!(fails(1, TUNE, &[&store, &labels, &other]).contains("README.md"));
    assert_eq!(fs::read_to_string(other.join("README.md")).unwrap(), "mine");
}

#[test]
fn a_model_that_was_trained_while_others_write_is_added_without_training_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    let output = folder.path().join("out");
    let opened = Store::open(&store).unwrap();
    let writer = opened.writer("vestore score by another").unwrap();
    let told = run(TUNE, &[&store, &labels, &output]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(1), "{text}");
    for part in ["model is whole in", &output.display().to_string(), "rerun the same command", "by another"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    drop(writer);
    let weights = output.join("model.safetensors");
    let trained = weights.metadata().unwrap().modified().unwrap();
    said(TUNE, &[&store, &labels, &output]);
    assert_eq!(weights.metadata().unwrap().modified().unwrap(), trained, "trained again");
    named(&models(&store), "tuned");
}

#[test]
fn two_trainings_in_one_folder_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = labelled(folder.path());
    let output = folder.path().join("out");
    let state = output.join("training/state.safetensors");
    let long = TUNE.replace("--steps 60", "--steps 100000");
    let mut first = command(&long, &[&store, &labels, &output]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !state.exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
    let told = fails(1, &TUNE.replace("--name tuned", "--name second"), &[&store, &labels, &output]);
    assert!(told.contains(&format!("process {}", first.id())) && told.contains("--output"), "{told}");
    assert!(first.try_wait().unwrap().is_none(), "the first one was disturbed");
    first.kill().unwrap();
    first.wait().unwrap();
    // The kernel freed the lock; what is refused now is another plan.
    let told = fails(1, TUNE, &[&store, &labels, &output]);
    assert!(told.contains("steps is 100000 there and 60 now"), "{told}");
}
