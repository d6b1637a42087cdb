//! Why a model cannot be used.

use std::path::PathBuf;

use tch::TchError;
use thiserror::Error;

use crate::adapter::AdapterError;
use crate::checkpoint::CheckpointError;
use crate::layers::LayersError;
use crate::tokenize::TokenizerError;

/// Why a model cannot be described, loaded or run.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The files of the weights cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tokenizer cannot be read or does not fit.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The adapter cannot be read or does not fit.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The list of kept layers does not fit the checkpoint.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// The list of kept networks does not fit the checkpoint.
    #[error("invalid networks {kept:?}; expected ascending numbers of the checkpoint's networks, 0 to {}", networks - 1)]
    Networks {
        /// As asked.
        kept: Vec<u32>,
        /// How many networks the checkpoint has.
        networks: u32,
    },
    /// An adapter for a family that takes none.
    #[error("models of the family {family} take no adapters; leave out --adapter")]
    NoAdapters {
        /// The family.
        family: &'static str,
    },
    /// Layers have no such part.
    #[error("unknown part `{part}` of a layer; expected one of block, attention, mlp")]
    UnknownPart {
        /// As asked.
        part: String,
    },
    /// The user wants to stop and does not wait for the batch.
    #[error("interrupted")]
    Interrupted,
    /// No dialect recognises the configuration.
    #[error(
        "`{}` describes no known family (model_type {found}); known families: {}",
        file.display(), known.join(", ")
    )]
    UnknownFamily {
        /// The configuration.
        file: PathBuf,
        /// Its `model_type` and `architectures`, as written.
        found: String,
        /// The families that can be read.
        known: Vec<&'static str>,
    },
    /// An adapter's folder where a model's is expected.
    #[error(
        "`{}` is an adapter, not a whole model (it has adapter_config.json and no config.json); \
         use --checkpoint with the folder of its base model and --adapter {}", folder.display(), folder.display()
    )]
    IsAdapter {
        /// The folder.
        folder: PathBuf,
    },
    /// A checkpoint with an adapter in its folder, which other programs apply.
    #[error(
        "`{}` holds an adapter beside the model (adapter_config.json), which transformers applies when it loads the \
         folder; use --adapter {} to apply it, or move its files elsewhere to use the model without it",
        folder.display(), folder.display()
    )]
    HoldsAdapter {
        /// The folder.
        folder: PathBuf,
    },
    /// Rotary frequencies that are not those of the configuration.
    #[error(
        "`{}`: `{key}` holds other rotary frequencies than those of base {base}; \
         set `rope_theta` in config.json to the base that the model was trained with", file.display()
    )]
    Frequencies {
        /// The file.
        file: PathBuf,
        /// Name of the table.
        key: String,
        /// Base of the wavelengths that the configuration stands for.
        base: f64,
    },
    /// Weights that the encoder needs are not there.
    #[error(
        "`{}` lacks {count} weights, first `{key}`; the file is incomplete or of another family than its config.json says",
        file.display()
    )]
    MissingWeight {
        /// The file.
        file: PathBuf,
        /// Name of the first missing weight.
        key: String,
        /// How many are missing.
        count: usize,
    },
    /// Weights that no part of the encoder would use.
    #[error(
        "`{}` holds {count} weights that this family has no place for, first `{key}`; \
         check that config.json belongs to it",
        file.display()
    )]
    UnexpectedWeight {
        /// The file.
        file: PathBuf,
        /// Name of the first such weight.
        key: String,
        /// How many there are.
        count: usize,
    },
    /// A weight of another shape than the configuration says.
    #[error(
        "`{}`: `{key}` has shape {found:?}, config.json asks for {expected:?}; check that config.json belongs to it",
        file.display()
    )]
    WrongShape {
        /// The file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// Shape that the configuration asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A weight of another number type than F32, F16 or BF16.
    #[error("`{}`: `{key}` is stored as {found}; convert it to F32, F16 or BF16", file.display())]
    WrongType {
        /// The file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// The type.
        found: &'static str,
    },
    /// A decoder that should be the embedding table is another one.
    #[error(
        "`{}`: `{key}` differs from the embeddings although config.json ties them; \
         set `tie_word_embeddings` to false if the decoder is meant to be its own",
        file.display()
    )]
    NotTied {
        /// The file.
        file: PathBuf,
        /// Name of the decoder.
        key: String,
    },
    /// A classification head over a pooler that was never saved.
    #[error(
        "`{}` has a classifier but no `{key}`: the pooler that it was trained with was not saved, so its \
         outputs cannot be reproduced; save the pooler too (for PEFT: modules_to_save=[\"pooler\", \"classifier\"])",
        file.display()
    )]
    NoPooler {
        /// The checkpoint's or adapter's file.
        file: PathBuf,
        /// Name of the missing weight.
        key: String,
    },
    /// More tokens than the model has positions.
    #[error("a window of {found} tokens is longer than the model's {limit}; take shorter windows")]
    TooLong {
        /// Tokens of the window.
        found: i64,
        /// Most tokens that the model takes.
        limit: u32,
    },
    /// The model lacks the head that a score needs.
    #[error("the model has no {head} head; choose another score")]
    NoHead {
        /// `masked language model` or `classification`.
        head: &'static str,
    },
    /// A regulatory model without the wanted head.
    #[error("`{}` has no {head} head; use --head {}", file.display(), known.join(" or "))]
    NoSpecies {
        /// The file.
        file: PathBuf,
        /// The head.
        head: &'static str,
        /// Heads that it has.
        known: Vec<&'static str>,
    },
    /// libtorch failed: out of memory, most often.
    #[error("libtorch failed")]
    Torch(#[from] TchError),
}

impl ModelError {
    /// Whether the device ran out of memory, so that a smaller batch may do.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Torch(TchError::Torch(message)) = self else { return false };
        message.contains("out of memory") || message.contains("can't allocate memory")
    }
}
