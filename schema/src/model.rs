//! Model versions.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::hub::HubOrigin;

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
    /// Where its checkpoint was fetched from, if it was by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubOrigin>,
    /// Where its adapter was fetched from, if it was by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_hub: Option<HubOrigin>,
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

/// The part of a model's record that depends on its architecture. Its fields stand beside the common ones; one of them,
/// `architecture`, says which it is, and is absent for encoders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Architecture {
    /// A transformer encoder over tokens.
    Encoder(EncoderRecord),
    /// A network over one-hot bases.
    OneHot(OneHotRecord),
    /// Residual networks that predict splice sites.
    Splice(SpliceRecord),
    /// A network that predicts profiles of experiments along half a million bases.
    Regulatory(RegulatoryRecord),
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(deserializer)?;
        let name = fields.get("architecture").cloned();
        let fields = serde_json::Value::Object(fields);
        let read = match name.as_ref().map(serde_json::Value::as_str) {
            None => serde_json::from_value(fields).map(Self::Encoder),
            Some(Some("one-hot")) => serde_json::from_value(fields).map(Self::OneHot),
            Some(Some("splice")) => serde_json::from_value(fields).map(Self::Splice),
            Some(Some("regulatory")) => serde_json::from_value(fields).map(Self::Regulatory),
            Some(_) => {
                let name = name.unwrap_or_default();
                return Err(D::Error::custom(format!("unknown architecture {name}; use a newer vestore")));
            }
        };
        read.map_err(D::Error::custom)
    }
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
#[serde(tag = "architecture", rename = "one-hot")]
pub struct OneHotRecord {
    /// Bases of one input, as the network was built.
    pub input_length: u32,
}

/// What the record of a splice model has. Its layers are residual blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename = "splice")]
pub struct SpliceRecord {
    /// Networks of the checkpoint.
    pub networks: u32,
    /// Networks whose probabilities are averaged, numbered from 0 as in the checkpoint.
    pub kept_networks: Vec<u32>,
    /// Bases that an output depends on, on both sides together.
    pub context: u32,
}

/// What the record of a regulatory model has. Its layers are transformer blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename = "regulatory")]
pub struct RegulatoryRecord {
    /// The head that is read.
    pub head: Head,
    /// Targets of that head.
    pub targets: u32,
    /// The table of targets: an absolute path, or relative to the store when the model is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets_file: Option<String>,
    /// Digest of what the table says: names, transforms and strand pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets_digest: Option<Digest>,
    /// Bases of a bin.
    pub bin: u32,
    /// Bins in the middle of the window that are read by default; 0 where it is all of them.
    pub center_bins: u32,
    /// Numbers of each bin that the head reads; 0 in the record of a model that was added before embeddings were known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub features: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Model {
    /// Numbers of an embedding: the width of the hidden states, or of what the head of a regulatory model reads.
    #[must_use]
    pub fn embedding_width(&self) -> u32 {
        match &self.architecture {
            Architecture::Regulatory(regulatory) => regulatory.features,
            _ => self.hidden,
        }
    }
}

/// The species whose experiments a head predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Human.
    #[default]
    Human,
    /// Mouse.
    Mouse,
}

impl Head {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Human, Self::Mouse];

    /// The name on the command line and in checkpoints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Mouse => "mouse",
        }
    }
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
            for place in ["checkpoint", "adapter", "copied", "files", "targets_file"] {
                fields.remove(place);
            }
        }
        value
    }

    /// How many of its parts are run, for people.
    #[must_use]
    pub fn kept_text(&self) -> String {
        let layers = format!("{} of {} layers", self.kept_layers.len(), self.layers);
        match &self.architecture {
            Architecture::Splice(splice) => {
                format!("{layers}, {} of {} networks", splice.kept_networks.len(), splice.networks)
            }
            Architecture::Encoder(_) | Architecture::OneHot(_) | Architecture::Regulatory(_) => layers,
        }
    }

    /// What it has as a transformer encoder, if it is one.
    #[must_use]
    pub fn encoder(&self) -> Option<&EncoderRecord> {
        match &self.architecture {
            Architecture::Encoder(record) => Some(record),
            Architecture::OneHot(_) | Architecture::Splice(_) | Architecture::Regulatory(_) => None,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(architecture: &Value) -> Value {
        let digest = Digest::of(b"m");
        let mut record = json!({
            "name": "m", "id": digest, "family": "f", "checkpoint": "", "copied": false, "weights_digest": digest,
            "config": {}, "layers": 1, "kept_layers": [0], "hidden": 8, "parameters": 1, "weight_bytes": 4
        });
        let (Some(record_fields), Some(fields)) = (record.as_object_mut(), architecture.as_object()) else {
            unreachable!("objects")
        };
        record_fields.extend(fields.clone());
        record
    }

    #[test]
    fn a_record_has_the_fields_of_its_architecture() {
        let encoder = json!({
            "tokenizer_digest": Digest::of(b"t"), "masked_lm": true, "labels": null, "tokenizer": { "kmer": 6 },
            "max_tokens": 100
        });
        let one_hot = json!({ "architecture": "one-hot", "input_length": 40 });
        let splice = json!({
            "architecture": "splice", "networks": 2, "kept_networks": [0, 1], "context": 48
        });
        let regulatory = json!({
            "architecture": "regulatory", "head": "mouse", "targets": 7, "targets_file": "/t",
            "targets_digest": Digest::of(b"t"), "bin": 32, "center_bins": 6144
        });
        for fields in [&encoder, &one_hot, &splice, &regulatory] {
            let model: Model = serde_json::from_value(record(fields)).expect("a model");
            let written = json!(model);
            for (key, value) in fields.as_object().expect("an object") {
                assert_eq!(written.get(key), Some(value), "{key}");
            }
            assert_eq!(serde_json::from_value::<Model>(written).expect("a model"), model);
        }
        let refusal =
            |fields: &Value| serde_json::from_value::<Model>(record(fields)).unwrap_err().to_string();
        let mut lost = encoder.clone();
        lost["input_length"] = json!(40);
        lost.as_object_mut().expect("an object").remove("tokenizer");
        assert!(refusal(&lost).contains("`tokenizer`"), "{}", refusal(&lost));
        let unknown = json!({ "architecture": "other", "input_length": 40 });
        assert!(refusal(&unknown).contains("unknown architecture \"other\""), "{}", refusal(&unknown));
    }
}
