//! How the learning rate and the length of windows go with the steps.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Along half a cosine.
    Cosine,
    /// Along a line.
    Linear,
}

impl Decay {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cosine, Self::Linear];

    /// `cosine` or `linear`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Linear => "linear",
        }
    }
}

/// The learning rate of every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Steps of the whole training.
    pub steps: u64,
    /// Steps in which the rate rises from 0 to its peak.
    pub warmup: u64,
    /// The highest rate.
    pub peak: f64,
    /// The rate at the last step, as a share of the peak.
    pub floor: f64,
    /// How it falls.
    pub decay: Decay,
}

impl Schedule {
    /// The learning rate of `step`, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let after = (self.steps - self.warmup).saturating_sub(1).max(1);
        let done = ((step - self.warmup) as f64 / after as f64).min(1.0);
        let left = match self.decay {
            Decay::Cosine => f64::midpoint(1.0, (std::f64::consts::PI * done).cos()),
            Decay::Linear => 1.0 - done,
        };
        self.peak * (self.floor + (1.0 - self.floor) * left)
    }
}

/// Lengths of windows that grow: short windows first, as dnaGrinder trains (arXiv 2409.15697, which sorts its
/// sequences by length). Every stage holds as many steps as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LengthWarmup {
    /// Tokens of the first windows.
    pub first: u32,
    /// Tokens of a window from `steps` on.
    pub last: u32,
    /// Steps of growth; 0 for none.
    pub steps: u64,
}

impl LengthWarmup {
    /// Tokens of the windows of `step`, counted from 0: doubled from stage to stage up to the last.
    #[must_use]
    pub fn tokens(&self, step: u64) -> u32 {
        if step >= self.steps || self.first >= self.last {
            return self.last;
        }
        let stages = u64::from((self.last.div_ceil(self.first)).next_power_of_two().ilog2()).max(1);
        let stage = step * stages / self.steps;
        self.first.saturating_mul(1 << stage.min(30)).min(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let schedule = Schedule { steps: 110, warmup: 10, peak: 2.0, floor: 0.1, decay: Decay::Cosine };
        assert_eq!(schedule.rate(0), 0.2);
        assert_eq!((schedule.rate(9), schedule.rate(10)), (2.0, 2.0));
        assert!((schedule.rate(109) - 0.2).abs() < 1e-12);
        assert!((schedule.rate(59) - 1.1).abs() < 0.03);
        let linear = Schedule { decay: Decay::Linear, floor: 0.0, ..schedule };
        assert!((linear.rate(109)).abs() < 1e-12 && (linear.rate(59) - 2.0 * (50.0 / 99.0)).abs() < 1e-12);
        assert!((0..109).all(|step| step < 10 || schedule.rate(step + 1) < schedule.rate(step)));
        let none = Schedule { steps: 1, warmup: 0, ..schedule };
        assert_eq!(none.rate(0), 2.0);
    }

    #[test]
    fn lengths_double_up_to_the_last() {
        let warmup = LengthWarmup { first: 32, last: 200, steps: 30 };
        let lengths: Vec<u32> = [0, 9, 10, 19, 20, 29, 30, 1_000].map(|step| warmup.tokens(step)).to_vec();
        assert_eq!(lengths, [32, 32, 64, 64, 128, 128, 200, 200]);
        assert_eq!(LengthWarmup { steps: 0, ..warmup }.tokens(0), 200);
    }
}
