//! What the catalog records of a tuned model.

use std::path::Path;

use serde_json::json;
use vestore::Store;
use vestore_schema::Model;

use super::plan::{TuningMethod, TuningPlan};
use crate::checkpoint::{ModelSource, source_of};
use crate::dataset::LabelledWindows;
use crate::encoder::model::describe;
use crate::encoder::record_of;
use crate::train::error::TrainError;
use crate::train::run_directory::{RunDirectoryError, io_error};

/// The record of a model called `name` that was tuned from `parent` by `plan` and lies in `output`.
///
/// # Errors
/// When the model cannot be read, or its path is not valid UTF-8.
pub fn tuned_record(
    store: &Store,
    name: &str,
    parent: &Model,
    output: &Path,
    plan: &TuningPlan,
    windows: &LabelledWindows,
) -> Result<Model, TrainError> {
    let text = |path: &Path| -> Result<String, RunDirectoryError> {
        let path = std::path::absolute(path).map_err(io_error(path))?;
        path.to_str().map(str::to_owned).ok_or(RunDirectoryError::NotUtf8 { path })
    };
    let source = if matches!(plan.method, TuningMethod::Adapter { .. }) {
        let pruned = parent.kept_layers.len() < parent.layers as usize;
        let adapter_layers = pruned.then(|| parent.kept_layers.clone());
        ModelSource { adapter: Some(output.to_owned()), adapter_layers, ..source_of(store, parent) }
    } else {
        ModelSource::new(output)
    };
    let description = describe(&source)?;
    let adapter = source.adapter.as_deref().map(text).transpose()?;
    Ok(Model {
        adapter_layers: source.adapter_layers.clone(),
        parent: Some(parent.name.clone()),
        // An adapter keeps the checkpoint of its parent.
        hub: source.adapter.as_ref().and(parent.hub.clone()),
        training: Some(json!({ "plan": plan, "task": windows.task, "data": windows.identity })),
        ..record_of(name, description, text(&source.checkpoint)?, adapter)
    })
}
