//! What decides the weights of a transfer, besides the data and the model.

use serde::{Deserialize, Serialize};
use vestore_schema::{Bins, Head, Strands};

use crate::adapter::TransferAdapter;
use crate::train::adamw::AdamWOptions;
use crate::train::course::Course;
use crate::train::error::TrainError;

/// Which weights are trained, besides the head's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferMethod {
    /// All, with the scales and shifts of batch norms; their running statistics stay.
    Full,
    /// None.
    Linear,
    /// Those of an adapter.
    Adapter(TransferAdapter),
}

impl TransferMethod {
    /// `full`, `linear`, `lora`, `locon`, `ia3`, `houlsby` or `houlsby-se`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Linear => "linear",
            Self::Adapter(TransferAdapter::Lora { .. }) => "lora",
            Self::Adapter(TransferAdapter::Locon { .. }) => "locon",
            Self::Adapter(TransferAdapter::Ia3 { .. }) => "ia3",
            Self::Adapter(TransferAdapter::Houlsby { .. }) => "houlsby",
            Self::Adapter(TransferAdapter::HoulsbySe { .. }) => "houlsby-se",
        }
    }

    /// Whether it is an adapter that a checkpoint's own weights can hold.
    #[must_use]
    pub fn merges(&self) -> bool {
        matches!(
            self,
            Self::Adapter(
                TransferAdapter::Lora { .. } | TransferAdapter::Locon { .. } | TransferAdapter::Ia3 { .. }
            )
        )
    }

    /// The peak learning rate that Baskerville's authors train with: less where all weights move.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        if *self == Self::Full { 1e-5 } else { 6e-5 }
    }
}

/// Everything that decides the weights, besides the data and the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferPlan {
    /// What is trained.
    pub method: TransferMethod,
    /// The head that the new targets replace.
    pub head: Head,
    /// Bins of a window that are learned.
    pub bins: Bins,
    /// Whether each window is seen on a strand drawn at random, or forward alone.
    pub strands: Strands,
    /// Each window is shifted by a number of bases drawn between −shift and shift.
    pub shift: u32,
    /// Share of numbers that each block leaves out, after attention and after both matrices of its feed-forward network.
    pub dropout: f64,
    /// Weight of the totals of a window beside the shape of its profile.
    pub total_weight: f64,
    /// Random seed.
    pub seed: u64,
    /// Passes through the training windows.
    pub epochs: u32,
    /// Steps instead, if given.
    pub steps: Option<u64>,
    /// Windows of one step, computed one after the other.
    pub batch: u32,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Fraction of the steps in which it rises; it falls along a line afterwards.
    pub warmup: f64,
    /// Steps between two evaluations of the validation loss; an epoch when `None`.
    pub evaluate_every: Option<u64>,
    /// Early-stopping patience: evaluations without a lower validation loss after which it stops; 0 for never.
    pub patience: u32,
    /// The optimizer.
    pub optimizer: AdamWOptions,
    /// Whether the trunk computes in bfloat16; weights, optimizer and head stay float32.
    pub bf16: bool,
    /// Whether what a block computed is computed again for its gradient, instead of kept.
    pub recompute: bool,
}

impl TransferPlan {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.batch == 0 {
            return TrainError::setting("number of windows of a step", 0, "1 or more");
        }
        self.course().check()?;
        if !(0.0..1.0).contains(&self.dropout) {
            return TrainError::setting("dropout", self.dropout, "0 to less than 1");
        }
        if !(self.total_weight.is_finite() && self.total_weight >= 0.0) {
            return TrainError::setting("weight of totals", self.total_weight, "0 or more");
        }
        self.check_method()
    }

    fn check_method(&self) -> Result<(), TrainError> {
        let TransferMethod::Adapter(adapter) = self.method else { return Ok(()) };
        let (widths, scales): (Vec<u32>, Vec<f64>) = match adapter {
            TransferAdapter::Lora { rank, alpha } => (vec![rank], vec![alpha]),
            TransferAdapter::Locon { rank, alpha, convolution_rank, convolution_alpha } => {
                (vec![rank, convolution_rank], vec![alpha, convolution_alpha])
            }
            TransferAdapter::Ia3 { .. } => (Vec::new(), Vec::new()),
            TransferAdapter::Houlsby { bottleneck } => (vec![bottleneck], Vec::new()),
            TransferAdapter::HoulsbySe { bottleneck, squeeze } => (vec![bottleneck, squeeze], Vec::new()),
        };
        if widths.iter().any(|width| !(1..=1 << 12).contains(width)) {
            return TrainError::setting("inner width of the adapter", format!("{widths:?}"), "1 to 4096");
        }
        if scales.iter().any(|alpha| !(alpha.is_finite() && *alpha > 0.0)) {
            return TrainError::setting("alpha", format!("{scales:?}"), "more than 0");
        }
        Ok(())
    }

    /// How long it lasts.
    pub(super) fn course(&self) -> Course<'_> {
        Course {
            steps: self.steps,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            optimizer: &self.optimizer,
        }
    }
}
