//! What a model version is: a digest over everything that decides its numbers, and nothing else. The
//! same weights as `.bin`, as one safetensors file or as shards are one model.

use rayon::prelude::*;
use serde_json::{Value, json};
use vestore_schema::{canonical_json, hexadecimal};

use super::files::ModelFiles;
use crate::checkpoint::{CheckpointError, Hash, digest, tensor_line};

/// The digests of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Over the checkpoint's used weights.
    pub(crate) weights: Hash,
    /// Over vocabulary and rules.
    pub(crate) tokenizer: Hash,
    /// Over the adapter's changes and tensors.
    pub(crate) adapter: Option<Hash>,
    /// Over all of these, the encoder's options and the kept layers.
    pub(crate) model: Hash,
}

impl Identity {
    pub(crate) fn of(opened: &ModelFiles, config: &Value) -> Result<Self, CheckpointError> {
        let names: Vec<&String> = opened.used.keys().collect();
        let lines: Vec<String> = names
            .into_par_iter()
            .filter_map(|name| opened.stored(name).map(|found| tensor_line(name, &found)))
            .collect::<Result<_, _>>()?;
        let weights = digest(lines.concat().as_bytes());
        let tokenizer = digest(canonical_json(&opened.tokenizer.identity()).as_bytes());
        let adapter = match &opened.adapter {
            Some(adapter) => Some(digest(canonical_json(&adapter.identity()?).as_bytes())),
            None => None,
        };
        let model = digest(
            canonical_json(&json!({
                "format": "vestore-model-1",
                "family": opened.dialect.family,
                "encoder": config,
                "weights": hexadecimal(&weights),
                "tokenizer": hexadecimal(&tokenizer),
                "kept_layers": opened.kept,
                "adapter": adapter.map(|hash| hexadecimal(&hash)),
            }))
            .as_bytes(),
        );
        Ok(Self { weights, tokenizer, adapter, model })
    }
}
