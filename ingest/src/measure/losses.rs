//! Losses of single bases, and their means with intervals.

use crate::evaluate::resample;

/// Resamples for an interval.
const RESAMPLES: u32 = 1000;

/// Where the resamples start.
const SEED: u64 = 20_240_915;

/// The loss of one base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Index of the contig.
    pub contig: u32,
    /// 0-based.
    pub position: u32,
    /// Whether the base is soft-masked.
    pub repeat: bool,
    /// Number of the window it was measured in.
    pub window: u32,
    /// −log of the probability of the true base.
    pub nats: f64,
}

/// Which bases count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseSet {
    /// All.
    All,
    /// Soft-masked ones.
    Repeats,
    /// The others.
    Unique,
}

impl BaseSet {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 3] = [Self::All, Self::Unique, Self::Repeats];

    /// Its words in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Unique => "outside repeats",
            Self::Repeats => "inside repeats",
        }
    }

    fn has(self, loss: &Loss) -> bool {
        match self {
            Self::All => true,
            Self::Repeats => loss.repeat,
            Self::Unique => !loss.repeat,
        }
    }
}

/// A mean in nats a base, with the bounds of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Bases.
    pub bases: u64,
    /// The mean.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Losses of many bases, window by window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Adds the loss of one more base, of the last window or a later one.
    pub fn push(&mut self, loss: Loss) {
        self.0.push(loss);
    }

    /// Base by base.
    #[must_use]
    pub fn bases(&self) -> &[Loss] {
        &self.0
    }

    /// The same bases with losses of another model.
    #[must_use]
    pub fn with(&self, mut nats: impl FnMut(&Loss) -> f64) -> Self {
        Self(self.0.iter().map(|loss| Loss { nats: nats(loss), ..*loss }).collect())
    }

    /// The mean loss of a set of bases, and its interval by resampling windows with replacement: bases of one window are no
    /// independent draws. `None` without such a base.
    #[must_use]
    pub fn mean(&self, bases: BaseSet) -> Option<Interval> {
        let windows = self.windows(bases, |loss| loss.nats);
        interval(&windows)
    }

    /// The mean of the base-by-base difference to `other`, this minus that, on the same resampled windows.
    ///
    /// # Panics
    /// When the two are not of the same bases, which is a bug.
    #[must_use]
    pub fn difference(&self, other: &Self, bases: BaseSet) -> Option<Interval> {
        assert_eq!(self.0.len(), other.0.len(), "losses of other bases; this is a bug");
        let mut others = other.0.iter();
        let windows = self.windows(bases, |loss| {
            let other = others.next().expect("as many bases; this is a bug");
            assert_eq!(
                (loss.contig, loss.position),
                (other.contig, other.position),
                "other bases; this is a bug"
            );
            loss.nats - other.nats
        });
        interval(&windows)
    }

    /// Count and sum of each window.
    fn windows(&self, bases: BaseSet, mut nats: impl FnMut(&Loss) -> f64) -> Vec<(u64, f64)> {
        let mut windows: Vec<(u64, f64)> = Vec::new();
        let mut last = None;
        for loss in &self.0 {
            let number = nats(loss);
            if !bases.has(loss) {
                continue;
            }
            if last != Some(loss.window) {
                windows.push((0, 0.0));
                last = Some(loss.window);
            }
            if let Some(window) = windows.last_mut() {
                *window = (window.0 + 1, window.1 + number);
            }
        }
        windows
    }
}

fn interval(windows: &[(u64, f64)]) -> Option<Interval> {
    let mean = |counts: &[u32]| {
        let all = windows
            .iter()
            .zip(counts)
            .map(|((bases, sum), count)| (*bases as f64 * f64::from(*count), sum * f64::from(*count)));
        let (bases, sum) = all.fold((0.0, 0.0), |(bases, sum), (more, nats)| (bases + more, sum + nats));
        (bases > 0.0).then(|| sum / bases)
    };
    let (low, high) = resample::interval(windows.len(), RESAMPLES, SEED, mean)?;
    let bases = windows.iter().map(|(count, _)| count).sum();
    Some(Interval { bases, mean: mean(&vec![1; windows.len()])?, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn losses(count: u32, mut nats: impl FnMut(u32) -> f64) -> Losses {
        let one = |position| Loss {
            contig: 0,
            position,
            repeat: position % 4 == 0,
            window: position / 10,
            nats: nats(position),
        };
        Losses((0..count).map(one).collect())
    }

    #[test]
    fn means_are_of_the_set_and_intervals_hold_them() {
        let mut random = Random::new(4);
        let noisy = losses(4_000, |position| f64::from(position % 4) + random.normal());
        let all = noisy.mean(BaseSet::All).expect("bases");
        assert!(all.low < all.mean && all.mean < all.high && (all.mean - 1.5).abs() < 0.05);
        // A window's mean has a variance of about 1 / 10 + the spread of 0 to 3 in it; 400 windows.
        assert!((0.05..0.1).contains(&(all.high - all.low)), "{all:?}");
        let repeats = noisy.mean(BaseSet::Repeats).expect("repeats");
        assert_eq!(repeats.bases, 1_000);
        assert!(repeats.mean.abs() < 0.1);
        assert_eq!(losses(0, |_| 0.0).mean(BaseSet::All), None);
    }

    #[test]
    fn a_steady_difference_has_a_narrow_interval() {
        let mut random = Random::new(8);
        let left = losses(2_000, |_| random.normal());
        let right = left.with(|loss| loss.nats + 0.25);
        let difference = left.difference(&right, BaseSet::Unique).expect("bases");
        assert!((difference.mean + 0.25).abs() < 1e-12 && (difference.high - difference.low) < 1e-9);
    }
}
