//! A model in the catalog: what is recorded of it, and where its files lie.

use std::path::PathBuf;

use vestore::Store;
use vestore_schema::{Architecture, Digest, EncoderRecord, Model as ModelRecord};

use crate::model::Description;
use crate::model::source::ModelSource;

/// The files and layers that the catalog records for a model.
#[must_use]
pub fn source_of(store: &Store, record: &ModelRecord) -> ModelSource {
    let place = |path: &String| -> PathBuf { store.model_path(record, path) };
    ModelSource {
        checkpoint: place(&record.checkpoint),
        kept_layers: Some(record.kept_layers.clone()),
        adapter: record.adapter.as_ref().map(place),
        adapter_layers: record.adapter_layers.clone(),
    }
}

/// What the catalog records of a model called `name`, whose files lie in the folders `checkpoint` and
/// `adapter`: absolute paths. It has no parent.
#[must_use]
pub fn record_of(
    name: &str,
    description: Description,
    checkpoint: String,
    adapter: Option<String>,
) -> ModelRecord {
    ModelRecord {
        name: name.to_owned(),
        id: Digest::from(description.id),
        family: description.family.to_owned(),
        checkpoint,
        adapter,
        adapter_layers: None,
        copied: false,
        files: Vec::new(),
        parent: None,
        pruned_by: None,
        training: None,
        weights_digest: description.weights_digest.into(),
        adapter_digest: description.adapter_digest.map(Digest::from),
        adapter_kind: description.adapter_kind.map(str::to_owned),
        adapter_base: description.adapter_base,
        config: description.config,
        layers: description.layers_in_checkpoint,
        kept_layers: description.kept_layers,
        hidden: description.hidden,
        parameters: description.parameters,
        weight_bytes: description.weight_bytes,
        architecture: Architecture::Encoder(EncoderRecord {
            tokenizer_digest: description.tokenizer_digest.into(),
            masked_lm: description.has_masked_lm,
            labels: description.labels,
            tokenizer: description.tokenizer_kind,
            max_tokens: description.max_tokens,
        }),
        license: description.license,
        note: description.note,
    }
}
