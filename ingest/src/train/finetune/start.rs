//! What a fine-tuning starts from: a model's weights, a head, and an adapter that changes nothing yet.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::plan::{TuningMethod, TuningPlan};
use crate::adapter::{AdapterKind, Trunk, write_initial};
use crate::checkpoint::ModelSource;
use crate::convert::{dimension, from_dimension, narrow, single};
use crate::dataset::TuningTask;
use crate::encoder::model::ModelFiles;
use crate::encoder::model::blueprint::{class_dense, class_output, encoder_modules};
use crate::encoder::model::config::Problem;
use crate::error::ModelError;
use crate::module::Module;
use crate::random::Random;
use crate::tensor_file::NamedWeight;
use crate::train::error::TrainError;
use crate::train::network::Network;
use crate::train::run_directory::io_error;

/// Spread of a new head's weights, as BERT begins (Devlin et al. 2018).
const SPREAD: f64 = 0.02;

/// What a stream of random numbers is for.
const HEAD: u64 = 0x4ead;

/// Opens `source` to tune it by `plan`. An adapter's files are kept in `working`, which is there.
pub(super) fn open(
    source: &ModelSource,
    plan: &TuningPlan,
    task: TuningTask,
    working: &Path,
    device: Device,
) -> Result<Network, TrainError> {
    if source.adapter.is_some() {
        return Err(TrainError::Adapted);
    }
    let mut opened = ModelFiles::open(source)?;
    let adapted = matches!(plan.method, TuningMethod::Adapter { .. });
    match opened.problem {
        Problem::Labels if adapted => {
            return Err(TrainError::OtherOutputs { problem: "multi_label_classification" });
        }
        Problem::Numbers if adapted && task != TuningTask::Number => {
            return Err(TrainError::OtherOutputs { problem: "regression" });
        }
        _ => {}
    }
    let head = head(&opened, task, plan.seed)?;
    if let TuningMethod::Adapter { adapter, targets } = &plan.method {
        let trunk = trunk(&opened, source);
        let targets = chosen_targets(&trunk, targets.as_deref(), adapter)?;
        let houlsby = matches!(adapter, AdapterKind::Houlsby { .. });
        let norms = if houlsby { norms(&opened)? } else { Vec::new() };
        let folder = working.join("adapter");
        vestore::create_folder(&folder).map_err(io_error(&folder))?;
        write_initial(&folder, &trunk, adapter, &targets, numbers(&head)?, norms, plan.seed)
            .map_err(io_error(&folder))?;
        let pruned = opened.kept.len() < opened.config.layers as usize;
        let adapter_layers = pruned.then(|| opened.kept.clone());
        opened = ModelFiles::open(&ModelSource { adapter: Some(folder), adapter_layers, ..source.clone() })?;
    }
    let mut trained: Vec<String> = head.keys().cloned().collect();
    let mut tensors = head;
    for name in encoder_weights(&opened) {
        let tensor = Network::stored(&opened, &name)?;
        tensors.insert(name, tensor);
    }
    match &opened.adapter {
        Some(adapter) => {
            trained.extend(adapter.saved_names().cloned());
            for (name, tensor) in adapter.tensors()? {
                trained.push(name.clone());
                tensors.insert(name, tensor);
            }
        }
        None if plan.method == TuningMethod::Full => trained.extend(tensors.keys().cloned()),
        None => {}
    }
    let kind = if plan.bf16 { Kind::BFloat16 } else { Kind::Float };
    Ok(Network::new(opened, tensors, |name| trained.iter().any(|other| other == name), device, kind)?)
}

/// A finished model, of which nothing is trained.
pub(super) fn finished(opened: ModelFiles, task: TuningTask, device: Device) -> Result<Network, TrainError> {
    let outputs = task.outputs();
    if opened.labels != Some(narrow(outputs)) {
        return Err(ModelError::NoHead { head: "classification" }.into());
    }
    let parts =
        [class_dense(opened.dialect, &opened.config), class_output(opened.dialect, &opened.config, outputs)];
    let head = parts.iter().flat_map(|(name, module)| module.parameters(name)).map(|(name, _)| name);
    let names = encoder_weights(&opened).into_iter().chain(head);
    let tensors = names.map(|name| Ok((name.clone(), Network::stored(&opened, &name)?)));
    let mut tensors = tensors.collect::<Result<BTreeMap<_, _>, ModelError>>()?;
    if let Some(adapter) = &opened.adapter {
        tensors.extend(adapter.tensors()?);
    }
    Ok(Network::new(opened, tensors, |_| false, device, Kind::Float)?)
}

/// What an adapter stands on.
pub(super) fn trunk<'a>(opened: &'a ModelFiles, source: &'a ModelSource) -> Trunk<'a> {
    let name = source.checkpoint.to_str().unwrap_or_default();
    Trunk { dialect: opened.dialect, config: &opened.config, kept: &opened.kept, name }
}

/// The modules within a layer that an adapter changes: those whose names end in `wanted`, or the kind's own.
fn chosen_targets(
    trunk: &Trunk<'_>,
    wanted: Option<&[String]>,
    kind: &AdapterKind,
) -> Result<Vec<String>, TrainError> {
    let Some(wanted) = wanted else { return Ok(trunk.default_targets(kind)) };
    let known = trunk.modules();
    let mut chosen = Vec::new();
    for end in wanted {
        let ends = |module: &&String| *module == end || module.ends_with(&format!(".{end}"));
        let found: Vec<&String> = known.iter().filter(ends).collect();
        if found.is_empty() {
            return Err(TrainError::NoTarget { found: end.clone(), known });
        }
        chosen.extend(found.into_iter().cloned());
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Names of the encoder's weights, of kept layers alone.
fn encoder_weights(opened: &ModelFiles) -> Vec<String> {
    let modules = encoder_modules(opened.dialect, &opened.config);
    let kept = |name: &str| {
        let layer = name.strip_prefix("encoder.layer.").and_then(|rest| rest.split('.').next()?.parse().ok());
        layer.is_none_or(|layer| opened.kept.contains(&layer))
    };
    let weights = modules.into_iter().flat_map(|(name, module)| module.parameters(&name));
    weights.map(|(name, _)| name).filter(|name| kept(name)).collect()
}

/// The weights of the norms of the encoder's kept layers, and of those outside of layers.
fn norms(opened: &ModelFiles) -> Result<Vec<NamedWeight>, ModelError> {
    let modules = encoder_modules(opened.dialect, &opened.config);
    let is_norm = |name: &String| {
        let module = name.rsplit_once('.').map_or("", |(module, _)| module);
        matches!(modules.get(module), Some(Module::Norm { .. }))
    };
    let mut found = BTreeMap::new();
    for name in encoder_weights(opened).into_iter().filter(is_norm) {
        let tensor = Network::stored(opened, &name)?;
        found.insert(name, tensor);
    }
    numbers(&found)
}

fn numbers(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<NamedWeight>, ModelError> {
    let one = |(name, tensor): (&String, &Tensor)| -> Result<NamedWeight, ModelError> {
        let shape = tensor.size().iter().map(|size| from_dimension(*size)).collect();
        Ok((name.clone(), shape, Vec::<f32>::try_from(tensor.f_view([-1])?)?))
    };
    tensors.iter().map(one).collect()
}

/// The weights of the head: the checkpoint's, where it has a head of as many outputs, else random ones. What a
/// pooler was pretrained to is kept.
fn head(opened: &ModelFiles, task: TuningTask, seed: u64) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let outputs = task.outputs();
    // Numbers are learnt in units of the training labels, which a finished head is not written in.
    let classes = matches!(opened.problem, Problem::Unsaid | Problem::OneClass);
    let same = classes && task != TuningTask::Number && opened.labels == Some(narrow(outputs));
    let (dense, dense_module) = class_dense(opened.dialect, &opened.config);
    let (output, output_module) = class_output(opened.dialect, &opened.config, outputs);
    let has_dense = opened.stored(&format!("{dense}.weight")).is_some();
    let mut head = BTreeMap::new();
    let parts = [(dense, dense_module, has_dense), (output, output_module, same)];
    for (number, (module, shape, stored)) in (0..).zip(parts) {
        for (name, shape) in shape.parameters(&module) {
            let tensor = if stored {
                Network::stored(opened, &name)?
            } else if shape.len() == 1 {
                Tensor::f_zeros([dimension(shape[0])], (Kind::Float, Device::Cpu))?
            } else {
                let mut random = Random::of(&[HEAD, seed, number]);
                let drawn: Vec<f32> =
                    (0..shape.iter().product()).map(|_| single(random.normal() * SPREAD)).collect();
                let shape: Vec<i64> = shape.iter().map(|size| dimension(*size)).collect();
                Tensor::f_from_slice(&drawn)?.f_view(shape.as_slice())?
            };
            head.insert(name, tensor);
        }
    }
    Ok(head)
}
