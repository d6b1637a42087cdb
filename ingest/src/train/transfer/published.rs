//! What a transfer leaves behind: a checkpoint in the layout of its parent, or an adapter as PEFT reads it; with the
//! table of its targets.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Map, Value, json};
use tch::Tensor;
use vestore_schema::Head;

use super::network::TransferNetwork;
use super::plan::TransferPlan;
use crate::adapter::{counted_block, published_in_adapter};
use crate::checkpoint::{ConfigFile, ModelSource};
use crate::error::ModelError;
use crate::train::card;
use crate::train::error::TrainError;
use crate::train::leaves::Trainable;
use crate::train::run_directory::{RECORD, RunDirectory, TARGETS, copy_file, io_error};
use crate::train::state::{replace, write_tensors};

/// Writes the trained model into its folder: an adapter's two files, or a checkpoint of the kept blocks, counted from 0.
pub(super) fn write(
    network: &TransferNetwork,
    plan: &TransferPlan,
    source: &ModelSource,
    targets: &Path,
    directory: &RunDirectory,
) -> Result<(), TrainError> {
    let output = directory.output();
    let (files, kept) = (&network.files, &network.files.kept);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let finite = |tensor: &Tensor| -> Result<bool, tch::TchError> {
        Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
    };
    for weight in network.leaves().weights().values() {
        if !finite(weight)? {
            return Err(TrainError::NotFinite { what: "weights" });
        }
    }
    copy_file(targets, &output.join(TARGETS))?;
    let file = output.join("README.md");
    replace(&file, card(network, plan, source)?.as_bytes()).map_err(io_error(&file))?;
    if files.adapter.is_some() {
        let file = output.join("adapter_config.json");
        copy_file(&directory.working().join("adapter").join("adapter_config.json"), &file)?;
        let weights = network.leaves().weights().iter();
        let named: BTreeMap<String, &Tensor> =
            weights.map(|(name, tensor)| (published_in_adapter(name, kept), tensor)).collect();
        write_tensors(&output.join("adapter_model.safetensors"), &named, metadata)?;
        return Ok(());
    }
    write_checkpoint(network, plan, network.leaves().tensors(), output)
}

/// Writes the whole model into a folder, an adapter merged, as the parent's authors lay checkpoints out.
///
/// # Errors
/// When the adapter has parts that no weight can hold, or the files cannot be written.
pub(super) fn write_merged(
    network: &TransferNetwork,
    plan: &TransferPlan,
    targets: &Path,
    record: &Value,
    output: &Path,
) -> Result<(), TrainError> {
    vestore::create_folder(output).map_err(io_error(output))?;
    let file = output.join(RECORD);
    replace(&file, format!("{:#}\n", json!({ "training": record })).as_bytes()).map_err(io_error(&file))?;
    copy_file(targets, &output.join(TARGETS))?;
    let tensors = tch::no_grad(|| merged(network))?;
    write_checkpoint(network, plan, &tensors, output)
}

/// The model's own weights with what the adapter makes of them.
fn merged(network: &TransferNetwork) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let (files, leaves) = (&network.files, network.leaves().tensors());
    let own = |name: &String| files.blueprint.parameters.contains_key(name);
    let mut tensors: BTreeMap<String, Tensor> = leaves
        .iter()
        .filter(|(name, _)| own(name))
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    let Some(adapter) = &files.adapter else { return Ok(tensors) };
    for module in files.blueprint.modules.keys() {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{module}.{part}"));
        let Some(found) = tensors.get(&weight).map(Tensor::shallow_clone) else { continue };
        let stored = tensors.get(&bias).map(Tensor::shallow_clone);
        let (changed, changed_bias) = adapter.merge(module, found, stored, Some(leaves))?;
        tensors.insert(weight, changed);
        if let Some(changed) = changed_bias {
            tensors.insert(bias, changed);
        }
    }
    Ok(tensors)
}

fn write_checkpoint(
    network: &TransferNetwork,
    plan: &TransferPlan,
    tensors: &BTreeMap<String, Tensor>,
    output: &Path,
) -> Result<(), TrainError> {
    let (files, kept) = (&network.files, &network.files.kept);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = output.join("config.json");
    let config = configuration(&files.file, network, plan);
    replace(&file, format!("{:#}\n", Value::Object(config)).as_bytes()).map_err(io_error(&file))?;
    let named: BTreeMap<String, &Tensor> =
        tensors.iter().map(|(name, tensor)| (counted_block(name, kept), tensor)).collect();
    write_tensors(&output.join("model.safetensors"), &named, metadata)?;
    Ok(())
}

/// The parent's configuration, of as many blocks as are kept and with the one head that was trained.
fn configuration(parent: &ConfigFile, network: &TransferNetwork, plan: &TransferPlan) -> Map<String, Value> {
    let config = &network.files.config;
    let mut written: Map<String, Value> =
        parent.fields().map(|(key, value)| (key.clone(), value.clone())).collect();
    written.insert("depth".to_owned(), json!(network.files.kept.len()));
    if config.is_unet() {
        for head in Head::ALL {
            written.insert(format!("enable_{}_head", head.as_str()), json!(head == plan.head));
        }
    } else {
        let targets = network
            .leaves()
            .tensors()
            .get(&format!("{}.bias", super::start::head_module(&network.files, plan)));
        let count = targets.map_or(0, Tensor::numel);
        written.insert("output_heads".to_owned(), json!({ plan.head.as_str(): count }));
    }
    for key in ["torch_dtype", "dtype"] {
        if written.contains_key(key) {
            written.insert(key.to_owned(), json!("float32"));
        }
    }
    written
}

/// The card: whose weights these were, under which licence, and what one must know to load them.
fn card(network: &TransferNetwork, plan: &TransferPlan, source: &ModelSource) -> Result<String, ModelError> {
    let files = &network.files;
    let blocks = card::kept("blocks", &files.kept, files.config.depth, files.adapter.is_some());
    Ok(format!(
        "{}\nTransferred with vestore ({}); training.json says to which data and how. The {} head has the \
         targets of {TARGETS}, whose values were transformed as `--untransform new` undoes.\n{blocks}",
        card::front(source)?,
        plan.method.as_str(),
        plan.head.as_str()
    ))
}
