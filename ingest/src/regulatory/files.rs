//! Opens the files of a regulatory model and checks them against each other, before any number is computed.

use vestore_schema::Head;

use super::blueprint::{Blueprint, head_name, plain_name};
use super::config::{RegulatoryConfig, RegulatoryFamily};
use crate::adapter::{Adapter, AdapterError, Base, Family};
use crate::checkpoint::{
    BaseNames, Checkpoint, CheckpointError, ConfigFile, Found, ModelSource, has_file, unwrap,
};
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
    pub(crate) adapter: Option<Adapter>,
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
        let shape_of = |name: &str| checkpoint.get(name).map(|tensor| tensor.shape.clone());
        let blueprint = Blueprint::new(&config, &shape_of);
        blueprint.check(&checkpoint, &config)?;
        let kept = kept_layers(source.kept_layers.as_deref(), config.depth)?;
        let names = BaseNames::of(directory, &file);
        let base = Base {
            family: Family::Regulatory(&config),
            modules: &blueprint.modules,
            parameters: &blueprint.parameters,
            checkpoint: &checkpoint,
        };
        let layers = source.adapter_layers.as_deref();
        let adapter =
            source.adapter.as_ref().map(|folder| Adapter::open(folder, &base, layers)).transpose()?;
        let files = Self { config, file, kept, blueprint, checkpoint, names, adapter };
        for head in Head::ALL {
            files.check_replaced(head)?;
        }
        Ok(files)
    }

    /// A weight in the adapter that replaces it, else in the checkpoint.
    pub(crate) fn find(&self, name: &str) -> Option<Found<'_>> {
        let saved = self.adapter.as_ref().and_then(|adapter| adapter.saved(name));
        saved.or_else(|| self.stored(name))
    }

    /// A weight of the checkpoint.
    pub(super) fn stored(&self, name: &str) -> Option<Found<'_>> {
        self.checkpoint.get(name).map(|tensor| Found::new(&self.checkpoint, tensor))
    }

    /// Checks a head that the adapter replaces: it may have other targets, but reads the same channels.
    fn check_replaced(&self, head: Head) -> Result<(), ModelError> {
        let module = head_name(&self.config, head);
        let Some(adapter) = &self.adapter else { return Ok(()) };
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{module}.{part}"));
        let (Some(new), Some(own)) = (adapter.saved(&weight), self.blueprint.parameters.get(&weight)) else {
            return Ok(());
        };
        let mut expected = own.clone();
        expected[0] = new.shape.first().copied().unwrap_or(0).max(1);
        let wrong = |key: &str, expected: Vec<usize>, found: &[usize]| {
            let (file, key, found) = (adapter.file().to_owned(), key.to_owned(), found.to_vec());
            Err(AdapterError::WrongShape { file, key, expected, found }.into())
        };
        if new.shape != expected {
            return wrong(&weight, expected, new.shape);
        }
        match self.find(&bias) {
            Some(bias_found) if bias_found.shape != [expected[0]] => {
                wrong(&bias, vec![expected[0]], bias_found.shape)
            }
            _ => Ok(()),
        }
    }

    /// Targets of a head; `None` if the checkpoint lacks that head.
    pub(crate) fn targets(&self, head: Head) -> Option<u32> {
        let found = self.find(&format!("{}.weight", head_name(&self.config, head)))?;
        u32::try_from(*found.shape.first()?).ok()
    }

    /// Numbers of each bin that a head reads; 0 if the checkpoint lacks that head.
    pub(crate) fn features(&self, head: Head) -> u32 {
        let found = self.find(&format!("{}.weight", head_name(&self.config, head)));
        let width = found.and_then(|found| found.shape.get(1).copied());
        width.and_then(|width| u32::try_from(width).ok()).unwrap_or(0)
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
