//! Where the files of a catalog's model lie.

use std::path::PathBuf;

use vestore::Store;
use vestore_schema::Model as ModelRecord;

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
