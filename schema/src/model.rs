//! Model versions.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A model version as the catalog records it: what its numbers depend on, where its files lie, and
/// what it was derived from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What people call it in this store.
    pub name: String,
    /// Identity: weights, encoder config, vocabulary, kept layers, adapter.
    pub id: Digest,
    /// The dialect its checkpoint is written in, `nucleotide-transformer-v2` for example.
    pub family: String,
    /// Folder of the checkpoint: absolute, or relative to the store when `copied`.
    pub checkpoint: String,
    /// Folder of the adapter, likewise.
    pub adapter: Option<String>,
    /// The layers that the adapter's layer numbers count, when it was trained on a pruned model; else they
    /// are the checkpoint's.
    pub adapter_layers: Option<Vec<u32>>,
    /// Whether the store keeps its own copy of the files under `models/<id>/`.
    pub copied: bool,
    /// The files of that copy; none where it was made before they were recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ModelFile>,
    /// The model that it was derived from in this store by pruning or adapting.
    pub parent: Option<String>,
    /// The track whose ablation named the layers that were dropped, when that is how they were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_by: Option<String>,
    /// How it was fine-tuned from its parent: digest of the data, hyperparameters, seed. No places on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<serde_json::Value>,
    /// Digest of the canonical tensors of the checkpoint.
    pub weights_digest: Digest,
    /// Digest of the adapter's tensors and settings.
    pub adapter_digest: Option<Digest>,
    /// Its kind: `lora`, `dora`, `ia3`, `vera` or `houlsby`.
    pub adapter_kind: Option<String>,
    /// The base model that the adapter's own configuration names, when it is another than the checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_base: Option<String>,
    /// The config fields that decide its numbers.
    pub config: serde_json::Value,
    /// Layers in the checkpoint: the blocks of its family that an ablation removes one at a time.
    pub layers: u32,
    /// Layers that are run, numbered as in the checkpoint, 0-based.
    pub kept_layers: Vec<u32>,
    /// Width of a hidden state, and of its embeddings.
    pub hidden: u32,
    /// Parameters that are used: layers that are run, what is below and above them.
    pub parameters: u64,
    /// Bytes of the weights as stored in the checkpoint.
    pub weight_bytes: u64,
    /// What only its architecture has.
    #[serde(flatten)]
    pub architecture: Architecture,
    /// Licence, as its config states it.
    pub license: Option<String>,
    /// A remark of whoever made the checkpoint (`note` in its config), such as "untrained".
    pub note: Option<String>,
}

/// A file of a copied model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Relative to the store.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

/// The part of a model's record that depends on its architecture. Its fields stand beside the common ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Architecture {
    /// A transformer encoder over tokens.
    Encoder(EncoderRecord),
    /// A network over one-hot bases.
    OneHot(OneHotRecord),
}

/// What the record of a transformer encoder has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderRecord {
    /// Digest of the effective vocabulary and tokenization rules.
    pub tokenizer_digest: Digest,
    /// Whether it has a masked-LM head.
    pub masked_lm: bool,
    /// Outputs of its classification head, if it has one.
    pub labels: Option<u32>,
    /// How it cuts sequence into tokens.
    pub tokenizer: TokenizerKind,
    /// Most tokens of one input, special tokens included, where the model has such a limit.
    pub max_tokens: Option<u32>,
}

/// What the record of a network over one-hot bases has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHotRecord {
    /// Bases of one input, as the network was built.
    pub input_length: u32,
}

/// How sequence is cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Non-overlapping words of this many bases, single bases for what remains.
    Kmer(u32),
    /// Byte pair encoding, words of varying length.
    Bpe,
    /// One base a token.
    Base,
}

impl Model {
    /// All that its numbers depend on and where it came from, without places on disk.
    #[must_use]
    pub fn provenance(&self) -> serde_json::Value {
        let mut value = serde_json::json!(self);
        if let Some(fields) = value.as_object_mut() {
            for place in ["checkpoint", "adapter", "copied", "files"] {
                fields.remove(place);
            }
        }
        value
    }

    /// What it has as a transformer encoder, if it is one.
    #[must_use]
    pub fn encoder(&self) -> Option<&EncoderRecord> {
        match &self.architecture {
            Architecture::Encoder(record) => Some(record),
            Architecture::OneHot(_) => None,
        }
    }
}

impl EncoderRecord {
    /// The longest window in bases that always fits, one special token counted; `None` without limit.
    #[must_use]
    pub fn max_window(&self) -> Option<u32> {
        let tokens = self.max_tokens?.saturating_sub(1);
        Some(match self.tokenizer {
            TokenizerKind::Kmer(k) => tokens.saturating_mul(k),
            // Byte pairs may all be single bases; two special tokens enclose them.
            TokenizerKind::Bpe => tokens.saturating_sub(1),
            TokenizerKind::Base => tokens,
        })
    }
}
