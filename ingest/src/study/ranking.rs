//! Rankings of layers that need no training: what a tuned model loses when layers are skipped, and how far each
//! layer moves hidden states.

use std::f64::consts::PI;

use tch::Device;

use crate::checkpoint::ModelSource;
use crate::dataset::{Example, TuningTask};
use crate::random::Random;
use crate::train::{TrainError, TunedModel, TuningInput};
use vestore_schema::Strands;

/// Examples that layers are ranked on, at most.
const ROWS: usize = 256;

/// Orders of layers that Shapley values are estimated from.
const ORDERS: u64 = 24;

/// What a stream of random numbers is for.
const ROW: u64 = 0x4a4e;
const SHAPLEY: u64 = 0x5a41;

/// What a ranking says of each layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRanking {
    /// `ablation`, `block influence`, `angular distance`, `greedy` or `shapley`.
    pub name: &'static str,
    /// For each kept layer in order; higher is more important.
    pub values: Vec<f64>,
    /// How it is made.
    pub note: &'static str,
}

/// Ranks the kept layers of the tuned model `source` by at most 256 of `examples`, drawn by `seed`, without
/// training:
///
/// - ablation: the mean magnitude by which predictions change when the layer is skipped;
/// - block influence (`ShortGPT`, arXiv 2403.03853): 1 − the mean cosine between a token's hidden states before and
///   after the layer;
/// - angular distance (Gromov et al., arXiv 2403.17887): the mean angle between these, as a share of a half turn,
///   over all tokens;
/// - greedy (SLEB, arXiv 2402.09025): layers are skipped one after the other, the one first without which the loss
///   is lowest; the value is how many were skipped before;
/// - shapley (Zhang, Dong, Kawaguchi, arXiv 2409.14381): the mean by which the loss falls when the layer joins
///   those before it, over 24 random orders.
///
/// # Errors
/// When the model cannot be opened or computed.
pub fn rank_layers(
    source: &ModelSource,
    task: TuningTask,
    input: TuningInput,
    strands: Strands,
    examples: &[Example],
    seed: u64,
    device: Device,
) -> Result<Vec<LayerRanking>, TrainError> {
    let drawn = Random::of(&[ROW, seed]).order(examples.len());
    let rows: Vec<Example> = drawn.into_iter().take(ROWS).map(|place| examples[place].clone()).collect();
    let model = TunedModel::open(source, task, input, strands, device)?;
    let depth = model.depth();
    let all: Vec<usize> = (0..depth).collect();
    let without = |layers: &[usize], skipped: usize| -> Vec<usize> {
        layers.iter().copied().filter(|layer| *layer != skipped).collect()
    };
    let full = model.predict(&rows, None)?.values;
    let mut ablation = Vec::with_capacity(depth);
    for layer in 0..depth {
        let changed = model.predict(&rows, Some(&without(&all, layer)))?.values;
        let moved = full.iter().flatten().zip(changed.iter().flatten());
        let sum: f64 = moved.map(|(full, changed)| (full - changed).abs()).sum();
        ablation.push(sum / full.iter().map(Vec::len).sum::<usize>() as f64);
    }
    let movement = model.movement(&rows)?;
    Ok(vec![
        LayerRanking {
            name: "ablation",
            values: ablation,
            note: "mean change of predictions without the layer",
        },
        LayerRanking {
            name: "block influence",
            values: movement.iter().map(|[cosine, _]| 1.0 - cosine).collect(),
            note: "1 − mean cosine of hidden states across the layer",
        },
        LayerRanking {
            name: "angular distance",
            values: movement.iter().map(|[_, angle]| angle / PI).collect(),
            note: "mean angle of hidden states across the layer",
        },
        LayerRanking {
            name: "greedy",
            values: greedy(&model, &rows)?,
            note: "order of skipping by least loss",
        },
        LayerRanking {
            name: "shapley",
            values: shapley(&model, &rows, seed)?,
            note: "mean fall of the loss when the layer joins, 24 random orders",
        },
    ])
}

fn greedy(model: &TunedModel, rows: &[Example]) -> Result<Vec<f64>, TrainError> {
    let mut left: Vec<usize> = (0..model.depth()).collect();
    let mut values = vec![0.0; left.len()];
    for round in 0..left.len() {
        let mut best = (f64::INFINITY, left[0]);
        for layer in &left {
            let kept: Vec<usize> = left.iter().copied().filter(|other| other != layer).collect();
            let loss = model.predict(rows, Some(&kept))?.loss;
            if loss < best.0 {
                best = (loss, *layer);
            }
        }
        values[best.1] = round as f64;
        left.retain(|layer| *layer != best.1);
    }
    Ok(values)
}

fn shapley(model: &TunedModel, rows: &[Example], seed: u64) -> Result<Vec<f64>, TrainError> {
    let depth = model.depth();
    let mut values = vec![0.0; depth];
    let none = model.predict(rows, Some(&[]))?.loss;
    for number in 0..ORDERS {
        let mut joined: Vec<usize> = Vec::with_capacity(depth);
        let mut before = none;
        for layer in Random::of(&[SHAPLEY, seed, number]).order(depth) {
            joined.push(layer);
            joined.sort_unstable();
            let loss = model.predict(rows, Some(&joined))?.loss;
            values[layer] += (before - loss) / ORDERS as f64;
            before = loss;
        }
    }
    Ok(values)
}
