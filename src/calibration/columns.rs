//! The columns that calibrations make of the rows of a track.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Float64Array, RecordBatch};
use vestore_schema::{Calibration, Context, Scale};

use super::background::adjusted;
use super::contexts::Contexts;
use super::distribution::Distribution;
use crate::query::Bound;
use crate::store::{RowKeys, Store, StoreError};

/// A calibration in use.
pub(crate) struct Calibrated {
    calibration: Calibration,
    distribution: Arc<Distribution>,
    contexts: Option<Contexts>,
}

impl Calibrated {
    /// Reads what a calibration of the store needs.
    pub(crate) fn new(store: &Store, calibration: &Calibration) -> Result<Self, StoreError> {
        let distribution = store.distribution(calibration)?;
        let open = |context: Context| -> Result<Contexts, StoreError> {
            Ok(Contexts::new(context, store.open_reference()?))
        };
        let contexts = calibration.context.map(open).transpose()?;
        Ok(Self { calibration: calibration.clone(), distribution, contexts })
    }

    /// Of which calibration.
    pub(crate) fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// A scale of `scores`, those of the rows of `batch`, on the contig of this index.
    pub(crate) fn column(
        &mut self,
        scale: Scale,
        scores: &Float32Array,
        batch: &RecordBatch,
        contig: u32,
    ) -> Result<ArrayRef, StoreError> {
        let keys = RowKeys::of(batch);
        let mut values = Vec::with_capacity(scores.len());
        for row in 0..scores.len() {
            values.push(if scores.is_valid(row) {
                self.value(scale, scores.value(row), (&keys, row), contig)?
            } else {
                None
            });
        }
        Ok(Arc::new(Float64Array::from(values)))
    }

    /// A scale of one score, that of a row of `keys` on the contig of this index; none where its class has no mean.
    pub(crate) fn value(
        &mut self,
        scale: Scale,
        score: f32,
        (keys, row): (&RowKeys<'_>, usize),
        contig: u32,
    ) -> Result<Option<f64>, StoreError> {
        let class = match &mut self.contexts {
            Some(contexts) => contexts.class(contig, keys.position(row), keys.alleles(row))?,
            None => None,
        };
        let score = adjusted(score, class, self.distribution.means());
        Ok(score.map(|score| self.distribution.at(scale, self.calibration.direction.oriented(score))))
    }

    /// What a row must have in the score column to fulfil `bound` on one of the made columns, if that can be said.
    pub(crate) fn bound(&self, scale: Scale, bound: &Bound<'_>) -> Option<Bound<'_>> {
        if self.calibration.context.is_some() {
            return None;
        }
        // Where no score is extreme enough, none can be.
        let least = self.distribution.least(scale, bound.at_least()?).unwrap_or(f32::INFINITY);
        Bound::beyond(&self.calibration.column, self.calibration.direction, least)
    }
}
