//! How fast the machine multiplies large matrices, and the operations of a forward pass.

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape};

/// Operations per second of large matrix products on the CPU, the fastest of five after one that warms up.
pub(crate) fn large(kind: Kind) -> f64 {
    let size = 2048;
    let [left, right] = [(); 2].map(|()| Tensor::rand([size, size], (kind, Device::Cpu)));
    drop(left.matmul(&right));
    let once = |_| {
        let started = Instant::now();
        drop(left.matmul(&right));
        started.elapsed().as_secs_f64()
    };
    2.0 * (size as f64).powi(3) / (0..5).map(once).fold(f64::INFINITY, f64::min)
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
