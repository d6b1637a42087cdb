//! Seeded mutations of every file of a model and an adapter: refused, or harmless; never a panic. `make soak`
//! gives each file more rounds.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::support::{checkpoint, directory};
use vestore_ingest::synthetic::SyntheticFamily;
use vestore_ingest::{ModelSource, Random, describe};

/// What hostile JSON, vocabularies and pickles are made of.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\n",
    b"{",
    b"]",
    b"\"",
    b"-1",
    b"0",
    b"4294967296",
    b"18446744073709551615",
    b"1e400",
    b"null",
    b"[]",
    b"\"../../etc/passwd\"",
    b"\xff\xff\xff\xff",
    b"[UNK]",
    b"true",
];

/// Changes a file within its first `reach` bytes, over and over; after each the model is refused or described.
fn mutate(source: &ModelSource, file: &Path, reach: usize, usual: u64) {
    let good = fs::read(file).expect("read");
    let times: u64 = std::env::var("VESTORE_MUTATIONS").map_or(1, |text| text.parse().expect("a number"));
    for round in 0..usual * times {
        let mut random = Random::new(round);
        let mut below = |limit: usize| random.below(limit as u64) as usize;
        let mut bytes = good.clone();
        for _ in 0..=below(3) {
            let at = below(bytes.len().min(reach) + 1).min(bytes.len());
            let length = below(9).min(bytes.len() - at);
            let piece = PIECES[below(PIECES.len())].iter().copied();
            match below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
                1 => drop(bytes.splice(at..at, piece)),
                2 => drop(bytes.splice(at..at + length, piece)),
                3 => drop(bytes.drain(at..at + length)),
                _ if below(10) == 0 => bytes.truncate(at),
                _ => {}
            }
        }
        fs::write(file, &bytes).expect("written");
        let done = catch_unwind(AssertUnwindSafe(|| {
            if let Err(error) = describe(source) {
                assert!(!error.to_string().is_empty());
            }
        }));
        assert!(done.is_ok(), "{}, round {round}", file.display());
    }
    fs::write(file, good).expect("written");
}

#[test]
fn files_of_a_model_are_refused_or_harmless() {
    let root = directory();
    for (family, files) in [
        (
            SyntheticFamily::NucleotideTransformerV2,
            &["config.json", "tokenizer_config.json", "model.safetensors"][..],
        ),
        (SyntheticFamily::Dnabert2, &["config.json", "tokenizer.json"]),
    ] {
        let model = checkpoint(root.path(), family, None);
        let source = ModelSource::new(&model);
        describe(&source).expect("a model");
        for name in files {
            let file = model.join(name);
            if file.exists() {
                mutate(&source, &file, 4000, 120);
            } else {
                panic!("{family:?} has no {name}");
            }
        }
    }
}

#[test]
fn files_of_an_adapter_are_refused_or_harmless() {
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::NucleotideTransformerV2, None);
    let adapter = root.path().join("adapter");
    fs::create_dir(&adapter).expect("made");
    let config = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"],
        "bias": "none", "task_type": "FEATURE_EXTRACTION", "fan_in_fan_out": false}"#;
    fs::write(adapter.join("adapter_config.json"), config).expect("written");
    let names = ["query", "value"]
        .map(|module| format!("base_model.model.esm.encoder.layer.0.attention.self.{module}"));
    let weights: Vec<_> = names
        .iter()
        .flat_map(|name| {
            [
                crate::support::numbers(&format!("{name}.lora_A.weight"), &[4, 32], 1),
                crate::support::numbers(&format!("{name}.lora_B.weight"), &[32, 4], 2),
            ]
        })
        .collect();
    vestore_ingest::synthetic::write_safetensors(&adapter.join("adapter_model.safetensors"), &weights)
        .expect("written");
    let source = ModelSource { adapter: Some(adapter.clone()), ..ModelSource::new(&model) };
    mutate(&source, &adapter.join("adapter_config.json"), 4000, 150);
    mutate(&source, &adapter.join("adapter_model.safetensors"), 600, 150);
}
