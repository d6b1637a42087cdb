//! Where a model comes from.

use std::path::PathBuf;

use vestore::Store;
use vestore_schema::{Architecture, Model as ModelRecord};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSource {
    /// Directory with config.json, weights and tokenizer, as Hugging Face publishes them.
    pub checkpoint: PathBuf,
    /// Original numbers of the layers to keep, ascending; all when `None`.
    pub kept_layers: Option<Vec<u32>>,
    /// Original numbers of the networks of an ensemble to keep, ascending; all when `None`.
    pub kept_networks: Option<Vec<u32>>,
    /// Directory with `adapter_config.json` and `adapter_model`, as PEFT writes them.
    pub adapter: Option<PathBuf>,
    /// The layers of the pruned model that the adapter was trained on, which its layer numbers count;
    /// `None` when they are the checkpoint's.
    pub adapter_layers: Option<Vec<u32>>,
}

impl ModelSource {
    /// A whole checkpoint, without adapter.
    #[must_use]
    pub fn new(checkpoint: impl Into<PathBuf>) -> Self {
        Self {
            checkpoint: checkpoint.into(),
            kept_layers: None,
            kept_networks: None,
            adapter: None,
            adapter_layers: None,
        }
    }
}

/// The files and layers that the catalog records for a model.
#[must_use]
pub fn source_of(store: &Store, record: &ModelRecord) -> ModelSource {
    let place = |path: &String| -> PathBuf { store.model_path(record, path) };
    ModelSource {
        checkpoint: place(&record.checkpoint),
        kept_layers: Some(record.kept_layers.clone()),
        kept_networks: match &record.architecture {
            Architecture::Splice(splice) => Some(splice.kept_networks.clone()),
            Architecture::Encoder(_) | Architecture::OneHot(_) | Architecture::Regulatory(_) => None,
        },
        adapter: record.adapter.as_ref().map(place),
        adapter_layers: record.adapter_layers.clone(),
    }
}
