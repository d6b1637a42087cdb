//! What a model version is, and which files are refused.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tch::{Device, Kind};
use vestore_schema::{Architecture, Bins, Digest, Head, Model};

use super::support::{load, one_hot, profile};
use crate::checkpoint::ModelSource;
use crate::error::ModelError;
use crate::regulatory::config::RegulatoryFamily;
use crate::regulatory::describe::{TargetsSource, is_regulatory_model, regulatory_record};
use crate::regulatory::trunk::Trunk;
use crate::synthetic::{NamedWeight, RegulatoryShape, write_regulatory_checkpoint, write_safetensors};

fn record(source: &ModelSource) -> Model {
    regulatory_record("m", source, String::new(), None, Head::Human, None).expect("a record")
}

fn refusal(folder: &Path) -> String {
    let source = ModelSource::new(folder);
    regulatory_record("m", &source, String::new(), None, Head::Human, None)
        .expect_err("a refusal")
        .to_string()
}

fn weights(folder: &Path) -> Vec<NamedWeight> {
    let bytes = fs::read(folder.join("model.safetensors")).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let numbers =
        |data: &[u8]| data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("4"))).collect();
    tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), numbers(view.data())))
        .collect()
}

fn rewrite(folder: &Path, weights: &[NamedWeight]) {
    write_safetensors(&folder.join("model.safetensors"), weights).expect("written");
}

fn configure(folder: &Path, key: &str, value: Value) {
    let file = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    config[key] = value;
    fs::write(file, config.to_string()).expect("written");
}

fn tiny(folder: &Path, family: RegulatoryFamily) -> ModelSource {
    write_regulatory_checkpoint(folder, &RegulatoryShape::tiny(family), 1).expect("written");
    ModelSource::new(folder)
}

#[test]
fn enformer_is_one_model_in_three_layouts() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = tiny(folder.path(), RegulatoryFamily::Enformer);
    let plain = record(&source);
    let weights = weights(folder.path());
    let trunk_name = |name: &str| {
        let parts = [("stem.", 1), ("conv_tower.", 2), ("transformer.", 4), ("final_pointwise.", 6)];
        let part = parts.iter().find_map(|(start, number)| Some((number, name.strip_prefix(start)?)));
        part.map(|(number, rest)| format!("_trunk.{number}.{rest}"))
    };
    let renamed: Vec<NamedWeight> = weights
        .iter()
        .map(|(name, shape, numbers)| {
            (trunk_name(name).unwrap_or_else(|| name.clone()), shape.clone(), numbers.clone())
        })
        .collect();
    rewrite(folder.path(), &renamed);
    let alone = record(&source);
    let mut both: Vec<NamedWeight> =
        renamed.iter().filter(|(name, ..)| name.starts_with("_trunk")).cloned().collect();
    both.extend(weights.iter().cloned());
    both.push(("stem.1.fn.0.num_batches_tracked".to_owned(), vec![], vec![3.0]));
    rewrite(folder.path(), &both);
    let doubled = record(&source);
    assert_eq!(
        (plain.id, plain.parameters, plain.weight_bytes),
        (alone.id, alone.parameters, alone.weight_bytes)
    );
    assert_eq!(plain.id, doubled.id);
    both[0].2[0] += 1.0;
    rewrite(folder.path(), &both);
    assert!(refusal(folder.path()).contains("twice"), "{}", refusal(folder.path()));
}

#[test]
fn whatever_decides_numbers_is_another_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = tiny(folder.path(), RegulatoryFamily::Borzoi);
    assert!(is_regulatory_model(&source).expect("a configuration"));
    let whole = record(&source);
    let Architecture::Regulatory(regulatory) = &whole.architecture else {
        panic!("{:?}", whole.architecture)
    };
    assert_eq!((regulatory.targets, regulatory.bin, regulatory.center_bins), (5, 32, 16));
    assert_eq!((whole.family.as_str(), whole.layers, whole.hidden), ("borzoi", 3, 24));
    let mouse = regulatory_record("m", &source, String::new(), None, Head::Mouse, None).expect("a record");
    let targets = TargetsSource { file: "/t".to_owned(), digest: Digest::of(b"t") };
    let named = regulatory_record("m", &source, String::new(), None, Head::Human, Some(targets));
    let pruned = record(&ModelSource { kept_layers: Some(vec![0, 2]), ..source.clone() });
    assert!(pruned.parameters < whole.parameters && pruned.weight_bytes < whole.weight_bytes);
    // What nothing reads does not count.
    configure(folder.path(), "attn_dropout", json!(0.5));
    assert_eq!(record(&source).id, whole.id);
    configure(folder.path(), "bins_to_return", json!(12));
    let mut ids = vec![whole.id, mouse.id, named.expect("a record").id, pruned.id, record(&source).id];
    let mut changed = weights(folder.path());
    let mean = changed.iter_mut().find(|(name, ..)| name.ends_with("running_mean")).expect("a mean");
    mean.2[0] += 1.0;
    rewrite(folder.path(), &changed);
    ids.push(record(&source).id);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn chosen_targets_are_rows_of_the_head() {
    let folder = tempfile::tempdir().expect("a folder");
    for family in [RegulatoryFamily::Borzoi, RegulatoryFamily::Enformer] {
        let source = tiny(folder.path(), family);
        let bases = one_hot(&"ACGTTGCATGAC".repeat(256));
        let all = profile(&load(&source, Head::Human, Kind::Float), &bases, Bins::All);
        let chosen =
            Trunk::load(&source, Head::Human, Some(&[1, 4]), Kind::Float, Device::Cpu).expect("a model");
        let some = profile(&chosen, &bases, Bins::All);
        assert_eq!(some.size()[0], 2);
        for (row, target) in [(0, 1), (1, 4)] {
            assert!((some.get(row) - all.get(target)).abs().max().double_value(&[]) < 1e-6);
        }
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let source = tiny(path, RegulatoryFamily::Borzoi);
    let good = weights(path);
    let change = |change: &dyn Fn(&mut Vec<NamedWeight>)| {
        let mut weights = good.clone();
        change(&mut weights);
        rewrite(path, &weights);
        refusal(path)
    };
    let reason = change(&|weights| weights.retain(|(name, ..)| name != "unet1.1.norm.weight"));
    assert!(reason.contains("lacks 1 weights, first `unet1.1.norm.weight`"), "{reason}");
    let reason = change(&|weights| weights.push(("unet2.weight".to_owned(), vec![1], vec![0.0])));
    assert!(reason.contains("no place for, first `unet2.weight`"), "{reason}");
    let reason = change(&|weights| {
        let weight = weights.iter_mut().find(|(name, ..)| name == "res_tower.0.conv_layer.weight");
        let (_, shape, numbers) = weight.expect("a weight");
        (*shape, *numbers) = (vec![8, 7, 4], vec![0.0; 8 * 7 * 4]);
    });
    assert!(reason.contains("has shape [8, 7, 4], config.json asks for [8, 7, 5]"), "{reason}");
    let widen = |module: &str| {
        change(&|weights| {
            let name = format!("{module}.weight");
            let (_, shape, numbers) =
                weights.iter_mut().find(|(found, ..)| *found == name).expect("a weight");
            shape[2] = 3;
            *numbers = numbers.iter().flat_map(|number| [*number; 3]).collect();
        })
    };
    for name in ["final_joined_convs.0", "horizontal_conv1", "upsampling_unet0.0"] {
        let reason = widen(&format!("{name}.conv_layer"));
        assert!(reason.contains("3], config.json asks for [") && reason.contains("1]"), "{name}: {reason}");
    }
    let reason = change(&|weights| weights.retain(|(name, ..)| !name.contains("_head.")));
    assert!(reason.contains("`human_head.weight`"), "{reason}");
    let only_mouse: Vec<NamedWeight> =
        good.iter().filter(|(name, ..)| !name.starts_with("human_head")).cloned().collect();
    rewrite(path, &only_mouse);
    assert!(matches!(
        regulatory_record("m", &source, String::new(), None, Head::Human, None),
        Err(ModelError::NoSpecies { .. })
    ));
    assert!(refusal(path).contains("has no human head; use --head mouse"), "{}", refusal(path));
    rewrite(path, &good);
    fs::write(path.join("adapter_config.json"), "{}").expect("written");
    assert!(matches!(
        regulatory_record("m", &source, String::new(), None, Head::Human, None),
        Err(ModelError::HoldsAdapter { .. })
    ));
}
