//! What the tests of regulatory models share: windows as one-hot bases, and everything that lies in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};
use vestore_schema::{Bins, Head};

use crate::checkpoint::ModelSource;
use crate::regulatory::trunk::Trunk;

/// One-hot bases [1, 4, bases]; other letters are zeros.
pub(super) fn one_hot(bases: &str) -> Tensor {
    let row = |base: u8| bases.bytes().map(|letter| f32::from(letter == base)).collect::<Vec<f32>>();
    let rows = b"ACGT".map(row).concat();
    Tensor::from_slice(&rows).view([1, 4, -1])
}

/// The reverse complement.
pub(super) fn reversed(bases: &Tensor) -> Tensor {
    bases.flip([1, 2])
}

/// Bases moved right, or left where `shift` is negative; zeros come in.
pub(super) fn shifted(bases: &Tensor, shift: i64) -> Tensor {
    bases.constant_pad_nd([shift, -shift])
}

pub(super) fn load(source: &ModelSource, head: Head, kind: Kind) -> Trunk {
    Trunk::load(source, head, None, kind, Device::Cpu).expect("a model")
}

/// The profile [targets, bins] of a window.
pub(super) fn profile(trunk: &Trunk, bases: &Tensor, bins: Bins) -> Tensor {
    let mut state = trunk.begin(bases).expect("tokens");
    for index in 0..trunk.depth() {
        state = trunk.block(index, &state, None).expect("tokens");
    }
    trunk.profile(&state, bins).expect("a profile")
}

/// What lies at the points that the golden set names: [channels, positions].
pub(super) fn activations(trunk: &Trunk, bases: &Tensor) -> BTreeMap<String, Tensor> {
    let mut found = BTreeMap::new();
    let mut keep = |name: &str, tensor: &Tensor| drop(found.insert(name.to_owned(), tensor.transpose(0, 1)));
    let kind = trunk.head.weight.kind();
    let mut stream = bases.squeeze_dim(0).transpose(0, 1).contiguous().to_kind(kind);
    let unet = trunk.config.is_unet();
    for (number, stage) in trunk.stages.iter().enumerate() {
        // Pools are behind the points of a U-Net's tower, and before Enformer's.
        let pooled = !unet || number == 0;
        let next = stage.forward(&stream, pooled).expect("a stage");
        match number {
            0 => keep("stem", &next),
            6 if unet => keep("unet1", &next),
            _ => keep(&format!("tower.{}", number - 1), &next),
        }
        stream = if pooled { next } else { stage.pool.apply(&next).expect("a pool") };
    }
    let mut state = trunk.begin(bases).expect("tokens");
    for (number, skip) in [1, 0].into_iter().zip(&state.skips) {
        keep(&format!("horizontal{number}"), skip);
    }
    for index in 0..trunk.depth() {
        if index == 0 {
            let attended = trunk.blocks[0].attended(&state.hidden, &state.positions).expect("attention");
            keep("block.0.attn", &attended.squeeze_dim(0));
        }
        state = trunk.block(index, &state, None).expect("tokens");
        keep(&format!("block.{index}"), &state.hidden.squeeze_dim(0));
    }
    let mut stream = state.hidden.squeeze_dim(0);
    for ((number, doubling), skip) in [1, 0].into_iter().zip(&trunk.doublings).zip(&state.skips) {
        keep(&format!("upsample{number}"), &doubling.upsampled(&stream).expect("positions"));
        stream = doubling.forward(&stream, skip).expect("positions");
        keep(&format!("separable{number}"), &stream);
    }
    let (first, count) = trunk.config.crop(state.bases, Bins::Center);
    keep("crop", &stream.narrow(0, first.into(), count.into()));
    keep("final", &trunk.embedding(&state, Bins::Center).expect("an embedding"));
    found
}

/// The golden set of regulatory models, where it is.
pub(super) fn golden() -> Option<PathBuf> {
    let shared = std::env::var_os("VESTORE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let golden = shared.join("golden-regulatory");
    if golden.join("windows.json").is_file() {
        return Some(golden);
    }
    eprintln!("skipped: no golden set at {}", golden.display());
    None
}
