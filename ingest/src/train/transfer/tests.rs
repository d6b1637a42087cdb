//! Gradients of regulatory models in training, of every family and method.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use vestore_schema::{Bins, Head, Strands};

use super::network::{Example, TransferNetwork};
use super::plan::{TransferMethod, TransferPlan};
use super::start;
use crate::adapter::{Ia3Layers, TransferAdapter};
use crate::checkpoint::ModelSource;
use crate::random::Random;
use crate::regulatory::RegulatoryFamily;
use crate::synthetic::{RegulatoryShape, write_regulatory_checkpoint};
use crate::train::adamw::AdamWOptions;
use crate::train::leaves::Trainable;

const FAMILIES: [RegulatoryFamily; 3] =
    [RegulatoryFamily::Borzoi, RegulatoryFamily::Flashzoi, RegulatoryFamily::Enformer];

const TARGETS: usize = 3;

fn methods() -> Vec<TransferMethod> {
    let adapters = [
        TransferAdapter::Lora { rank: 3, alpha: 6.0 },
        TransferAdapter::Locon { rank: 3, alpha: 6.0, convolution_rank: 2, convolution_alpha: 1.0 },
        TransferAdapter::Ia3 { layers: Ia3Layers::Paper },
        TransferAdapter::Ia3 { layers: Ia3Layers::Code },
        TransferAdapter::Houlsby { bottleneck: 4 },
        TransferAdapter::HoulsbySe { bottleneck: 4, squeeze: 3 },
    ];
    let adapters = adapters.map(TransferMethod::Adapter);
    [TransferMethod::Full, TransferMethod::Linear].into_iter().chain(adapters).collect()
}

fn plan(method: TransferMethod) -> TransferPlan {
    TransferPlan {
        method,
        head: Head::Human,
        bins: Bins::Center,
        strands: Strands::Forward,
        shift: 0,
        dropout: 0.0,
        total_weight: 0.2,
        seed: 5,
        epochs: 1,
        steps: None,
        batch: 1,
        learning_rate: 1e-3,
        warmup: 0.0,
        evaluate_every: None,
        patience: 0,
        optimizer: AdamWOptions::default(),
        bf16: false,
        recompute: false,
    }
}

/// A network of a family by a plan, and a window of it.
fn network(family: RegulatoryFamily, plan: &TransferPlan) -> (TransferNetwork, Example) {
    network_of(family, plan, None)
}

/// The same of the blocks `kept`.
fn network_of(
    family: RegulatoryFamily,
    plan: &TransferPlan,
    kept: Option<Vec<u32>>,
) -> (TransferNetwork, Example) {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoint = directory.path().join("checkpoint");
    std::fs::create_dir(&checkpoint).expect("a folder");
    let shape = RegulatoryShape::tiny(family);
    write_regulatory_checkpoint(&checkpoint, &shape, 3).expect("written");
    let source = ModelSource { kept_layers: kept, ..ModelSource::new(&checkpoint) };
    let network = start::open(&source, plan, TARGETS, directory.path(), Device::Cpu).expect("a network");
    let window = 4096;
    network.files.config.check_window(window).expect("a length of the family");
    let mut random = Random::of(&[8]);
    let codes: Vec<i64> = (0..window).map(|_| random.below(4) as i64).collect();
    let bases = Tensor::from_slice(&codes).one_hot(4).transpose(0, 1).unsqueeze(0).to_kind(Kind::Float);
    let (_, bins) = network.files.config.crop(window, plan.bins);
    let measured: Vec<f32> = (0..TARGETS * bins as usize).map(|_| random.uniform() as f32 * 3.0).collect();
    let measured = Tensor::from_slice(&measured).view([TARGETS as i64, -1]);
    (network, Example { bases, measured, seed: 1 })
}

/// The gradients of one window.
fn gradients(network: &TransferNetwork, example: &Example) -> (f64, BTreeMap<String, Tensor>) {
    let loss = network.backward(example, 1.0).expect("a loss");
    let weights = network.leaves().weights().iter();
    (loss, weights.map(|(name, weight)| (name.clone(), weight.grad())).collect())
}

fn is_of_adapter(name: &str) -> bool {
    ["lora_", "ia3_l", "_adapter.", "squeeze_excite"].iter().any(|part| name.contains(part))
}

fn length(tensor: &Tensor) -> f64 {
    tensor.square().sum(Kind::Double).sqrt().double_value(&[])
}

/// The loss a step to either side of the weights along one gradient differs by that gradient's length: what writes over
/// its input, and what joins blocks, must not have lost it.
#[test]
fn gradients_are_slopes_in_every_family_and_method() {
    for family in FAMILIES {
        let enformer = family == RegulatoryFamily::Enformer;
        for method in methods() {
            if enformer && matches!(method, TransferMethod::Adapter(TransferAdapter::HoulsbySe { .. })) {
                continue;
            }
            let (network, example) = network(family, &plan(method));
            // An adapter begins where some of its gradients are nothing.
            let mut random = Random::of(&[9]);
            let adapted = network.leaves().weights().iter().filter(|(name, _)| is_of_adapter(name));
            for (name, weight) in adapted {
                let drawn: Vec<f32> = (0..weight.numel()).map(|_| random.normal() as f32 * 0.3).collect();
                let drawn = Tensor::from_slice(&drawn).view_as(weight);
                // Below 0 a bottleneck gives nothing.
                let drawn = if name.rsplit('.').next() == Some("bias") { drawn.abs() } else { drawn };
                let _ = weight.detach().f_add_(&drawn).expect("moved");
            }
            let (_, found) = gradients(&network, &example);
            let loss = || {
                let trunk = network.fixed().expect("a trunk");
                let profile = network.profile(&trunk, &example.bases).expect("a profile");
                network.loss(&profile, &example.measured).expect("a loss").double_value(&[])
            };
            let mut checked = 0;
            for (name, gradient) in &found {
                assert!(gradient.defined(), "{family:?} {method:?}: {name} has no gradient");
                let slope = length(gradient);
                // Bottlenecks and gates may be shut.
                let open = name.contains("lora_") || name.contains("ia3_l");
                assert!(slope > 0.0 || !open, "{family:?} {method:?}: {name} moves nothing");
                if slope < 0.02 {
                    continue;
                }
                let step = (gradient / slope).detach() * (0.01 / slope.max(1.0));
                let size = length(&step);
                let mut moved = network.leaves().weights()[name].detach();
                let _ = moved.f_add_(&step).expect("moved");
                let above = loss();
                let _ = moved.f_sub_(&(&step * 2.0)).expect("moved");
                let below = loss();
                let _ = moved.f_add_(&step).expect("moved");
                let measured = (above - below) / (2.0 * size);
                assert!(
                    (measured / slope - 1.0).abs() < 0.1,
                    "{family:?} {method:?}: {name}: {measured} for {slope}"
                );
                checked += 1;
            }
            assert!(checked > 0, "{family:?} {method:?}: nothing was checked");
        }
    }
}

#[test]
fn a_method_trains_what_it_says() {
    for family in FAMILIES {
        let trained = |method| {
            let (network, _) = network(family, &plan(method));
            let leaves = network.leaves();
            (
                leaves.weights().keys().cloned().collect::<Vec<_>>(),
                leaves.trained_parameters(),
                leaves.parameters(),
            )
        };
        let (names, count, all) = trained(TransferMethod::Linear);
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(count * 4 < all);
        let (names, count, all) = trained(TransferMethod::Full);
        assert!(names.iter().all(|name| !name.contains("running_")) && count < all);
        assert!(names.len() > 40);
        let (names, ..) = trained(TransferMethod::Adapter(TransferAdapter::Lora { rank: 3, alpha: 6.0 }));
        assert!(names.iter().all(|name| name.contains("lora_") || name.contains("head")), "{names:?}");
        let (names, ..) = trained(TransferMethod::Adapter(TransferAdapter::Houlsby { bottleneck: 4 }));
        let norms = names.iter().filter(|name| name.contains(".fn.0.")).count();
        assert_eq!(norms, names.iter().filter(|name| name.contains("_adapter.")).count() / 2, "{names:?}");
    }
}

#[test]
fn a_pruned_model_is_transferred_with_the_numbers_of_its_blocks() {
    for family in FAMILIES {
        for adapter in
            [TransferAdapter::Lora { rank: 3, alpha: 6.0 }, TransferAdapter::Houlsby { bottleneck: 4 }]
        {
            let (network, example) =
                network_of(family, &plan(TransferMethod::Adapter(adapter)), Some(vec![0, 2]));
            let (_, found) = gradients(&network, &example);
            let blocks = |number: u32| {
                found.keys().filter(|name| name.contains(&format!("transformer.{number}."))).count()
            };
            assert!(
                blocks(0) > 0 && blocks(0) == blocks(2) && blocks(1) == 0,
                "{family:?}: {:?}",
                found.keys()
            );
        }
    }
}

#[test]
fn recomputed_gradients_are_the_same() {
    // Without dropout: other tests draw from libtorch's one stream of random numbers.
    for family in FAMILIES {
        for method in [methods()[0], methods()[2], methods()[3]] {
            let plain = plan(method);
            let (network, example) = network(family, &plain);
            let (loss, kept) = gradients(&network, &example);
            let (network, example) = self::network(family, &TransferPlan { recompute: true, ..plain });
            let (again, found) = gradients(&network, &example);
            assert!((loss - again).abs() < 1e-6 * loss.abs(), "{family:?} {method:?}: {loss} and {again}");
            for (name, gradient) in &kept {
                let difference = length(&(gradient - &found[name]));
                assert!(
                    difference <= 1e-4 * length(gradient) + 1e-6,
                    "{family:?} {method:?}: {name} differs by {difference}"
                );
            }
        }
    }
}
