//! Networks against another implementation's float64 outputs, and cones against whole windows.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tch::{Device, Tensor};

use super::config::SpliceConfig;
use super::network::SpliceModel;
use super::pass::{Alternate, SplicePass};
use super::state::PassState;
use super::weights::{SpliceNetwork, load};
use crate::checkpoint::ConfigFile;
use crate::random::Random;
use crate::seam::{Network, Step};

/// How far float32 may lie from float64.
const NEAR: f64 = 5e-6;

/// How far two float32 computations may lie apart: the miniature's random weights amplify rounding.
const ROUNDING: f64 = 5e-5;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/splice").join(name)
}

fn model(kept: &[u32]) -> (SpliceConfig, Vec<SpliceNetwork>) {
    let config = SpliceConfig::read(&ConfigFile::read(&fixture("config.json")).unwrap()).unwrap();
    let networks = load(&fixture(""), &config, kept, Device::Cpu).unwrap();
    (config, networks)
}

/// The probabilities of the reference, then of each alternate, without some blocks.
fn probabilities(pass: &SplicePass, without: &[usize]) -> Vec<Tensor> {
    of_networks(&[0, 1], pass, without)
}

/// The same of some networks alone.
fn of_networks(kept: &[u32], pass: &SplicePass, without: &[usize]) -> Vec<Tensor> {
    let (config, networks) = model(kept);
    let reach = i64::from(config.reach);
    tch::no_grad(|| {
        let mut state = PassState::new(&networks, pass, reach, Device::Cpu).unwrap();
        for block in 0..config.blocks.len() {
            state = state.block(&networks, block, without.contains(&block)).unwrap();
        }
        let count = networks.len() as f64;
        let found: Vec<Tensor> = state.sums(&networks).unwrap().iter().map(|sum| sum / count).collect();
        let places = state.places();
        let alternate = |(group, row): (usize, usize)| found[group + 1].get(row as i64);
        let reference = found[0].get(0);
        std::iter::once(reference).chain(places.into_iter().map(alternate)).collect()
    })
}

fn pass(bases: &[u8], alternates: Vec<Alternate>) -> SplicePass {
    SplicePass { number: 0, bases: Arc::from(bases), alternates }
}

#[test]
fn outputs_are_those_of_another_implementation() {
    let expected: Value = serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    let mut count = 0;
    for case in expected.as_array().unwrap() {
        let found = &probabilities(&pass(case["sequence"].as_str().unwrap().as_bytes(), Vec::new()), &[])[0];
        for (place, row) in case["probabilities"].as_array().unwrap().iter().enumerate() {
            for site in 0..2 {
                let value = found.double_value(&[place as i64, site]);
                let expected = row[1 + site as usize].as_f64().unwrap();
                assert!((value - expected).abs() < NEAR, "{value} {expected}");
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

/// A sequence with its allele replaced.
fn replaced(bases: &[u8], alternate: &Alternate) -> Vec<u8> {
    let start = alternate.start as usize;
    [&bases[..start], &alternate.bases, &bases[start + alternate.reference as usize..]].concat()
}

#[test]
fn alternates_equal_whole_windows() {
    let mut random = Random::new(11);
    let bases: Vec<u8> = (0..160).map(|_| b"ACGTN"[random.below(41) as usize % 5]).collect();
    let (reach, distance) = (24, 7);
    let mut alternates = Vec::new();
    for _ in 0..60 {
        let start = reach + distance + random.below(80) as i64;
        let reference = 1 + random.below(3) as i64 * random.below(2) as i64 * 3;
        let length = 1 + random.below(2) * random.below(20);
        let allele: Vec<u8> = (0..length).map(|_| b"ACGT"[random.below(4) as usize]).collect();
        let outputs = (-distance, distance + reference);
        alternates.push(Alternate { start, reference, bases: Arc::from(allele), outputs });
    }
    for without in [vec![], vec![0], vec![1, 3], vec![0, 1, 2, 3]] {
        let found = probabilities(&pass(&bases, alternates.clone()), &without);
        for (alternate, found) in alternates.iter().zip(&found[1..]) {
            let whole = &probabilities(&pass(&replaced(&bases, alternate), Vec::new()), &without)[0];
            let from = alternate.start + alternate.outputs.0 - reach;
            let expected = whole.narrow(0, from, found.size()[0]);
            assert_eq!(found.size()[0], alternate.outputs.1 - alternate.outputs.0 + alternate.shift());
            let apart = (found - expected).abs().max().double_value(&[]);
            assert!(apart < ROUNDING, "{alternate:?} without {without:?}: {apart}");
        }
    }
}

#[test]
fn an_ensemble_is_the_mean_of_its_networks() {
    let bases: Vec<u8> = (0..90).map(|place| b"ACGT"[place * place % 7 % 4]).collect();
    let alternate = Alternate { start: 44, reference: 1, bases: Arc::from(&b"AC"[..]), outputs: (-5, 6) };
    let pass = pass(&bases, vec![alternate]);
    let [both, first, second] = [&[0, 1][..], &[0], &[1]].map(|kept| of_networks(kept, &pass, &[]));
    for ((both, first), second) in both.iter().zip(&first).zip(&second) {
        let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(apart(both, &((first + second) / 2.0)) < 1e-6);
        assert!(apart(first, second) > 1e-3);
    }
}

/// A model of both networks, with some of its four blocks.
fn pruned(kept: Vec<usize>) -> SpliceModel {
    let (config, networks) = model(&[0, 1]);
    SpliceModel { networks, kept, blocks: 4, reach: i64::from(config.reach), device: Device::Cpu }
}

#[test]
fn one_network_after_the_other_gives_the_bits_of_all_together() {
    let bases: Vec<u8> = (0..160).map(|place| b"ACGT"[place * place % 7 % 4]).collect();
    let alternate = |start| Alternate { start, reference: 1, bases: Arc::from(&b"AC"[..]), outputs: (-5, 6) };
    let passes = [pass(&bases, vec![alternate(61), alternate(70)]), pass(&bases[9..], vec![alternate(66)])];
    let passes: Vec<&SplicePass> = passes.iter().collect();
    for kept in [vec![0, 1, 2, 3], vec![1, 2], vec![0], vec![]] {
        let model = pruned(kept);
        let (forward, together) = tch::no_grad(|| {
            let mut state = model.begin(&passes).unwrap();
            for block in 0..model.depth() {
                state = model.block(block, &state, &Step { without: None, wanted: None }).unwrap();
            }
            (model.forward(&passes, &|| Ok(())).unwrap(), model.read(&state, &passes).unwrap())
        });
        let outputs = |reading| SpliceModel::outputs(reading, &passes).unwrap();
        assert_eq!(outputs(forward), outputs(together));
    }
    let stopped =
        pruned(vec![0]).forward(&passes, &|| Err(crate::error::ModelError::UnknownPart { part: "x".into() }));
    assert!(stopped.is_err());
}

#[test]
fn a_sample_is_a_part_of_its_pass() {
    let model = pruned((0..4).collect());
    let bases: Vec<u8> = (0..160).map(|place| b"ACGT"[place * place % 7 % 4]).collect();
    let alternate = |start, outputs| Alternate { start, reference: 3, bases: Arc::from(&b"AC"[..]), outputs };
    let whole = pass(&bases, vec![alternate(61, (-5, 8)), alternate(70, (-5, 8))]);
    let sample = model.sample(&whole);
    assert_eq!((sample.bases.len(), sample.alternates.len()), (51, 1));
    let [whole, sample] = [&whole, &sample].map(|pass| {
        tch::no_grad(|| {
            let mut state = model.begin(&[pass]).unwrap();
            for block in 0..4 {
                state = model.block(block, &state, &Step { without: None, wanted: None }).unwrap();
            }
            SpliceModel::outputs(model.read(&state, &[pass]).unwrap(), &[pass]).unwrap().remove(0)
        })
    });
    for (whole, sample) in whole.0[0].iter().zip(&sample.0[0]) {
        for (whole, sample) in whole[5..].iter().zip(sample) {
            assert!((whole[0] - sample[0]).abs() < 5e-5 && (whole[1] - sample[1]).abs() < 5e-5);
        }
    }
    assert_eq!([sample.0[0][0].len(), sample.0[0][1].len()], [3, 2]);
}
