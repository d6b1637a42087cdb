//! The weights that a training starts from: random, from a seed, for a config.json without weights.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::ConfigFile;
use crate::convert::single;
use crate::encoder::model::blueprint::{decoder_parameters, encoder_modules, masked_modules};
use crate::encoder::model::config::EncoderConfig;
use crate::encoder::model::dialect::Dialect;
use crate::error::ModelError;
use crate::module::Module;
use crate::random::Random;
use crate::tensor_file::NamedWeight;

/// Spread of initial weights where config.json has no `initializer_range` (Devlin et al. 2018).
const SPREAD: f64 = 0.02;

/// Weights for the config.json of `directory`, named as its family names them: normal of the spread that
/// `initializer_range` says, norms 1, biases 0. The same seed gives the same numbers.
pub(crate) fn initial_weights(directory: &Path, seed: u64) -> Result<Vec<NamedWeight>, ModelError> {
    let file = ConfigFile::read(&directory.join("config.json"))?;
    let dialect = Dialect::find(&file, &Checkpoint::empty())?;
    let config: EncoderConfig = dialect.encoder(&file)?;
    let spread = match file.get("initializer_range") {
        None => SPREAD,
        Some(value) => value
            .as_f64()
            .filter(|spread| (0.0..=1.0).contains(spread))
            .ok_or_else(|| file.unsupported("initializer_range", "a number from 0 to 1"))?,
    };
    let encoder = encoder_modules(dialect, &config);
    let mut weights: BTreeMap<String, (Vec<usize>, Start)> = BTreeMap::new();
    for (name, module) in &encoder {
        weights.extend(starts(*module, &format!("{}{name}", dialect.prefix)));
    }
    for (name, module) in masked_modules(dialect, &config) {
        weights.extend(starts(module, &name));
    }
    let [(decoder, shape), (bias, rows)] = decoder_parameters(dialect, &config);
    if !config.tied_decoder {
        weights.insert(decoder, (shape, Start::Random));
    }
    weights.insert(bias, (rows, Start::Constant(0.0)));
    let named = (0..).zip(weights).map(|(number, (name, (shape, start)))| {
        let count = shape.iter().product();
        let mut random = Random::of(&[seed, number]);
        let numbers = match start {
            Start::Constant(number) => vec![number; count],
            Start::Random => (0..count).map(|_| single(random.normal() * spread)).collect(),
        };
        (name, shape, numbers)
    });
    Ok(named.collect())
}

#[derive(Clone, Copy)]
enum Start {
    Constant(f32),
    Random,
}

fn starts(module: Module, name: &str) -> Vec<(String, (Vec<usize>, Start))> {
    let norm = matches!(module, Module::Norm { .. });
    let parameters = module.parameters(name).into_iter();
    let start = |parameter: &str| match (parameter.rsplit('.').next() == Some("bias"), norm) {
        (true, _) => Start::Constant(0.0),
        (false, true) => Start::Constant(1.0),
        (false, false) => Start::Random,
    };
    parameters.map(|(parameter, shape)| (parameter.clone(), (shape, start(&parameter)))).collect()
}
