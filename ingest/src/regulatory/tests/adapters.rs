//! Adapters: merged weights and refusals of the golden set, and the layers that PEFT does not have.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use vestore_schema::{Bins, Head};

use super::support::{golden, load, profile};
use crate::checkpoint::ModelSource;
use crate::module::{Bottleneck, Linear};
use crate::regulatory::config::RegulatoryFamily;
use crate::regulatory::describe::regulatory_record;
use crate::regulatory::files::RegulatoryFiles;
use crate::regulatory::gate::Gate;
use crate::regulatory::loader::Loader;
use crate::regulatory::trunk::Trunk;
use crate::synthetic::{NamedWeight, RegulatoryShape, write_regulatory_checkpoint, write_safetensors};

fn tensors(file: &Path) -> Vec<(String, Tensor)> {
    let bytes = fs::read(file).expect("a file");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let kind = if view.dtype() == safetensors::Dtype::F64 { Kind::Double } else { Kind::Float };
        let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
        (name, Tensor::from_data_size(view.data(), &shape, kind))
    };
    tensors.tensors().into_iter().map(read).collect()
}

fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// Why a model is refused, with all causes.
fn refusal(source: &ModelSource) -> String {
    let loaded = Trunk::load(source, Head::Human, None, Kind::Float, Device::Cpu);
    let Err(error) = loaded else { panic!("{source:?} was loaded") };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn merged_weights_are_those_of_the_golden_set() {
    let Some(golden) = golden() else { return };
    let (mut compared, mut refused) = (0, 0);
    for entry in fs::read_dir(golden.join("adapters")).expect("adapters").flatten() {
        let adapter = entry.file_name().to_string_lossy().into_owned();
        let checkpoint = adapter.split('-').take(2).collect::<Vec<_>>().join("-");
        let source = ModelSource {
            adapter: Some(entry.path()),
            ..ModelSource::new(golden.join("checkpoints").join(&checkpoint))
        };
        let expected = golden.join("expected").join(format!("{checkpoint}__{adapter}.safetensors"));
        if !expected.is_file() {
            let reason = refusal(&source);
            let says = if adapter.contains("kernel") {
                "has shape [4, 33, 3]"
            } else {
                "names no module of the model"
            };
            assert!(reason.contains(says), "{adapter}: {reason}");
            refused += 1;
            continue;
        }
        let files = RegulatoryFiles::open(&source).expect("a model");
        let loader =
            Loader { files: &files, trained: None, dropout: 0.0, kind: Kind::Float, device: Device::Cpu };
        for (name, expected) in tensors(&expected) {
            let Some(name) = name.strip_prefix("merged.") else { continue };
            let (module, part) = name.rsplit_once('.').expect("a weight");
            let (weight, bias) = loader.module(module).expect("a module");
            let found = if part == "weight" { weight } else { bias.expect("a bias") };
            assert!(difference(&found, &expected) < 1e-6, "{adapter} {name}");
            compared += 1;
        }
    }
    assert!(compared > 20 && refused == 2, "{compared} {refused}");
}

#[test]
fn layers_of_baskerville_give_its_numbers() {
    let Some(golden) = golden() else { return };
    let all = tensors(&golden.join("examples/baskerville-layers.safetensors"));
    let get = |name: &str| all.iter().find(|(known, _)| known == name).expect("an example").1.shallow_clone();
    let linear = |part: &str, bias| Linear { weight: get(&format!("{part}.kernel")).transpose(0, 1), bias };
    let [down, up] =
        ["houlsby.down", "houlsby.up"].map(|part| linear(part, Some(get(&format!("{part}.bias")))));
    let found = Bottleneck { down, up }.forward(&get("houlsby.x")).expect("a product");
    assert!(difference(&found, &get("houlsby.out")) < 1e-5);
    let gate =
        Gate { down: get("se.dense1.kernel").transpose(0, 1), up: get("se.dense2.kernel").transpose(0, 1) };
    assert!(difference(&gate.apply(&get("se.x")).expect("a product"), &get("se.out")) < 1e-5);
}

/// A tiny Borzoi and an adapter of these tensors beside it.
fn adapted(folder: &Path, config: &Value, tensors: &[NamedWeight]) -> ModelSource {
    let (base, adapter) = (folder.join("base"), folder.join("adapter"));
    write_regulatory_checkpoint(&base, &RegulatoryShape::tiny(RegulatoryFamily::Borzoi), 7).expect("written");
    fs::create_dir_all(&adapter).expect("made");
    fs::write(adapter.join("adapter_config.json"), config.to_string()).expect("written");
    write_safetensors(&adapter.join("adapter_model.safetensors"), tensors).expect("written");
    ModelSource { adapter: Some(adapter), ..ModelSource::new(base) }
}

fn weight(name: &str, shape: &[usize], value: f32) -> NamedWeight {
    // Not all the same, which norms would take away.
    let number = |place: usize| value * [1.0, -2.0, 3.0, 0.5, -1.5][place % 5];
    (name.to_owned(), shape.to_vec(), (0..shape.iter().product()).map(number).collect())
}

fn window() -> Tensor {
    super::support::one_hot(&"ACGTTGCATGAC".repeat(128))
}

#[test]
fn bottlenecks_and_gates_change_what_they_stand_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({ "peft_type": "HOULSBY", "latent": 2, "se_rank": 3,
                         "target_modules": ["unet1.1.conv_layer", "final_joined_convs.0.conv_layer"] });
    let mut tensors = Vec::new();
    for layer in 0..3 {
        for part in ["attention", "mlp"] {
            let name = |end: &str| format!("transformer.{layer}.{part}_adapter.{end}");
            tensors.push(weight(&name("down.weight"), &[2, 24], 0.1));
            tensors.push(weight(&name("down.bias"), &[2], 0.1));
            tensors.push(weight(&name("up.weight"), &[24, 2], 0.1));
            tensors.push(weight(&name("up.bias"), &[24], 0.1));
        }
    }
    for (module, channels) in [("unet1.1.conv_layer", 24), ("final_joined_convs.0.conv_layer", 20)] {
        tensors.push(weight(&format!("{module}.squeeze_excite.down.weight"), &[3, channels], 0.3));
        tensors.push(weight(&format!("{module}.squeeze_excite.up.weight"), &[channels, 3], 0.5));
    }
    let source = adapted(folder.path(), &config, &tensors);
    let mut trunk = load(&source, Head::Human, Kind::Double);
    let whole = profile(&trunk, &window(), Bins::Center);
    // A gate over all positions at once, before the pool, is what the blocks give.
    let number = trunk.stages.len() - 1;
    let stream = Tensor::randn([64, 12], (Kind::Double, Device::Cpu));
    let gate = trunk.stages[number].gate.take().expect("a gate");
    let bare = trunk.stages[number].forward(&stream, false).expect("a stage");
    let expected = trunk.stages[number].pool.apply(&gate.apply(&bare).expect("a product")).expect("a pool");
    trunk.stages[number].gate = Some(gate);
    let found = trunk.stages[number].forward(&stream, true).expect("a stage");
    assert!(difference(&found, &expected) < 1e-12);
    // Without the gates, and without the bottlenecks, other numbers come out.
    let alone = json!({ "peft_type": "HOULSBY", "latent": 2 });
    let bottlenecks: Vec<NamedWeight> =
        tensors.iter().filter(|(name, ..)| name.starts_with("transformer")).cloned().collect();
    let without_gates = adapted(folder.path(), &alone, &bottlenecks);
    let without_gates = profile(&load(&without_gates, Head::Human, Kind::Double), &window(), Bins::Center);
    let base = ModelSource { adapter: None, ..source };
    let plain = profile(&load(&base, Head::Human, Kind::Double), &window(), Bins::Center);
    assert!(difference(&whole, &without_gates) > 1e-4 && difference(&without_gates, &plain) > 1e-4);
}

#[test]
fn a_replaced_head_may_have_other_targets() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["to_q"],
                         "modules_to_save": ["human_head"] });
    let mut tensors = vec![
        weight("base_model.model.human_head.weight", &[9, 20, 1], 0.1),
        weight("base_model.model.human_head.bias", &[9], 0.1),
    ];
    for layer in 0..3 {
        let name = format!("base_model.model.transformer.{layer}.0.fn.1.to_q");
        tensors.push(weight(&format!("{name}.lora_A.weight"), &[2, 24], 0.1));
        tensors.push(weight(&format!("{name}.lora_B.weight"), &[10, 2], 0.1));
    }
    let source = adapted(folder.path(), &config, &tensors);
    let found = profile(&load(&source, Head::Human, Kind::Float), &window(), Bins::Center);
    assert_eq!(found.size(), [9, 16]);
    let record = regulatory_record("m", &source, String::new(), None, Head::Human, None).expect("a record");
    let vestore_schema::Architecture::Regulatory(regulatory) = &record.architecture else {
        panic!("a record")
    };
    assert_eq!((regulatory.targets, record.adapter_kind.as_deref()), (9, Some("lora")));
    tensors[1] = weight("base_model.model.human_head.bias", &[8], 0.1);
    let reason = refusal(&adapted(folder.path(), &config, &tensors));
    assert!(reason.contains("`human_head.bias` has shape [8]"), "{reason}");
}

#[test]
fn what_no_adapter_can_change_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = [
        weight("horizontal_conv1.conv_layer.squeeze_excite.down.weight", &[1, 24], 0.1),
        weight("horizontal_conv1.conv_layer.squeeze_excite.up.weight", &[24, 1], 0.1),
    ];
    for (config, tensors, says) in [
        (
            json!({ "peft_type": "SQUEEZE_EXCITE", "se_rank": 1, "target_modules": ["horizontal_conv1.conv_layer"] }),
            &gate[..],
            "expected convolutions before a pool",
        ),
        (
            json!({ "peft_type": "SQUEEZE_EXCITE", "se_rank": 1, "target_modules": ["to_q"] }),
            &gate[..],
            "expected names of convolutions",
        ),
        (
            json!({ "peft_type": "IA3", "target_modules": ["unet1.1.conv_layer"], "feedforward_modules": [] }),
            &gate[..],
            "PEFT has no IA3 for convolutions",
        ),
        (
            json!({ "peft_type": "LORA", "target_modules": ["to_q"], "layers_to_transform": [0] }),
            &gate[..],
            "expected null for a regulatory model",
        ),
        (
            json!({ "peft_type": "LORA", "target_modules": ["to_q"] }),
            &gate[..],
            "lacks `transformer.0.0.fn.1.to_q.lora_A.weight`",
        ),
    ] {
        let reason = refusal(&adapted(folder.path(), &config, tensors));
        assert!(reason.contains(says), "{config}: {reason}");
    }
}
