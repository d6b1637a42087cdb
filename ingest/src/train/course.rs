//! How long a training of a finished model lasts, and how its learning rate goes: settings that fine-tuning and transfer
//! share.

use super::adamw::AdamWOptions;
use super::error::TrainError;
use super::schedule::{Decay, Schedule};
use crate::convert::whole;

/// Those settings of a plan.
pub(super) struct Course<'a> {
    pub(super) steps: Option<u64>,
    pub(super) epochs: u32,
    /// Examples of one step.
    pub(super) batch: u32,
    pub(super) learning_rate: f64,
    /// Fraction of the steps in which the rate rises; it falls along a line afterwards.
    pub(super) warmup: f64,
    pub(super) evaluate_every: Option<u64>,
    pub(super) optimizer: &'a AdamWOptions,
}

impl Course<'_> {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.steps == Some(0) || (self.steps.is_none() && self.epochs == 0) {
            return TrainError::setting("number of steps, or of epochs,", 0, "1 or more");
        }
        if self.evaluate_every == Some(0) {
            return TrainError::setting("number of steps between two evaluations", 0, "1 or more");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return TrainError::setting("learning rate", self.learning_rate, "more than 0");
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return TrainError::setting("fraction of the warm-up", self.warmup, "0 to 1");
        }
        self.optimizer.check()?;
        if !(0.0..=1.0).contains(&self.optimizer.weight_decay) {
            return TrainError::setting("weight decay", self.optimizer.weight_decay, "0 to 1");
        }
        Ok(())
    }

    /// Steps of one pass through `examples` training examples.
    pub(super) fn per_epoch(&self, examples: usize) -> u64 {
        (examples as u64).div_ceil(u64::from(self.batch))
    }

    pub(super) fn schedule(&self, examples: usize) -> Schedule {
        let steps = self.steps.unwrap_or(self.per_epoch(examples) * u64::from(self.epochs));
        let warmup = whole((steps as f64 * self.warmup).round());
        Schedule { steps, warmup, peak: self.learning_rate, floor: 0.0, decay: Decay::Linear }
    }
}
