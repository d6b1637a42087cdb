//! What the tests of the engine share: synthetic checkpoints on disk in every container, and scores.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tch::{Device, Kind};
use vestore_ingest::synthetic::{self, NamedWeight, SyntheticFamily, SyntheticShape};
use vestore_ingest::{
    EncoderScorer, EncoderWindow, Model, ModelSource, Random, Row, ScoreError, Scorer, Strands, TokenOutput,
    TokenPass, WindowPair, Work, describe, rows,
};
use vestore_schema::{AblatedPart, Dtype, Recipe};

pub(crate) const FAMILIES: [SyntheticFamily; 4] = [
    SyntheticFamily::NucleotideTransformerV1,
    SyntheticFamily::NucleotideTransformerV2,
    SyntheticFamily::Dnabert2,
    SyntheticFamily::Dnagrinder,
];

/// A directory that goes when the test ends.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Writes a tiny checkpoint of `family` under `root` and gives its directory.
pub(crate) fn checkpoint(root: &Path, family: SyntheticFamily, labels: Option<u32>) -> PathBuf {
    let directory = root.join(format!("{family:?}-{labels:?}"));
    let shape = SyntheticShape { labels, ..SyntheticShape::tiny(family) };
    synthetic::write_checkpoint(&directory, &shape, 7).expect("written");
    directory
}

/// The weights of that checkpoint.
pub(crate) fn weights(family: SyntheticFamily, labels: Option<u32>) -> Vec<NamedWeight> {
    synthetic::weights(&SyntheticShape { labels, ..SyntheticShape::tiny(family) }, 7)
}

/// Replaces the weights of a checkpoint.
pub(crate) fn rewrite(directory: &Path, weights: &[NamedWeight]) {
    synthetic::write_safetensors(&directory.join("model.safetensors"), weights).expect("written");
}

/// Changes config.json.
pub(crate) fn configure(directory: &Path, change: impl FnOnce(&mut Value)) {
    let file = directory.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    change(&mut config);
    fs::write(file, config.to_string()).expect("written");
}

/// Why the model in a directory is refused.
pub(crate) fn refusal(directory: &Path) -> String {
    refusal_of(&ModelSource::new(directory))
}

/// Why a model is refused, with all causes.
pub(crate) fn refusal_of(source: &ModelSource) -> String {
    let error = describe(source).expect_err("a refusal");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn load(source: &ModelSource) -> Model {
    Model::load(source, Device::Cpu, Kind::Float).expect("a model")
}

/// What a test scores.
#[derive(Clone)]
pub(crate) struct Scoring {
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) strands: Strands,
    pub(crate) batch_tokens: u32,
    pub(crate) embeddings: bool,
}

pub(crate) fn recipe(kinds: &[&'static str]) -> Scoring {
    Scoring { kinds: kinds.to_vec(), strands: Strands::Both, batch_tokens: 2048, embeddings: false }
}

impl Scoring {
    pub(crate) fn recipe(&self, window: u32) -> Recipe {
        Recipe {
            scores: self.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            window,
            strands: self.strands,
            dtype: Dtype::F32,
            precision: None,
            part: AblatedPart::default(),
            splice: None,
            regulatory: None,
        }
    }

    pub(crate) fn scorer(&self, model: &Model) -> Result<EncoderScorer, ScoreError> {
        EncoderScorer::new(model, &self.recipe(60), self.embeddings, self.batch_tokens)
    }

    pub(crate) fn work(&self, model: &Model, pairs: &[WindowPair]) -> Work<TokenPass, TokenOutput> {
        let windows: Vec<EncoderWindow> = pairs.iter().cloned().map(EncoderWindow::from).collect();
        self.scorer(model).expect("a fitting recipe").plan(&windows, true).expect("work")
    }
}

pub(crate) fn score(model: &Model, scoring: &Scoring, pairs: &[WindowPair]) -> Vec<Row> {
    let windows: Vec<EncoderWindow> = pairs.iter().cloned().map(EncoderWindow::from).collect();
    rows(&scoring.scorer(model).expect("a fitting recipe"), model, &windows).expect("rows")
}

/// A window of pseudo-random bases.
pub(crate) fn window(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::of(&[seed]);
    (0..length).map(|_| b"ACGT"[random.below(4) as usize]).collect()
}

/// The pair of an SNV in the middle of `reference`.
pub(crate) fn snv(reference: &[u8], alternate: u8) -> WindowPair {
    let centre = reference.len() / 2;
    let mut changed = reference.to_vec();
    changed[centre] = alternate;
    WindowPair {
        reference: Arc::from(reference),
        alternate: changed.into(),
        centre: centre as u32,
        reference_length: 1,
        alternate_length: 1,
    }
}

/// SNVs to every other base in windows of several seeds.
pub(crate) fn snvs(length: usize, count: u64) -> Vec<WindowPair> {
    (0..count)
        .flat_map(|seed| {
            let reference = window(length, seed);
            let old = reference[length / 2];
            b"ACGT".iter().filter(move |base| **base != old).map(move |base| snv(&reference, *base))
        })
        .collect()
}

/// Writes weights as torch writes `pytorch_model.bin`. With `transposed`, matrices lie column by
/// column with strides to match, three numbers into their storage.
pub(crate) fn write_bin(file: &Path, weights: &[NamedWeight], transposed: bool) {
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, number: usize| {
        pickle.push(b'J');
        pickle.extend((number as i32).to_le_bytes());
    };
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    let mut entries = Vec::new();
    for (key, (name, shape, numbers)) in weights.iter().enumerate() {
        let turn = transposed && shape.len() == 2;
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &key.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, numbers.len() + if turn { 3 } else { 0 });
        pickle.extend(if turn { b"tQK\x03(" } else { b"tQK\x00(" });
        for size in shape {
            number(&mut pickle, *size);
        }
        pickle.extend(b"t(");
        let strides = match shape.as_slice() {
            [rows, _] if turn => vec![1, *rows],
            [_, columns] => vec![*columns, 1],
            _ => vec![1],
        };
        for stride in strides {
            number(&mut pickle, stride);
        }
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
        let ordered: Vec<f32> = if turn {
            let (rows, columns) = (shape[0], shape[1]);
            let turned = (0..numbers.len()).map(|at| numbers[at % rows * columns + at / rows]);
            [9.0; 3].into_iter().chain(turned).collect()
        } else {
            numbers.clone()
        };
        entries.push((format!("model/data/{key}"), ordered.iter().flat_map(|n| n.to_le_bytes()).collect()));
    }
    pickle.extend(b"u.");
    entries.insert(0, ("model/data.pkl".to_owned(), pickle));
    fs::write(file, zip(&entries)).expect("written");
}

/// A zip archive of stored entries (checksums left zero: nobody reads them).
pub(crate) fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let offset = file.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// Writes an adapter as PEFT does.
pub(crate) fn write_adapter(directory: &Path, config: &Value, weights: &[NamedWeight]) {
    fs::create_dir_all(directory).expect("a directory");
    fs::write(directory.join("adapter_config.json"), config.to_string()).expect("written");
    synthetic::write_safetensors(&directory.join("adapter_model.safetensors"), weights).expect("written");
}

/// A `LoRA` configuration with `extra` fields on top.
pub(crate) fn lora(extra: Value) -> Value {
    let mut config =
        json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", "target_modules": ["query"] });
    if let (Some(config), Value::Object(extra)) = (config.as_object_mut(), extra) {
        config.extend(extra);
    }
    config
}

/// Numbers that differ from each other, for a tensor of `shape`.
pub(crate) fn numbers(name: &str, shape: &[usize], seed: u64) -> NamedWeight {
    let count: usize = shape.iter().product();
    let number = |at: usize| (((at as u64 * 7919 + seed * 104_729 + 13) % 1009) as f32 / 1009.0 - 0.5) * 0.4;
    (name.to_owned(), shape.to_vec(), (0..count).map(number).collect())
}
