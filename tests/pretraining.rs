//! Pretraining from the command line: killed at any moment it ends with the same weights; the model that comes
//! along knows DNA.

use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{checkpoint, fails, genome, killed_between_states, ok, said, workspace};
use crate::support::Random;

const TRAIN: &str = "train pretrain {} --config {} --output {} --held-out chr1:1-600 --steps 200 --tokens 24 --batch-tokens 480 --learning-rate 0.002 --save-every 3 --seed 4 --device cpu --threads 1 --quiet";

/// A FASTA and a configuration without weights.
fn start(folder: &Path) -> (PathBuf, PathBuf) {
    let (fasta, config) = (folder.join("genome.fa"), folder.join("config"));
    genome(&fasta);
    checkpoint(&config, "nucleotide-transformer-v2", "--layers 1 --hidden 16 --heads 2 --intermediate 16");
    fs::remove_file(config.join("model.safetensors")).unwrap();
    (fasta, config)
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("model.safetensors")).unwrap()
}

#[test]
fn a_killed_training_ends_with_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, config) = start(folder.path());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    said(TRAIN, &[&fasta, &config, &whole]);
    let state = killed.join("training/state.safetensors");
    let mut random = Random(7);
    let mut kills = 0;
    while !killed.join("model.safetensors").exists() {
        kills +=
            u64::from(killed_between_states(TRAIN, &[&fasta, &config, &killed], &state, 20, &mut random));
    }
    assert!(kills >= 3, "only {kills} kills met a training that was still going");
    said(TRAIN, &[&fasta, &config, &killed]);
    assert!(weights(&whole) == weights(&killed), "other weights");
    assert!(!killed.join("training").exists());
    let told = fails(1, &TRAIN.replace("--seed 4", "--seed 5"), &[&fasta, &config, &killed]);
    assert!(told.contains("seed is 4 there and 5 now"), "{told}");
}

#[test]
fn a_study_says_what_each_ingredient_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, config) = start(folder.path());
    let output = folder.path().join("study");
    let study = "study pretrain {} --config {} --output {} --held-out chr1:1-1200 --seeds 2 --steps 30 --tokens 24 --first-tokens 8 --length-warmup 10 --batch-tokens 240 --learning-rate 0.002 --device cpu --threads 1 --quiet";
    let table = ok(study, &[&fasta, &config, &output]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 7), "{table}");
    assert_eq!(rows[1][..3], ["all ingredients", "all", "2"]);
    assert_eq!(rows[2][..3], ["without length warm-up", "all", "2"]);
    assert!(rows[2][3..].iter().all(|number| number.parse::<f64>().unwrap().is_finite()), "{table}");
    assert_eq!(
        ok(study, &[&fasta, &config, &output]),
        table,
        "a second look trains nothing and says the same"
    );
    let told = fails(2, &study.replace("--length-warmup 10", ""), &[&fasta, &config, &output]);
    assert!(told.contains("no ingredient to switch off"), "{told}");
}

#[test]
fn the_model_that_comes_along_is_the_one_that_its_record_tells_of() {
    let folder = tempfile::tempdir().unwrap();
    let (examples, store) = (workspace().join("examples"), folder.path().join("store"));
    ok("init {} --reference {}", &[&store, &examples.join("mitochondrion.fa")]);
    ok("model add {} small --checkpoint {}", &[&store, &examples.join("model")]);
    let shown: serde_json::Value =
        serde_json::from_str(&ok("model show {} small --format json", &[&store])).unwrap();
    let record = fs::read(examples.join("model/training.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(shown[0]["parameters"], record["result"]["parameters"], "{shown}");
    assert!(shown[0]["note"].as_str().unwrap().contains("do not tell harmful variants"), "{shown}");
}

#[test]
fn the_model_that_comes_along_knows_dna_that_it_has_not_seen() {
    let data =
        std::env::var_os("VESTORE_DATA").map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let genome = data.join("genome/GRCh38.mini.fa.gz");
    if !genome.exists() {
        println!("skipped: {} is not there (VESTORE_DATA names its folder)", genome.display());
        return;
    }
    let table = ok(
        "study loss {} --checkpoint {} --held-out 17 --windows 300 --order 2 --device cpu --format json",
        &[&genome, &workspace().join("examples/model")],
    );
    let rows: serde_json::Value = serde_json::from_str(&table).unwrap();
    let row = |model: &str| -> &serde_json::Value {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["part"] == "all" && row["model"].as_str().unwrap().ends_with(model)).unwrap()
    };
    let bound = |of: &serde_json::Value, bound: &str| of[bound].as_f64().unwrap();
    assert!(bound(&row("model")["loss"], "high") < bound(&row("context of 2 + 2")["loss"], "low"), "{table}");
    assert!(bound(&row("model")["difference"], "high") < -0.1, "{table}");
}
