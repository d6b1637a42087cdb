//! How fast the machine multiplies matrices: large ones, and those of a model's own forward pass.

use std::time::Instant;

use tch::{Cuda, Device, Kind, Tensor};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape};

/// Waits until the device has done what it was given.
pub(crate) fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// The least seconds of some calls, after one that warms up.
pub(crate) fn fastest(device: Device, times: usize, mut run: impl FnMut()) -> f64 {
    run();
    wait(device);
    let one = |_| {
        let started = Instant::now();
        run();
        wait(device);
        started.elapsed().as_secs_f64()
    };
    (0..times).map(one).fold(f64::INFINITY, f64::min)
}

/// Operations per second of large matrix products.
pub(crate) fn large(device: Device, kind: Kind) -> f64 {
    let size = if device.is_cuda() { 8192 } else { 2048 };
    let [left, right] = [(); 2].map(|()| Tensor::rand([size, size], (kind, device)));
    let seconds = fastest(device, 5, || drop(left.matmul(&right)));
    2.0 * (size as f64).powi(3) / seconds
}

/// Operations of a forward pass over windows of `tokens` tokens, one window: all layers, or the last one for
/// one token only; the head over one token.
pub(crate) fn operations(shape: &SyntheticShape, tokens: u32, whole_last: bool) -> f64 {
    let (hidden, inner, tokens) = (f64::from(shape.hidden), f64::from(shape.ffn), f64::from(tokens));
    let gates = if shape.family == SyntheticFamily::NucleotideTransformerV1 { 2.0 } else { 3.0 };
    let per_token = 2.0 * (4.0 * hidden * hidden + gates * hidden * inner);
    let layer = tokens * per_token + 4.0 * tokens * tokens * hidden;
    let last = if whole_last {
        layer
    } else {
        tokens * 4.0 * hidden * hidden + per_token - 4.0 * hidden * hidden + 4.0 * tokens * hidden
    };
    f64::from(shape.layers - 1) * layer + last + 2.0 * hidden * (hidden + 4105.0)
}

/// Seconds that the matrix products of a forward pass take alone, on [batch, tokens].
pub(crate) fn own(shape: &SyntheticShape, batch: i64, tokens: i64, kind: Kind, device: Device) -> f64 {
    let (hidden, inner, heads) = (i64::from(shape.hidden), i64::from(shape.ffn), i64::from(shape.heads));
    let gated = if shape.family == SyntheticFamily::NucleotideTransformerV1 { 1 } else { 2 };
    let make = |rows: i64, columns: i64| Tensor::rand([rows, columns], (kind, device));
    let states = make(batch * tokens, hidden);
    let inside = make(batch * tokens, inner);
    let weights: Vec<[Tensor; 4]> = (0..shape.layers)
        .map(|_| {
            [make(3 * hidden, hidden), make(hidden, hidden), make(gated * inner, hidden), make(hidden, inner)]
        })
        .collect();
    let query = Tensor::rand([batch * heads, tokens, hidden / heads], (kind, device));
    let scores = Tensor::rand([batch * heads, tokens, tokens], (kind, device));
    fastest(device, 3, || {
        for [fused, output, up, down] in &weights {
            drop(states.linear(fused, None::<Tensor>));
            drop(query.bmm(&query.transpose(1, 2)));
            drop(scores.bmm(&query));
            drop(states.linear(output, None::<Tensor>));
            drop(states.linear(up, None::<Tensor>));
            drop(inside.linear(down, None::<Tensor>));
        }
    })
}
