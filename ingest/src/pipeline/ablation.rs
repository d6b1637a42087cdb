//! What a unit needs beside scoring when layers are left out in turn.

use vestore::AblationRow;
use vestore_schema::{LayerRecord, Run, Variant};

use crate::model::error::ModelError;
use crate::score::{self, LaunchedAblation, Movement, Outputs, Row, Work};

/// A unit's outputs without each layer, beside those of the full model.
#[derive(Default)]
pub(super) struct Ablation {
    /// By kept layer, then by batch.
    without: Vec<Vec<Outputs>>,
    movement: Vec<Movement>,
    pub(super) evaluations: u64,
    pub(super) batches: u64,
}

/// All batches of a unit, perhaps not computed yet.
pub(super) struct LaunchedUnit {
    pub(super) batches: Vec<LaunchedAblation>,
    /// Layers of the model.
    pub(super) depth: usize,
}

impl LaunchedUnit {
    /// Waits for the batches; gives the full model's outputs too.
    pub(super) fn read(self, work: &Work) -> Result<(Vec<Outputs>, Ablation), ModelError> {
        let mut ablation = Ablation {
            without: vec![Vec::with_capacity(work.batches()); self.depth],
            movement: vec![Movement::default(); self.depth],
            ..Ablation::default()
        };
        let mut full = Vec::with_capacity(work.batches());
        for launched in self.batches {
            let ablated = launched.read(work)?;
            full.push(ablated.full);
            for (to, from) in ablation.without.iter_mut().zip(ablated.without) {
                to.push(from);
            }
            for (to, from) in ablation.movement.iter_mut().zip(ablated.movement) {
                to.add(from);
            }
            ablation.evaluations += ablated.evaluations;
            ablation.batches += 1;
        }
        Ok((full, ablation))
    }
}

impl Ablation {
    /// The rows of every kept layer, by layer.
    pub(super) fn finish(&mut self, work: &Work) -> Vec<Vec<Row>> {
        std::mem::take(&mut self.without).into_iter().map(|outputs| score::finish(work, outputs)).collect()
    }

    /// Adds to the run's record how far the layers moved hidden states.
    pub(super) fn record(&self, kept: &[u32], run: &mut Run) {
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

/// The rows of one variant: `full`, and `without` each of the layers `kept`.
pub(super) fn rows<'a>(
    variant: &'a Variant,
    kept: &'a [u32],
    full: &'a Row,
    without: impl Iterator<Item = Option<&'a Row>> + 'a,
) -> impl Iterator<Item = AblationRow> + 'a {
    kept.iter().zip(without).map(move |(layer, without)| {
        // What could not be scored has no row without the layer either.
        let (changes, status) = match without {
            Some(without) => score::change(full, without),
            None => (vec![None; full.values.len()], full.status),
        };
        AblationRow { variant: variant.clone(), layer: *layer, changes, status }
    })
}
