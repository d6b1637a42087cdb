//! Why the files of a checkpoint cannot be read.

use std::io;
use std::path::PathBuf;

use safetensors::tensor::SafeTensorError;
use thiserror::Error;

use super::pickle::PickleError;

/// Why a checkpoint's files cannot be read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// No file of a known name.
    #[error("`{}` holds no weights; expected one of {}", directory.display(), expected.join(", "))]
    NoWeights {
        /// Where they were looked for.
        directory: PathBuf,
        /// File names that would do.
        expected: Vec<String>,
    },
    /// The operating system refused.
    #[error("cannot read `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The safetensors header lies or the file is cut.
    #[error("`{}` is not a whole safetensors file; copy it again", file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// What the format's reader said.
        #[source]
        source: SafeTensorError,
    },
    /// The `.bin` file is damaged or holds more than weights.
    #[error("`{}` is refused", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: PickleError,
    },
    /// A link that leads out of the folder.
    #[error(
        "`{}` is a link to another place: `{}`; put a copy of the file in its place if it belongs to the model",
        file.display(), target.display()
    )]
    Link {
        /// The link.
        file: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A folder, pipe or device where a file is expected.
    #[error("not a plain file: `{}`; remove it, or replace it with the file that it stands for", file.display())]
    NotPlain {
        /// Its path.
        file: PathBuf,
    },
    /// A JSON file that is none.
    #[error("`{}` is not valid JSON of the expected form ({reason})", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A shard lacks what the index says it holds.
    #[error("the index `{}` places `{key}` in `{shard}`, which does not hold it; copy the shards again", file.display())]
    Shard {
        /// The index file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// File name of the shard.
        shard: String,
    },
    /// One name stands in two places.
    #[error("`{}` holds `{key}` twice (also as `{other}`); remove one", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// Name of the weight.
        key: String,
        /// The other spelling or place.
        other: String,
    },
    /// A value of the configuration is missing or not supported.
    #[error("`{}`: `{key}` is {found}; expected {expected}", file.display())]
    Config {
        /// The configuration.
        file: PathBuf,
        /// The key.
        key: String,
        /// The value, or `missing`.
        found: String,
        /// What would do.
        expected: String,
    },
    /// Weights under names that begin with something else.
    #[error(
        "`{}` names its weights with the prefix `{prefix}` (`{prefix}{key}` for `{key}`); \
         save the state dict of the model inside its wrapper", file.display()
    )]
    Wrapped {
        /// The file.
        file: PathBuf,
        /// What the names begin with.
        prefix: String,
        /// A weight's name without it.
        key: String,
    },
}
