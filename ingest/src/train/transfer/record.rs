//! What the catalog records of a transferred model.

use std::path::Path;

use serde_json::{Value, json};
use vestore::Store;
use vestore_schema::Model;

use super::UNTRANSFORM;
use super::plan::{TransferMethod, TransferPlan};
use crate::checkpoint::{ModelSource, source_of};
use crate::coverage::CoverageTargets;
use crate::regulatory::{TargetsSource, regulatory_record};
use crate::train::error::TrainError;
use crate::train::run_directory::{RECORD, RunDirectoryError, TARGETS, io_error};

/// What a transfer that wrote `folder` left there of its settings, by which its model is scored; `None` where no transfer
/// wrote it.
#[must_use]
pub fn transfer_settings(folder: &Path) -> Option<Value> {
    let text = std::fs::read(folder.join(RECORD)).ok()?;
    let mut found: Value = serde_json::from_slice(&text).ok()?;
    let training = found.get_mut("training")?.take();
    let [plan, data, untransform] = ["plan", "data", "untransform"].map(|key| training.get(key).cloned());
    Some(json!({ "plan": plan?, "data": data?, "untransform": untransform? }))
}

/// The record of a model called `name` that was transferred from `parent` by `plan` and lies in `output`.
///
/// # Errors
/// When the model cannot be read, or its path is not valid UTF-8.
pub fn transfer_record(
    store: &Store,
    name: &str,
    parent: &Model,
    output: &Path,
    plan: &TransferPlan,
    targets: &CoverageTargets,
    identity: &Value,
) -> Result<Model, TrainError> {
    let text = |path: &Path| -> Result<String, RunDirectoryError> {
        let path = std::path::absolute(path).map_err(io_error(path))?;
        path.to_str().map(str::to_owned).ok_or(RunDirectoryError::NotUtf8 { path })
    };
    let source = if matches!(plan.method, TransferMethod::Adapter(_)) {
        let pruned = parent.kept_layers.len() < parent.layers as usize;
        let adapter_layers = pruned.then(|| parent.kept_layers.clone());
        ModelSource { adapter: Some(output.to_owned()), adapter_layers, ..source_of(store, parent) }
    } else {
        ModelSource::new(output)
    };
    let table = TargetsSource { file: text(&output.join(TARGETS))?, digest: targets.table().digest() };
    let adapter = source.adapter.as_deref().map(text).transpose()?;
    let record =
        regulatory_record(name, &source, text(&source.checkpoint)?, adapter, plan.head, Some(table))?;
    Ok(Model {
        parent: Some(parent.name.clone()),
        // An adapter keeps the checkpoint of its parent.
        hub: source.adapter.as_ref().and(parent.hub.clone()),
        training: Some(json!({ "plan": plan, "data": identity, "untransform": UNTRANSFORM })),
        ..record
    })
}
