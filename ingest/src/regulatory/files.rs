//! Opens the files of a regulatory model and checks them against each other, before any number is computed.

use vestore_schema::Head;

use super::blueprint::{Blueprint, head_name, plain_name};
use super::config::{RegulatoryConfig, RegulatoryFamily};
use crate::checkpoint::{BaseNames, Checkpoint, CheckpointError, ConfigFile, ModelSource, has_file, unwrap};
use crate::error::ModelError;
use crate::layers::kept_layers;

/// A regulatory model's files, opened and found to fit together.
pub(crate) struct RegulatoryFiles {
    pub(crate) config: RegulatoryConfig,
    pub(crate) file: ConfigFile,
    pub(crate) kept: Vec<u32>,
    pub(crate) blueprint: Blueprint,
    pub(crate) checkpoint: Checkpoint,
    /// What the checkpoint is called.
    pub(crate) names: BaseNames,
}

impl RegulatoryFiles {
    pub(crate) fn open(source: &ModelSource) -> Result<Self, ModelError> {
        let directory = &source.checkpoint;
        let beside = directory.join("adapter_config.json");
        let adapted =
            has_file(&beside).map_err(|source| CheckpointError::Io { file: beside.clone(), source })?;
        if adapted && source.adapter.is_none() {
            return Err(ModelError::HoldsAdapter { folder: directory.clone() });
        }
        let file = ConfigFile::read(&directory.join("config.json"))?;
        let family = RegulatoryConfig::family_of(&file).ok_or_else(|| {
            let expected = "`borzoi` or `enformer`";
            file.unsupported("model_type", expected)
        })?;
        let config = RegulatoryConfig::read(&file, family)?;
        let mut checkpoint = Checkpoint::open(directory, "model", "pytorch_model")?;
        unwrap(&mut checkpoint)?;
        if family == RegulatoryFamily::Enformer {
            checkpoint.rename_same(plain_name)?;
        }
        let blueprint = Blueprint::new(&config, &checkpoint);
        blueprint.check(&checkpoint, &config)?;
        let kept = kept_layers(source.kept_layers.as_deref(), config.depth)?;
        let names = BaseNames::of(directory, &file);
        Ok(Self { config, file, kept, blueprint, checkpoint, names })
    }

    /// Targets of a head; none where the checkpoint lacks it.
    pub(crate) fn targets(&self, head: Head) -> Option<u32> {
        let shape = self.blueprint.parameters.get(&format!("{}.weight", head_name(&self.config, head)))?;
        u32::try_from(*shape.first()?).ok()
    }

    /// Targets of a head that is wanted.
    pub(crate) fn check_head(&self, head: Head) -> Result<u32, ModelError> {
        self.targets(head).ok_or_else(|| {
            let there = Head::ALL.into_iter().filter(|head| self.targets(*head).is_some());
            ModelError::NoSpecies {
                file: self.checkpoint.path().to_owned(),
                head: head.as_str(),
                known: there.map(Head::as_str).collect(),
            }
        })
    }
}
