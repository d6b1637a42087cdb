//! Why an adapter cannot be used.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checkpoint::CheckpointError;

/// Why an adapter is refused.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// Its files cannot be read.
    #[error(transparent)]
    Files(Box<CheckpointError>),
    /// A kind of adapter that cannot be merged here.
    #[error("`{}` is an adapter of kind {found}; supported: LORA (with DoRA), IA3, VERA, HOULSBY, SQUEEZE_EXCITE", file.display())]
    UnknownKind {
        /// `adapter_config.json`.
        file: PathBuf,
        /// `peft_type`, as written.
        found: String,
    },
    /// No module of the model is targeted.
    #[error(
        "`{}` targets {targets}, which names no module of the model; its modules end in {}",
        file.display(), modules.join(", ")
    )]
    NoTarget {
        /// `adapter_config.json`.
        file: PathBuf,
        /// `target_modules`, as written.
        targets: String,
        /// Last parts of the names of the model's linear modules.
        modules: Vec<String>,
    },
    /// A targeted module has no tensors.
    #[error("`{}` lacks `{key}`, which its configuration asks for; the file is incomplete", file.display())]
    MissingTensor {
        /// The adapter's weights.
        file: PathBuf,
        /// The missing tensor, as this program names it.
        key: String,
    },
    /// A tensor that nothing asks for.
    #[error("`{}` holds `{key}`, which {reason}", file.display())]
    UnexpectedTensor {
        /// The adapter's weights.
        file: PathBuf,
        /// The tensor, as this program names it.
        key: String,
        /// Why it has no place, and what to do.
        reason: &'static str,
    },
    /// A tensor of another shape than its target asks for.
    #[error(
        "`{}`: `{key}` has shape {found:?}, its target asks for {expected:?}; it was trained on another base model",
        file.display()
    )]
    WrongShape {
        /// The adapter's weights.
        file: PathBuf,
        /// The tensor.
        key: String,
        /// Shape that the target asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A weight that the adapter should carry and does not.
    #[error(
        "`{}` lacks `{key}`, although adapter_config.json lists `{module}` in modules_to_save; \
         save the adapter again with the program that trained it", file.display()
    )]
    NotSaved {
        /// The adapter's weights.
        file: PathBuf,
        /// The missing weight, as this program names it.
        key: String,
        /// The module, as listed.
        module: String,
    },
    /// Tensors of several adapters in one file.
    #[error("`{}` holds {} adapters: {}; save one of them alone", file.display(), names.len(), names.join(", "))]
    Several {
        /// The adapter's weights.
        file: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// A folder that is not an adapter's.
    #[error("`{}` holds no adapter (no adapter_config.json){}", folder.display(), remedy(folder, inner))]
    NoAdapter {
        /// The folder.
        folder: PathBuf,
        /// Folders in it that are adapters'.
        inner: Vec<String>,
    },
    /// A layer number that the pruned model has not.
    #[error(
        "`{}` changes layer {layer}, the pruned model has {kept} layers; \
         use --adapter-layers original if it was trained on the whole model", file.display()
    )]
    NoLayer {
        /// The adapter's weights.
        file: PathBuf,
        /// The number.
        layer: u32,
        /// Kept layers.
        kept: usize,
    },
}

/// What to give instead of `folder`.
fn remedy(folder: &Path, inner: &[String]) -> String {
    match inner {
        [] => "; expected a folder as PEFT writes it".to_owned(),
        [name] => format!("; it holds the adapter `{name}`: use --adapter {}", folder.join(name).display()),
        names => format!(
            "; it holds the adapters {}: use --adapter with one of them, such as {}",
            names.join(", "),
            folder.join(&names[0]).display()
        ),
    }
}

impl From<CheckpointError> for AdapterError {
    fn from(error: CheckpointError) -> Self {
        Self::Files(Box::new(error))
    }
}
