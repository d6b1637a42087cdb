//! A dialect reads one family's published files: which config.json is its own, what its keys mean,
//! how the weights are named. A new family is a new dialect, not a new encoder.

mod dnabert2;
mod dnagrinder;
mod nucleotide_transformer;

use std::path::Path;

use super::config::EncoderConfig;
use super::keys::Keys;
use crate::checkpoint::{Checkpoint, CheckpointError, ConfigFile};
use crate::error::ModelError;
use crate::tokenize::{Tokenizer, TokenizerError};

/// A part of the encoder that has weights. `Layer` parts exist once in each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    WordEmbedding,
    PositionEmbedding,
    TokenTypeEmbedding,
    EmbeddingNorm,
    FinalNorm,
    MaskedDense,
    MaskedNorm,
    MaskedDecoder,
    /// Not a module: the full name of the decoder's bias.
    MaskedBias,
    ClassDense,
    ClassOutput,
    Layer(LayerPart),
}

/// A part of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerPart {
    Query,
    Key,
    Value,
    /// Query, key and value in one matrix, in this order.
    Fused,
    AttentionOutput,
    AttentionNorm,
    FeedForwardInput,
    FeedForwardOutput,
    FeedForwardNorm,
}

/// What one family calls things.
pub(crate) struct Dialect {
    /// The family's name, part of a model's identity.
    pub(crate) family: &'static str,
    /// What stands before the encoder's names in checkpoints saved with a head; both spellings load.
    pub(crate) prefix: &'static str,
    /// The keys of the family's configuration.
    pub(crate) keys: Keys,
    /// Whether this config.json, with these weights, is of the family.
    pub(crate) recognises: fn(&ConfigFile, &Checkpoint) -> bool,
    /// The options of the encoder.
    pub(crate) config: fn(&ConfigFile) -> Result<EncoderConfig, CheckpointError>,
    /// Reads the tokenizer of a checkpoint's directory.
    pub(crate) tokenizer: fn(&Path, &EncoderConfig) -> Result<Tokenizer, TokenizerError>,
    /// What transformers calls the model with a classification head.
    pub(crate) classifier: &'static str,
    /// Name of a part without prefix; `{}` stands for the layer's number.
    pub(crate) name: fn(Part) -> &'static str,
    /// Names, or ends of names, of weights that published files hold and no score uses.
    pub(crate) ignored: &'static [&'static str],
}

static DIALECTS: [&Dialect; 3] = [&nucleotide_transformer::DIALECT, &dnabert2::DIALECT, &dnagrinder::DIALECT];

impl Dialect {
    /// The dialect of a checkpoint.
    pub(crate) fn find(config: &ConfigFile, checkpoint: &Checkpoint) -> Result<&'static Self, ModelError> {
        DIALECTS.into_iter().find(|dialect| (dialect.recognises)(config, checkpoint)).ok_or_else(|| {
            let shown = |key| config.get(key).map_or("missing".to_owned(), ToString::to_string);
            ModelError::UnknownFamily {
                file: config.path().to_owned(),
                found: format!("{}, architectures {}", shown("model_type"), shown("architectures")),
                known: DIALECTS.iter().map(|dialect| dialect.family).collect(),
            }
        })
    }

    /// The options of the encoder, once every key of the configuration is known not to change another number.
    pub(crate) fn encoder(&self, file: &ConfigFile) -> Result<EncoderConfig, CheckpointError> {
        self.keys.check(file)?;
        (self.config)(file)
    }

    /// The name of `part`, of layer `layer` where it is a layer's.
    pub(crate) fn name_of(&self, part: Part, layer: u32) -> String {
        (self.name)(part).replace("{}", &layer.to_string())
    }

    /// The name without the prefix that only some checkpoints have.
    pub(crate) fn bare<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.prefix).unwrap_or(name)
    }

    /// The name that a checkpoint saved with a head gives a weight: what is the encoder's has the prefix.
    pub(crate) fn published(&self, name: &str) -> String {
        let inside = ["encoder.", "embeddings.", "pooler."].iter().any(|part| name.starts_with(part));
        format!("{}{name}", if inside { self.prefix } else { "" })
    }

    /// Whether a weight is known to be of no use.
    pub(crate) fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| name == *ignored || name.ends_with(&format!(".{ignored}")))
    }

    /// Whether a module, which an adapter may have changed, is known to be of no use.
    pub(crate) fn ignores_module(&self, module: &str) -> bool {
        self.ignores(&format!("{module}.weight"))
    }
}

/// Whether an embedding table of `rows` rows may belong to a vocabulary of `tokens` tokens: it has a row for each,
/// or was padded, as training programs do for speed, with rows that no token uses.
fn has_rows_for(rows: u32, tokens: u32) -> bool {
    /// Most rows that are added: tables are padded to a multiple of 8 to 512.
    const PADDING: u32 = 512;
    rows == tokens || (rows > tokens && rows - tokens < PADDING && rows.is_multiple_of(8))
}

/// Whether any value of `auto_map` names `text`: published configs without `model_type` have it.
fn auto_map_names(config: &ConfigFile, text: &str) -> bool {
    let values = config.get("auto_map").and_then(serde_json::Value::as_object);
    values.is_some_and(|map| map.values().any(|value| value.as_str().is_some_and(|name| name.contains(text))))
}
