//! What a regulatory checkpoint is: read and checked, with its identity.

use rayon::prelude::*;
use serde_json::json;
use vestore_schema::{
    Architecture, Digest, Head, Model as ModelRecord, RegulatoryRecord, canonical_json, hexadecimal,
};

use super::blueprint::{is_kept, parameter_count};
use super::config::RegulatoryConfig;
use super::files::RegulatoryFiles;
use crate::checkpoint::{
    CheckpointError, ConfigFile, ModelSource, card_field, card_license, digest, tensor_line,
};
use crate::error::ModelError;

/// The table of a head's targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetsSource {
    /// Where it lies: an absolute path.
    pub file: String,
    /// Digest of what it says.
    pub digest: Digest,
}

/// Whether a checkpoint is one of a regulatory model.
///
/// # Errors
/// When its configuration cannot be read.
pub fn is_regulatory_model(source: &ModelSource) -> Result<bool, CheckpointError> {
    let config = source.checkpoint.join("config.json");
    Ok(config.is_file() && RegulatoryConfig::family_of(&ConfigFile::read(&config)?).is_some())
}

/// The options of a regulatory model, from its configuration.
///
/// # Errors
/// When the configuration cannot be read or describes another network.
pub fn regulatory_config(source: &ModelSource) -> Result<RegulatoryConfig, ModelError> {
    Ok(RegulatoryFiles::open(source)?.config)
}

/// Targets of a head of a regulatory model.
///
/// # Errors
/// When the files cannot be read or contradict each other, or the checkpoint lacks the head.
pub fn regulatory_targets(source: &ModelSource, head: Head) -> Result<u32, ModelError> {
    RegulatoryFiles::open(source)?.check_head(head)
}

/// What the catalog records of a regulatory model called `name`, whose files lie in the folders `checkpoint` and
/// `adapter`: absolute paths. Layers are transformer blocks. It has no parent.
///
/// # Errors
/// When the files cannot be read or contradict each other, or the checkpoint lacks the head.
pub fn regulatory_record(
    name: &str,
    source: &ModelSource,
    checkpoint: String,
    adapter: Option<String>,
    head: Head,
    targets: Option<TargetsSource>,
) -> Result<ModelRecord, ModelError> {
    let files = RegulatoryFiles::open(source)?;
    let count = files.check_head(head)?;
    let config = &files.config;
    let names: Vec<&String> = files.blueprint.parameters.keys().collect();
    let lines: Vec<String> = names
        .into_par_iter()
        .filter_map(|name| Some(tensor_line(name, &files.stored(name)?)))
        .collect::<Result<_, CheckpointError>>()?;
    let weights_digest = digest(lines.concat().as_bytes());
    let adapter_digest = match &files.adapter {
        Some(adapter) => Some(digest(canonical_json(&adapter.identity()?).as_bytes())),
        None => None,
    };
    let targets_digest = targets.as_ref().map(|targets| targets.digest);
    let identity = json!({
        "format": "vestore-regulatory-1",
        "family": config.name(),
        "config": config.identity(),
        "weights": hexadecimal(&weights_digest),
        "kept_layers": files.kept,
        "adapter": adapter_digest.map(|hash| hexadecimal(&hash)),
        "head": head,
        "targets": targets_digest,
    });
    let kept = files.blueprint.parameters.keys().filter(|name| is_kept(name, &files.kept));
    let weight_bytes = kept.filter_map(|name| files.stored(name)).map(|found| found.byte_count()).sum();
    let text = |key: &str| files.file.text(key).map(str::to_owned);
    let card = |key, read: &dyn Fn() -> Result<Option<String>, CheckpointError>| {
        text(key).map_or_else(read, |text| Ok(Some(text)))
    };
    Ok(ModelRecord {
        name: name.to_owned(),
        id: Digest::from(digest(canonical_json(&identity).as_bytes())),
        family: config.name().to_owned(),
        checkpoint,
        adapter,
        adapter_layers: source.adapter_layers.clone(),
        copied: false,
        files: Vec::new(),
        parent: None,
        pruned_by: None,
        training: None,
        weights_digest: Digest::from(weights_digest),
        adapter_digest: adapter_digest.map(Digest::from),
        adapter_kind: files.adapter.as_ref().map(|adapter| adapter.kind().to_owned()),
        adapter_base: files.adapter.as_ref().and_then(|adapter| adapter.other_base(&files.names)),
        hub: None,
        adapter_hub: None,
        config: config.identity(),
        layers: config.depth,
        hidden: config.hidden,
        parameters: parameter_count(&files.blueprint.parameters, &files.kept),
        weight_bytes,
        architecture: Architecture::Regulatory(RegulatoryRecord {
            head,
            targets: count,
            targets_file: targets.map(|targets| targets.file),
            targets_digest,
            bin: config.bin(),
            center_bins: config.center_bins.unwrap_or(0),
            features: files.features(head),
        }),
        kept_layers: files.kept,
        license: card("license", &|| card_license(&source.checkpoint))?,
        note: card("note", &|| card_field(&source.checkpoint, "note"))?,
    })
}
