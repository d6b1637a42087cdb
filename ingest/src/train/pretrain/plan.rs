//! What decides the weights of a pretraining, besides the data and the first weights.

use serde::{Deserialize, Serialize};

use crate::train::adamw::AdamWOptions;
use crate::train::error::TrainError;
use crate::train::schedule::{LengthWarmup, Schedule};

/// Everything that decides the weights, besides the data and the first weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainingPlan {
    /// Random seed.
    pub seed: u64,
    /// Tokens that one step of the optimizer sees.
    pub batch_tokens: u32,
    /// Micro-batches per step (gradient accumulation).
    pub parts: u32,
    /// Fraction of the tokens that is hidden.
    pub mask_rate: f64,
    /// What a soft-masked base counts for in the loss: 0 leaves repeats out.
    pub repeat_weight: f32,
    /// Tokens of a window.
    pub lengths: LengthWarmup,
    /// Learning rate.
    pub schedule: Schedule,
    /// The optimizer.
    pub optimizer: AdamWOptions,
    /// Whether products are computed in bfloat16; weights and optimizer stay float32.
    pub bf16: bool,
}

impl PretrainingPlan {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let Schedule { steps, warmup, peak, .. } = self.schedule;
        if steps == 0 {
            return TrainError::setting("number of steps", steps, "1 or more");
        }
        if warmup > steps {
            return TrainError::setting("warm-up in steps", warmup, "at most the number of steps");
        }
        if !(peak.is_finite() && peak > 0.0) {
            return TrainError::setting("learning rate", peak, "more than 0");
        }
        if !(self.mask_rate > 0.0 && self.mask_rate < 1.0) {
            return TrainError::setting(
                "fraction of hidden tokens",
                self.mask_rate,
                "more than 0 and less than 1",
            );
        }
        if !(0.0..=1.0).contains(&self.repeat_weight) {
            return TrainError::setting("weight of soft-masked bases", self.repeat_weight, "0 to 1");
        }
        if self.lengths.first == 0 || self.lengths.last == 0 {
            return TrainError::setting("window length in tokens", 0, "1 or more");
        }
        self.optimizer.check()?;
        if self.parts == 0 {
            return TrainError::setting("number of micro-batches", self.parts, "1 or more");
        }
        Ok(())
    }
}
