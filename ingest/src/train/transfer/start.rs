//! What a transfer starts from: a model's trunk, a new head, and an adapter that changes nothing yet.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::network::TransferNetwork;
use super::plan::{TransferMethod, TransferPlan};
use crate::adapter::{TransferAdapter, TransferBase, norm_modules, write_transfer_adapter};
use crate::checkpoint::{ModelSource, to_tensor};
use crate::convert::{dimension, from_dimension, single};
use crate::error::ModelError;
use crate::random::Random;
use crate::regulatory::{RegulatoryFiles, head_name, is_kept};
use crate::tensor_file::NamedWeight;
use crate::train::error::TrainError;
use crate::train::leaves::Leaves;
use crate::train::run_directory::io_error;

/// What a stream of random numbers is for.
const HEAD: u64 = 0x4ead;

/// Whether `source` can be transferred by `plan`.
pub(super) fn check(source: &ModelSource, plan: &TransferPlan) -> Result<(), TrainError> {
    if source.adapter.is_some() {
        return Err(TrainError::Adapted);
    }
    let files = RegulatoryFiles::open(source)?;
    files.check_head(plan.head)?;
    let gates = matches!(plan.method, TransferMethod::Adapter(TransferAdapter::HoulsbySe { .. }));
    if gates && !files.config.is_unet() {
        return Err(TrainError::NoGates { family: files.config.name() });
    }
    Ok(())
}

/// Opens `source` to transfer it by `plan` to `targets` targets. An adapter's files are kept in `working`, which is there.
pub(super) fn open(
    source: &ModelSource,
    plan: &TransferPlan,
    targets: usize,
    working: &Path,
    device: Device,
) -> Result<TransferNetwork, TrainError> {
    let mut files = RegulatoryFiles::open(source)?;
    let head = new_head(&files, plan, targets);
    if let TransferMethod::Adapter(adapter) = &plan.method {
        let folder = working.join("adapter");
        vestore::create_folder(&folder).map_err(io_error(&folder))?;
        let mut saved = head.clone();
        saved.extend(norms(&files, adapter)?);
        write_transfer_adapter(
            &folder,
            &base(&files, source, &head_module(&files, plan)),
            adapter,
            saved,
            plan.seed,
        )
        .map_err(io_error(&folder))?;
        let pruned = files.kept.len() < files.config.depth as usize;
        let adapter_layers = pruned.then(|| files.kept.clone());
        files =
            RegulatoryFiles::open(&ModelSource { adapter: Some(folder), adapter_layers, ..source.clone() })?;
    }
    let mut trained: Vec<String> = head.iter().map(|(name, ..)| name.clone()).collect();
    let mut tensors = trunk_weights(&files)?;
    match &files.adapter {
        Some(adapter) => {
            for name in adapter.saved_names() {
                tensors.insert(name.clone(), stored(&files, name)?);
                trained.push(name.clone());
            }
            for (name, tensor) in adapter.tensors()? {
                trained.push(name.clone());
                tensors.insert(name, tensor);
            }
        }
        None if plan.method == TransferMethod::Full => {
            trained.extend(tensors.keys().filter(|name| !name.contains(".running_")).cloned());
        }
        None => {}
    }
    for (name, shape, numbers) in head {
        let shape: Vec<i64> = shape.iter().map(|size| dimension(*size)).collect();
        tensors.insert(name, Tensor::f_from_slice(&numbers)?.f_view(shape.as_slice())?);
    }
    Ok(TransferNetwork {
        files,
        leaves: Leaves::new(tensors, |name| trained.iter().any(|other| other == name), device)?,
        head: plan.head,
        bins: plan.bins,
        kind: if plan.bf16 { Kind::BFloat16 } else { Kind::Float },
        dropout: plan.dropout,
        total_weight: plan.total_weight,
        // The head alone follows no gradient through a block.
        recompute: plan.recompute && plan.method != TransferMethod::Linear,
    })
}

/// The module of the head that is trained.
pub(super) fn head_module(files: &RegulatoryFiles, plan: &TransferPlan) -> String {
    head_name(&files.config, plan.head)
}

/// What an adapter stands on.
pub(super) fn base<'a>(
    files: &'a RegulatoryFiles,
    source: &'a ModelSource,
    head: &'a str,
) -> TransferBase<'a> {
    TransferBase {
        config: &files.config,
        modules: &files.blueprint.modules,
        kept: &files.kept,
        name: source.checkpoint.to_str().unwrap_or_default(),
        head,
    }
}

/// A weight of the files, in float32.
fn stored(files: &RegulatoryFiles, name: &str) -> Result<Tensor, ModelError> {
    let Some(found) = files.find(name) else {
        panic!("`{name}` was found when the checkpoint was opened; this is a bug")
    };
    Ok(to_tensor(&found)?.f_to_kind(Kind::Float)?)
}

/// The weights of the trunk and of its kept blocks, without heads.
fn trunk_weights(files: &RegulatoryFiles) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let heads = vestore_schema::Head::ALL.map(|head| format!("{}.", head_name(&files.config, head)));
    let names = files.blueprint.parameters.keys().filter(|name| {
        is_kept(name, &files.kept) && !heads.iter().any(|head| name.starts_with(head.as_str()))
    });
    names.map(|name| Ok((name.clone(), stored(files, name)?))).collect()
}

/// The layer norms that are trained beside an adapter.
fn norms(files: &RegulatoryFiles, adapter: &TransferAdapter) -> Result<Vec<NamedWeight>, ModelError> {
    if !matches!(adapter, TransferAdapter::Houlsby { .. } | TransferAdapter::HoulsbySe { .. }) {
        return Ok(Vec::new());
    }
    let modules = files.kept.iter().flat_map(|block| norm_modules(*block));
    let names = modules.flat_map(|module| ["weight", "bias"].map(|part| format!("{module}.{part}")));
    let one = |name: String| -> Result<NamedWeight, ModelError> {
        let tensor = stored(files, &name)?;
        let shape = tensor.size().iter().map(|size| from_dimension(*size)).collect();
        Ok((name, shape, Vec::<f32>::try_from(tensor.f_view([-1])?)?))
    };
    names.map(one).collect()
}

/// A head of `targets` targets as a linear layer of torch begins, without bias.
fn new_head(files: &RegulatoryFiles, plan: &TransferPlan, targets: usize) -> Vec<NamedWeight> {
    let module = head_module(files, plan);
    let mut shape = files.blueprint.parameters.get(&format!("{module}.weight")).cloned().unwrap_or_default();
    let inputs = shape.get(1).copied().unwrap_or(1);
    if let Some(first) = shape.first_mut() {
        *first = targets;
    }
    let bound = 1.0 / (inputs as f64).sqrt();
    let mut random = Random::of(&[HEAD, plan.seed]);
    let count = shape.iter().product();
    let weight = (0..count).map(|_| single((2.0 * random.uniform() - 1.0) * bound)).collect();
    vec![
        (format!("{module}.weight"), shape, weight),
        (format!("{module}.bias"), vec![targets], vec![0.0; targets]),
    ]
}
