//! What a splice checkpoint is: read and checked, with its identity.

use rayon::prelude::*;
use serde_json::json;
use tch::Device;
use vestore_schema::{Architecture, Digest, Model as ModelRecord, SpliceRecord, canonical_json, hexadecimal};

use super::config::SpliceConfig;
use super::network::SpliceModel;
use super::weights;
use crate::checkpoint::{
    Checkpoint, CheckpointError, ConfigFile, Found, ModelSource, card_license, digest, tensor_line,
};
use crate::convert::narrow;
use crate::error::ModelError;
use crate::layers::kept_layers;

/// What the catalog calls the family.
const FAMILY: &str = "spliceai";

/// Whether a checkpoint is one of a splice model.
///
/// # Errors
/// When its configuration cannot be read.
pub fn is_splice_model(source: &ModelSource) -> Result<bool, CheckpointError> {
    let config = source.checkpoint.join("config.json");
    Ok(config.is_file() && SpliceConfig::describes(&ConfigFile::read(&config)?))
}

/// What the catalog records of a splice model called `name`, whose files lie in the folder `checkpoint`: an absolute
/// path. Layers are residual blocks. It has no parent.
///
/// # Errors
/// When the files cannot be read or contradict each other, or an adapter is asked for.
pub fn splice_record(
    name: &str,
    source: &ModelSource,
    checkpoint: String,
) -> Result<ModelRecord, ModelError> {
    if source.adapter.is_some() {
        return Err(ModelError::NoAdapters { family: FAMILY });
    }
    let file = ConfigFile::read(&source.checkpoint.join("config.json"))?;
    let config = SpliceConfig::read(&file)?;
    let layers = narrow(config.blocks.len());
    let kept = kept_layers(source.kept_layers.as_deref(), layers)?;
    let weights = Checkpoint::open(&source.checkpoint, "model", "pytorch_model")?;
    weights::check(&weights, &config)?;
    let lines: Vec<String> = config
        .weights()
        .into_par_iter()
        .filter_map(|(name, _)| Some(tensor_line(&name, &Found::new(&weights, weights.get(&name)?))))
        .collect::<Result<_, CheckpointError>>()?;
    let weights_digest = digest(lines.concat().as_bytes());
    let networks = kept_networks(source, &config)?;
    let identity = json!({
        "format": "vestore-splice-1",
        "config": config.identity(),
        "weights": hexadecimal(&weights_digest),
        "kept_layers": kept,
        "kept_networks": networks,
    });
    let bytes = weights.tensors().map(|(_, tensor)| Found::new(&weights, tensor).byte_count()).sum();
    let text = |key: &str| file.text(key).map(str::to_owned);
    let license = text("license").map_or_else(|| card_license(&source.checkpoint), |text| Ok(Some(text)))?;
    Ok(ModelRecord {
        name: name.to_owned(),
        id: Digest::from(digest(canonical_json(&identity).as_bytes())),
        family: FAMILY.to_owned(),
        checkpoint,
        adapter: None,
        adapter_layers: None,
        copied: false,
        files: Vec::new(),
        parent: None,
        pruned_by: None,
        training: None,
        weights_digest: Digest::from(weights_digest),
        adapter_digest: None,
        adapter_kind: None,
        adapter_base: None,
        hub: None,
        adapter_hub: None,
        config: config.identity(),
        layers,
        hidden: config.channels,
        parameters: config.parameters(&networks, &kept),
        weight_bytes: bytes,
        architecture: Architecture::Splice(SpliceRecord {
            networks: config.models,
            kept_networks: networks,
            context: 2 * config.reach,
        }),
        kept_layers: kept,
        license,
        note: text("note"),
    })
}

/// Loads a splice model onto a device, in float32.
///
/// # Errors
/// When the files cannot be read or do not fit.
pub fn load_splice_model(source: &ModelSource, device: Device) -> Result<SpliceModel, ModelError> {
    let config = SpliceConfig::read(&ConfigFile::read(&source.checkpoint.join("config.json"))?)?;
    let kept = kept_layers(source.kept_layers.as_deref(), narrow(config.blocks.len()))?;
    Ok(SpliceModel {
        networks: weights::load(&source.checkpoint, &config, &kept_networks(source, &config)?, device)?,
        kept: kept.into_iter().map(|block| crate::convert::as_index(block.into())).collect(),
        blocks: config.blocks.len(),
        reach: i64::from(config.reach),
        device,
    })
}

/// The networks of the ensemble that a model keeps.
fn kept_networks(source: &ModelSource, config: &SpliceConfig) -> Result<Vec<u32>, ModelError> {
    let Some(kept) = &source.kept_networks else { return Ok((0..config.models).collect()) };
    let within = kept.last().is_some_and(|last| *last < config.models);
    if within && kept.is_sorted_by(|a, b| a < b) {
        return Ok(kept.clone());
    }
    Err(ModelError::Networks { kept: kept.clone(), networks: config.models })
}
