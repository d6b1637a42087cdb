//! What a fine-tuning leaves behind: a checkpoint as transformers reads it, or an adapter as PEFT reads it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use tch::Tensor;

use super::head::Scale;
use super::start::trunk;
use super::tuned::TunedModel;
use crate::adapter::counted;
use crate::checkpoint::ConfigFile;
use crate::checkpoint::ModelSource;
use crate::checkpoint::{code, plain_file};
use crate::dataset::TuningTask;
use crate::encoder::model::blueprint::class_output;
use crate::error::ModelError;
use crate::train::card;
use crate::train::error::TrainError;
use crate::train::leaves::Trainable;
use crate::train::network::Network;
use crate::train::run_directory::{COPIED, RunDirectory, copy_file, io_error};
use crate::train::state::{replace, write_tensors};

/// Writes the tuned model into its folder: an adapter's two files, or a checkpoint of the kept layers, counted from 0.
/// `classes` are the names of the classes.
pub(super) fn write(
    tuned: &TunedModel,
    source: &ModelSource,
    classes: &[String],
    directory: &RunDirectory,
) -> Result<(), TrainError> {
    let output = directory.output();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let opened = tuned.network.opened();
    if opened.adapter.is_some() {
        let trunk = trunk(opened, source);
        let tensors = scaled(&tuned.network, tuned.network.leaves().weights(), tuned.objective.scale)?;
        let named: BTreeMap<String, &Tensor> =
            tensors.iter().map(|(name, tensor)| (trunk.published(name), tensor)).collect();
        let file = output.join("adapter_config.json");
        copy_file(&directory.working().join("adapter").join("adapter_config.json"), &file)?;
        let file = output.join("README.md");
        replace(&file, card(source, tuned, classes)?.as_bytes()).map_err(io_error(&file))?;
        write_tensors(&output.join("adapter_model.safetensors"), &named, metadata)?;
        return Ok(());
    }
    // With the code that a published configuration may name (`auto_map`): without it transformers cannot load it.
    let code = code(&source.checkpoint).map_err(ModelError::from)?;
    for name in COPIED.map(str::to_owned).into_iter().chain(code).filter(|name| name != "config.json") {
        if let Some(from) = plain_file(&source.checkpoint, &name).map_err(ModelError::from)? {
            copy_file(&from, &output.join(name))?;
        }
    }
    let file = source.checkpoint.join("config.json");
    let config = ConfigFile::read(&file).map_err(ModelError::from)?;
    let config: Map<String, Value> =
        config.fields().map(|(key, value)| (key.clone(), value.clone())).collect();
    let config = configuration(config, &tuned.network, tuned.objective.task, classes);
    let file = output.join("config.json");
    replace(&file, format!("{:#}\n", Value::Object(config)).as_bytes()).map_err(io_error(&file))?;
    let file = output.join("README.md");
    replace(&file, card(source, tuned, classes)?.as_bytes()).map_err(io_error(&file))?;
    let tensors = scaled(&tuned.network, tuned.network.tensors(), tuned.objective.scale)?;
    let named: BTreeMap<String, &Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (tuned.network.published(&counted(name, &opened.kept)), tensor))
        .collect();
    write_tensors(&output.join("model.safetensors"), &named, metadata)?;
    Ok(())
}

/// The weights, with a head that gives numbers in the labels' unit; an error where one of them is not finite.
fn scaled(
    network: &Network,
    tensors: &BTreeMap<String, Tensor>,
    scale: Scale,
) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let opened = network.opened();
    let (output, _) = class_output(opened.dialect, &opened.config, 0);
    tch::no_grad(|| {
        let one = |(name, tensor): (&String, &Tensor)| {
            let tensor = match name.strip_prefix(&output) {
                Some(".weight") => tensor.f_mul_scalar(scale.spread)?,
                Some(".bias") => tensor.f_mul_scalar(scale.spread)?.f_add_scalar(scale.centre)?,
                _ => tensor.shallow_clone(),
            };
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return Err(TrainError::NotFinite { what: "weights" });
            }
            Ok((name.clone(), tensor))
        };
        tensors.iter().map(one).collect()
    })
}

/// The parent's configuration, of as many layers as are kept and with the head's labels.
fn configuration(
    mut config: Map<String, Value>,
    network: &Network,
    task: TuningTask,
    classes: &[String],
) -> Map<String, Value> {
    let opened = network.opened();
    let names: Vec<String> = match task {
        TuningTask::Number => vec!["value".to_owned()],
        TuningTask::Classes(count) if classes.len() == count as usize => classes.to_vec(),
        TuningTask::Classes(count) => (0..count).map(|class| class.to_string()).collect(),
    };
    let numbered = |(number, name): (usize, &String)| (number.to_string(), json!(name));
    let numbers = |(number, name): (usize, &String)| (name.clone(), json!(number));
    let id2label: Map<String, Value> = names.iter().enumerate().map(numbered).collect();
    let label2id: Map<String, Value> = names.iter().enumerate().map(numbers).collect();
    let problem = match task {
        TuningTask::Number => "regression",
        TuningTask::Classes(_) => "single_label_classification",
    };
    config.insert("architectures".to_owned(), json!([opened.dialect.classifier]));
    config.insert("num_hidden_layers".to_owned(), json!(opened.kept.len()));
    config.insert("id2label".to_owned(), Value::Object(id2label));
    config.insert("label2id".to_owned(), Value::Object(label2id));
    config.insert("problem_type".to_owned(), json!(problem));
    for key in ["torch_dtype", "dtype"] {
        if config.contains_key(key) {
            config.insert(key.to_owned(), json!("float32"));
        }
    }
    config.remove("num_labels");
    config
}

/// The card: whose weights these were, under which licence, and what one must know to load them.
fn card(source: &ModelSource, tuned: &TunedModel, classes: &[String]) -> Result<String, ModelError> {
    let opened = tuned.network.opened();
    let outputs = match tuned.objective.task {
        TuningTask::Number => "one number (num_labels=1)".to_owned(),
        TuningTask::Classes(count) if classes.is_empty() => format!("{count} classes"),
        TuningTask::Classes(count) => format!("{count} classes: {} (num_labels={count})", classes.join(", ")),
    };
    let layers = card::kept("layers", &opened.kept, opened.config.layers, opened.adapter.is_some());
    Ok(format!(
        "{}\nFine-tuned with vestore; training.json says on what and how. The head gives {outputs}.\n{layers}",
        card::front(source)?
    ))
}
