//! What decides the weights of a fine-tuning, besides the data and the model.

use serde::{Deserialize, Serialize};
use vestore_schema::Strands;

use crate::adapter::AdapterKind;
use crate::train::adamw::AdamWOptions;
use crate::train::course::Course;
use crate::train::error::TrainError;

/// Which weights are trained, besides the head's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningMethod {
    /// All.
    Full,
    /// None: a probe.
    Linear,
    /// Those of an adapter.
    Adapter {
        /// Its kind.
        adapter: AdapterKind,
        /// Target-module suffixes; the kind's own choice when `None`.
        targets: Option<Vec<String>>,
    },
}

impl TuningMethod {
    /// One of each, with the default sizes of its adapter.
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::Linear,
        Self::Adapter { adapter: AdapterKind::Lora { rank: 8, alpha: 16.0 }, targets: None },
        Self::Adapter { adapter: AdapterKind::Ia3, targets: None },
        Self::Adapter { adapter: AdapterKind::Houlsby { latent: 8 }, targets: None },
    ];

    /// `full`, `linear`, `lora`, `ia3` or `houlsby`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Linear => "linear",
            Self::Adapter { adapter: AdapterKind::Lora { .. }, .. } => "lora",
            Self::Adapter { adapter: AdapterKind::Ia3, .. } => "ia3",
            Self::Adapter { adapter: AdapterKind::Houlsby { .. }, .. } => "houlsby",
        }
    }

    /// The weights that it trains, in a line.
    #[must_use]
    pub fn description(&self) -> &'static str {
        match self {
            Self::Full => "All weights",
            Self::Linear => "The head alone",
            Self::Adapter { adapter: AdapterKind::Lora { .. }, .. } => "Low-rank changes",
            Self::Adapter { adapter: AdapterKind::Ia3, .. } => "Scales of keys, values and feed-forward",
            Self::Adapter { adapter: AdapterKind::Houlsby { .. }, .. } => {
                "Bottlenecks within the layers, and the norms"
            }
        }
    }

    /// The peak learning rate that suits it: what is trained beside fixed weights moves on faster.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        if *self == Self::Full { 5e-5 } else { 1e-3 }
    }
}

/// What the head is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningInput {
    /// The alternate window, or the sequence.
    Alternate,
    /// What it gives for the alternate window less what it gives for the reference window.
    Difference,
}

impl TuningInput {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Alternate, Self::Difference];

    /// `alternate` or `difference`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alternate => "alternate",
            Self::Difference => "difference",
        }
    }
}

/// Everything that decides the weights, besides the data and the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningPlan {
    /// What is trained.
    pub method: TuningMethod,
    /// What the head is given.
    pub input: TuningInput,
    /// Whether examples are seen on a strand drawn at random, and judged by the mean of both; or forward alone.
    pub strands: Strands,
    /// Whether classes are weighted equally, however many examples each has.
    pub balanced: bool,
    /// Random seed.
    pub seed: u64,
    /// Passes through the training examples.
    pub epochs: u32,
    /// Steps instead, if given.
    pub steps: Option<u64>,
    /// Examples of one step.
    pub batch: u32,
    /// Micro-batches per step (gradient accumulation).
    pub parts: u32,
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
    /// Whether products are computed in bfloat16; weights and optimizer stay float32.
    pub bf16: bool,
}

impl TuningPlan {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.batch == 0 || self.parts == 0 {
            return TrainError::setting("batch, or its number of micro-batches,", 0, "1 or more");
        }
        self.course().check()?;
        match &self.method {
            TuningMethod::Adapter { adapter: AdapterKind::Lora { rank, alpha }, .. }
                if *rank == 0 || !(alpha.is_finite() && *alpha > 0.0) =>
            {
                TrainError::setting("rank, or alpha,", format!("{rank}, {alpha}"), "more than 0 for both")
            }
            TuningMethod::Adapter { adapter: AdapterKind::Houlsby { latent: 0 }, .. } => {
                TrainError::setting("width of a bottleneck", 0, "1 or more")
            }
            _ => Ok(()),
        }
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
