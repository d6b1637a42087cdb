//! Opens a model's files and checks all of them against each other, before any number is computed:
//! configuration, weights, tokenizer, adapter, kept layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::blueprint::{
    class_dense, class_output, decoder, decoder_parameters, encoder_modules, masked_modules,
};
use super::config::{EncoderConfig, Positions, Problem};
use super::dialect::{Dialect, Part};
use crate::adapter::{Adapter, Base, Family};
use crate::checkpoint::{
    BaseNames, Checkpoint, CheckpointError, ConfigFile, Found, ModelSource, StoredTensor, check_prefix,
    current, has_file, to_tensor, unwrap,
};
use crate::error::ModelError;
use crate::layers::kept_layers;
use crate::module::Modules;
use crate::tokenize::Tokenizer;

/// A model's files, opened and found to fit together.
pub(crate) struct ModelFiles {
    pub(crate) dialect: &'static Dialect,
    pub(crate) config: EncoderConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) kept: Vec<u32>,
    pub(crate) masked_lm: bool,
    pub(crate) labels: Option<u32>,
    pub(crate) problem: Problem,
    /// What the checkpoint is called.
    pub(crate) names: BaseNames,
    /// What every weight's name begins with, from the program that saved it.
    pub(crate) wrapper: Option<String>,
    pub(crate) adapter: Option<Adapter>,
    /// Weights that the model uses, by name: whole checkpoint, all layers, tied decoder left out.
    pub(crate) used: BTreeMap<String, Vec<usize>>,
    checkpoint: Checkpoint,
}

impl ModelFiles {
    pub(crate) fn open(source: &ModelSource) -> Result<Self, ModelError> {
        let directory = &source.checkpoint;
        let has = |name: &str| {
            let file = directory.join(name);
            has_file(&file).map_err(|source| CheckpointError::Io { file, source })
        };
        let (whole, adapted) = (has("config.json")?, has("adapter_config.json")?);
        if adapted && !whole {
            return Err(ModelError::IsAdapter { folder: directory.clone() });
        }
        if adapted && source.adapter.is_none() {
            return Err(ModelError::HoldsAdapter { folder: directory.clone() });
        }
        let file = ConfigFile::read(&directory.join("config.json"))?;
        let mut checkpoint = Checkpoint::open(directory, "model", "pytorch_model")?;
        let wrapper = unwrap(&mut checkpoint)?;
        let dialect = Dialect::find(&file, &checkpoint)?;
        let config = dialect.encoder(&file)?;
        checkpoint.rename(|name| current(dialect.bare(name)))?;
        let kept = kept_layers(source.kept_layers.as_deref(), config.layers)?;
        let mut modules = encoder_modules(dialect, &config);
        let heads = Heads::find(dialect, &config, &checkpoint, &mut modules)?;
        let mut used: BTreeMap<String, Vec<usize>> = heads.parameters;
        used.extend(modules.iter().flat_map(|(name, module)| module.parameters(name)));
        check_weights(dialect, &config, &checkpoint, &used)?;
        check_frequencies(&config, &file, &checkpoint)?;
        if heads.masked_lm {
            // Not among the used weights where it is tied; an adapter may change it all the same.
            modules.extend([decoder(dialect, &config)]);
        }
        let tokenizer = (dialect.tokenizer)(directory, &config)?;
        let base = Base {
            family: Family::Encoder(dialect, &config),
            modules: &modules,
            parameters: &used,
            checkpoint: &checkpoint,
        };
        let adapter = match &source.adapter {
            None => None,
            Some(directory) => Some(Adapter::open(directory, &base, source.adapter_layers.as_deref())?),
        };
        let mut opened = Self {
            dialect,
            config,
            tokenizer,
            kept,
            masked_lm: heads.masked_lm,
            labels: None,
            problem: file.problem()?,
            names: BaseNames::of(directory, &file),
            wrapper,
            adapter,
            used,
            checkpoint,
        };
        opened.labels = opened.find_labels()?;
        opened.check_problem(&file)?;
        Ok(opened)
    }

    /// The number of labels of the classification head, which may come from the adapter.
    fn find_labels(&self) -> Result<Option<u32>, ModelError> {
        let (name, _) = class_output(self.dialect, &self.config, 0);
        let Some(labels) = self
            .find(&format!("{name}.weight"))
            .map(|found| found.shape.first().copied().unwrap_or_default())
        else {
            return Ok(None);
        };
        let outputs = u32::try_from(labels).map_err(|_| ModelError::WrongShape {
            file: self.path_of(&format!("{name}.weight")),
            key: format!("{name}.weight"),
            expected: vec![u32::MAX as usize, self.config.hidden as usize],
            found: vec![labels, self.config.hidden as usize],
        })?;
        let (dense, module) = class_dense(self.dialect, &self.config);
        let (output, classes) = class_output(self.dialect, &self.config, labels);
        for (key, expected) in module.parameters(&dense).into_iter().chain(classes.parameters(&output)) {
            let file = self.path_of(&key);
            match self.find(&key) {
                None if dense.starts_with("pooler") && key.starts_with(&dense) => {
                    return Err(ModelError::NoPooler { file, key });
                }
                None => return Err(ModelError::MissingWeight { file, key, count: 1 }),
                Some(found) if found.shape != expected => {
                    let found = found.shape.to_vec();
                    return Err(ModelError::WrongShape { file, key, expected, found });
                }
                Some(_) => {}
            }
        }
        Ok(Some(outputs))
    }

    /// Refuses a head of more or fewer outputs than its `problem_type` can have.
    fn check_problem(&self, file: &ConfigFile) -> Result<(), CheckpointError> {
        let (output, _) = class_output(self.dialect, &self.config, 0);
        let own = self.stored(&format!("{output}.weight")).and_then(|found| found.shape.first().copied());
        let expected = match (self.problem, self.labels, own) {
            (Problem::Numbers, Some(outputs), _) if outputs > 1 => format!(
                "a head of 1 output with it, not of {outputs} outputs: no score kind covers several numbers"
            ),
            (Problem::OneClass, _, Some(1)) => {
                "a head of 2 or more outputs with it, not of 1 output, of which the \
                                                probability would always be 1; `regression` makes it a number"
                    .to_owned()
            }
            _ => return Ok(()),
        };
        Err(file.unsupported("problem_type", expected))
    }

    /// A weight by name: the adapter's saved copy where there is one, else the checkpoint's.
    pub(crate) fn find(&self, name: &str) -> Option<Found<'_>> {
        let saved = self.adapter.as_ref().and_then(|adapter| adapter.saved(name));
        if saved.is_some() {
            return saved;
        }
        let tensor = self.checkpoint.get(name)?;
        Some(Found::new(&self.checkpoint, tensor))
    }

    /// The checkpoint's own weight, for digests.
    pub(crate) fn stored(&self, name: &str) -> Option<Found<'_>> {
        let tensor = self.checkpoint.get(name)?;
        Some(Found::new(&self.checkpoint, tensor))
    }

    /// The file that a message about the weight `name` should name.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        let (head, _) = class_output(self.dialect, &self.config, 0);
        match (&self.adapter, self.checkpoint.get(name)) {
            (_, Some(tensor)) => self.checkpoint.path_of(tensor).to_owned(),
            (Some(adapter), None) if adapter.saved(&format!("{head}.weight")).is_some() => {
                adapter.file().to_owned()
            }
            _ => self.checkpoint.path().to_owned(),
        }
    }
}

struct Heads {
    masked_lm: bool,
    parameters: BTreeMap<String, Vec<usize>>,
}

impl Heads {
    /// The heads that the checkpoint holds; their modules are added to `modules`.
    fn find(
        dialect: &Dialect,
        config: &EncoderConfig,
        checkpoint: &Checkpoint,
        modules: &mut Modules,
    ) -> Result<Self, ModelError> {
        let mut parameters = BTreeMap::new();
        let has = |name: &str| checkpoint.get(name).is_some();
        let masked = masked_modules(dialect, config);
        let decoder = decoder_parameters(dialect, config);
        let masked_lm =
            masked.iter().flat_map(|(name, module)| module.parameters(name)).any(|(name, _)| has(&name))
                || has(&decoder[1].0);
        let tied = config.tied_decoder;
        if masked_lm {
            modules.extend(masked);
            let [(weight, shape), bias] = decoder;
            if tied {
                check_tied(dialect, checkpoint, &weight)?;
            } else {
                parameters.insert(weight, shape);
            }
            parameters.extend([bias]);
        }
        let (dense, dense_module) = class_dense(dialect, config);
        let (output, _) = class_output(dialect, config, 0);
        if has(&format!("{dense}.weight")) {
            modules.insert(dense, dense_module);
        }
        if let Some(weight) = checkpoint.get(&format!("{output}.weight")) {
            let labels = weight.shape.first().copied().unwrap_or_default();
            modules.extend([class_output(dialect, config, labels)]);
        }
        Ok(Self { masked_lm, parameters })
    }
}

/// A tied decoder that was written all the same must be the embedding table.
fn check_tied(dialect: &Dialect, checkpoint: &Checkpoint, decoder: &str) -> Result<(), ModelError> {
    let embedding = format!("{}.weight", dialect.name_of(Part::WordEmbedding, 0));
    let (Some(written), Some(table)) = (checkpoint.get(decoder), checkpoint.get(&embedding)) else {
        return Ok(());
    };
    let same = written.shape == table.shape
        && written.dtype == table.dtype
        && checkpoint.bytes(written)? == checkpoint.bytes(table)?;
    if same {
        return Ok(());
    }
    Err(ModelError::NotTied { file: checkpoint.path_of(written).to_owned(), key: decoder.to_owned() })
}

/// Every weight that is asked for is there, in its shape; nothing is there that nobody asks for.
fn check_weights(
    dialect: &Dialect,
    config: &EncoderConfig,
    checkpoint: &Checkpoint,
    used: &BTreeMap<String, Vec<usize>>,
) -> Result<(), ModelError> {
    let missing: Vec<&String> = used.keys().filter(|name| checkpoint.get(name).is_none()).collect();
    if let Some(first) = missing.first() {
        check_prefix(checkpoint, first)?;
        let (file, key) = (checkpoint.path().to_owned(), (*first).clone());
        return Err(ModelError::MissingWeight { file, key, count: missing.len() });
    }
    let mut allowed = BTreeSet::from([decoder_parameters(dialect, config)[0].0.clone()]);
    if !matches!(config.positions, Positions::Learned { .. }) {
        allowed.insert(format!("{}.weight", dialect.name_of(Part::PositionEmbedding, 0)));
    }
    let unexpected: Vec<(&str, &StoredTensor)> = checkpoint
        .tensors()
        .filter(|(name, _)| !used.contains_key(*name) && !allowed.contains(*name) && !dialect.ignores(name))
        .collect();
    if let Some((name, tensor)) = unexpected.first() {
        let (file, key) = (checkpoint.path_of(tensor).to_owned(), (*name).to_owned());
        return Err(ModelError::UnexpectedWeight { file, key, count: unexpected.len() });
    }
    for (name, expected) in used {
        let Some(tensor) = checkpoint.get(name) else { continue };
        let file = || checkpoint.path_of(tensor).to_owned();
        if tensor.shape != *expected {
            let (expected, found) = (expected.clone(), tensor.shape.clone());
            return Err(ModelError::WrongShape { file: file(), key: name.clone(), expected, found });
        }
        if !tensor.dtype.is_float() {
            let found = tensor.dtype.name();
            return Err(ModelError::WrongType { file: file(), key: name.clone(), found });
        }
    }
    Ok(())
}

/// Tables of rotary frequencies that a file holds, and some programs use, are those of the configuration. Where this
/// names a base itself, it is what newer programs read, and the tables are not.
fn check_frequencies(
    config: &EncoderConfig,
    file: &ConfigFile,
    checkpoint: &Checkpoint,
) -> Result<(), ModelError> {
    let Positions::Rotary { base } = config.positions else { return Ok(()) };
    if file.get("rope_theta").is_some() || file.get("rope_parameters").is_some() {
        return Ok(());
    }
    let length = config.hidden / config.heads;
    for (key, tensor) in checkpoint.tensors().filter(|(name, _)| name.ends_with("rotary_embeddings.inv_freq"))
    {
        let numbers = tch::no_grad(|| {
            to_tensor(&Found::new(checkpoint, tensor))?.f_to_kind(tch::Kind::Float)?.f_flatten(0, -1)
        });
        let numbers = Vec::<f32>::try_from(numbers?)?;
        // Half-precision files hold the same table, rounded.
        let near = |(at, number): (usize, &f32)| {
            let expected = base.powf(-2.0 * at as f64 / f64::from(length));
            (f64::from(*number) - expected).abs() <= 1e-2 * expected
        };
        if numbers.len() != (length / 2) as usize || !numbers.iter().enumerate().all(near) {
            let file = checkpoint.path_of(tensor).to_owned();
            return Err(ModelError::Frequencies { file, key: key.to_owned(), base });
        }
    }
    Ok(())
}
