//! What a unit needs beside scoring when layers are left out in turn.

use vestore_schema::{LayerRecord, Run};

use super::branches::{LaunchedAblation, Movement};
use crate::error::ModelError;
use crate::forward::Outputs;
use crate::seam::{Network, Output, Pass};
use crate::work::{Row, Work};

/// A unit's outputs without each layer, beside those of the full model.
pub(crate) struct Ablation<O> {
    /// Of the full model, by batch.
    pub(crate) full: Vec<Outputs<O>>,
    /// By kept layer, then by batch.
    without: Vec<Vec<Vec<O>>>,
    movement: Vec<Movement>,
    pub(crate) evaluations: u64,
    pub(crate) batches: u64,
}

/// All batches of a unit, perhaps not computed yet.
pub(crate) struct LaunchedUnit<N: Network> {
    pub(crate) batches: Vec<LaunchedAblation<N>>,
    /// Layers of the model.
    pub(crate) depth: usize,
}

impl<N: Network> LaunchedUnit<N> {
    /// Waits for the batches.
    pub(crate) fn read(self, work: &Work<N::Pass, N::Output>) -> Result<Ablation<N::Output>, ModelError> {
        let mut ablation = Ablation {
            full: Vec::with_capacity(work.batches()),
            without: vec![Vec::with_capacity(work.batches()); self.depth],
            movement: vec![Movement::default(); self.depth],
            evaluations: 0,
            batches: 0,
        };
        for launched in self.batches {
            let ablated = launched.read(work)?;
            ablation.full.push(ablated.full);
            for (to, from) in ablation.without.iter_mut().zip(ablated.without) {
                to.push(from.outputs);
            }
            for (to, from) in ablation.movement.iter_mut().zip(ablated.movement) {
                to.add(from);
            }
            ablation.evaluations += ablated.evaluations;
            ablation.batches += 1;
        }
        Ok(ablation)
    }
}

impl<O: Output> Ablation<O> {
    /// The rows of every kept layer, by layer.
    pub(crate) fn finish<P: Pass>(&mut self, work: &Work<P, O>) -> Vec<Vec<Row>> {
        std::mem::take(&mut self.without).into_iter().map(|outputs| work.finish(outputs)).collect()
    }

    /// Adds to the run's record how far the layers moved hidden states, where that was measured.
    pub(crate) fn record(&self, kept: &[u32], run: &mut Run) {
        if self.movement.iter().all(|movement| movement.passes == 0) {
            return;
        }
        if run.layers.is_empty() {
            let empty = |layer: &u32| LayerRecord {
                layer: *layer,
                passes: 0,
                block_influence: 0.0,
                angular_distance: 0.0,
            };
            run.layers = kept.iter().map(empty).collect();
        }
        for (record, movement) in run.layers.iter_mut().zip(&self.movement) {
            let (before, passes) = (record.passes as f64, record.passes + movement.passes);
            if movement.passes > 0 {
                let mean = |mean: f64, sum: f64| (mean * before + sum) / passes as f64;
                record.block_influence = mean(record.block_influence, movement.influence);
                record.angular_distance = mean(record.angular_distance, movement.angle);
                record.passes = passes;
            }
        }
    }
}
