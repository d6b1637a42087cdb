//! What a layer's changes say about it, with bootstrap intervals. A resample is a list of counts, one per
//! variant, so that what was sorted once serves all of them.

use rayon::prelude::*;
use serde::Serialize;

use crate::convert::{narrow, whole};
use crate::evaluate::order::{Order, spearman};
use crate::evaluate::resample::{central, resample};

/// Resamples of the bootstrap.
pub(super) const RESAMPLES: usize = 200;
/// Where its random numbers start.
const SEED: u64 = 0x5eed;

/// A figure and the bounds of its central 95 % over resamples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Over all variants.
    pub value: f64,
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The figures of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Mean of the change.
    pub mean_change: Option<Figure>,
    /// Standard deviation of the change.
    pub spread: Option<Figure>,
    /// Mean of the change's magnitude.
    pub mean_magnitude: Option<Figure>,
    /// Spearman correlation of the scores without the layer with the full model's.
    pub spearman: Option<Figure>,
    /// Share of the 1 % of variants with the greatest magnitudes that are so without the layer too.
    pub top_1_percent: Option<Figure>,
    /// The same for 5 %.
    pub top_5_percent: Option<Figure>,
}

/// The changes of one layer beside the full scores, sorted in every way that the figures need.
struct Sorted<'a> {
    changes: &'a [f32],
    /// By value, with where runs of equal values end: full scores and those without the layer.
    by_value: [Order; 2],
    /// By falling magnitude: the same two.
    by_magnitude: [Vec<u32>; 2],
}

fn by_magnitude(values: &[f64]) -> Vec<u32> {
    let mut variants: Vec<u32> = (0..narrow(values.len())).collect();
    let magnitude = |variant: u32| values[variant as usize].abs();
    variants.sort_by(|a, b| magnitude(*b).total_cmp(&magnitude(*a)).then(a.cmp(b)));
    variants
}

impl<'a> Sorted<'a> {
    fn new(full: &[f32], changes: &'a [f32]) -> Self {
        let without: Vec<f64> =
            full.iter().zip(changes).map(|(full, change)| f64::from(*full) + f64::from(*change)).collect();
        let full: Vec<f64> = full.iter().map(|full| f64::from(*full)).collect();
        Self {
            changes,
            by_value: [Order::new(&full), Order::new(&without)],
            by_magnitude: [by_magnitude(&full), by_magnitude(&without)],
        }
    }

    /// The six figures, where each variant stands as often as `counts` says.
    fn measure(&self, counts: &[u32]) -> [Option<f64>; 6] {
        let weight = |variant: usize| f64::from(counts[variant]);
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
            self.changes.iter().enumerate().map(|(at, change)| weight(at) * of(f64::from(*change))).sum()
        };
        let mean = sum(&|change| change) / total;
        let spread = (total > 1.0).then(|| (sum(&|change| (change - mean).powi(2)) / (total - 1.0)).sqrt());
        [
            Some(mean),
            spread,
            Some(sum(&f64::abs) / total),
            spearman([&self.by_value[0], &self.by_value[1]], counts),
            Some(self.overlap(counts, whole((total * 0.01).ceil()))),
            Some(self.overlap(counts, whole((total * 0.05).ceil()))),
        ]
    }

    /// Share of the first `count` by magnitude that both lists have.
    fn overlap(&self, counts: &[u32], count: u64) -> f64 {
        let first = |order: &[u32]| -> Vec<(u32, u64)> {
            let mut left = count;
            let mut taken = Vec::new();
            for variant in order {
                if left == 0 {
                    break;
                }
                let share = u64::from(counts[*variant as usize]).min(left);
                left -= share;
                taken.push((*variant, share));
            }
            taken.sort_unstable();
            taken
        };
        let (full, without) = (first(&self.by_magnitude[0]), first(&self.by_magnitude[1]));
        let both: u64 = full
            .iter()
            .filter_map(|(variant, share)| {
                let place = without.binary_search_by_key(variant, |(variant, _)| *variant).ok()?;
                Some((*share).min(without[place].1))
            })
            .sum();
        both as f64 / count.max(1) as f64
    }
}

/// The figures of a layer, from the full scores and the changes without it.
pub(super) fn figures(full: &[f32], changes: &[f32]) -> Figures {
    let sorted = Sorted::new(full, changes);
    let values = sorted.measure(&vec![1; changes.len()]);
    let resampled: Vec<[Option<f64>; 6]> = (0..RESAMPLES)
        .into_par_iter()
        .map(|number| sorted.measure(&resample(changes.len(), SEED + number as u64)))
        .collect();
    let figure = |which: usize| {
        let (low, high) = central(resampled.iter().filter_map(|values| values[which]).collect())?;
        Some(Figure { value: values[which]?, low, high })
    };
    Figures {
        mean_change: figure(0),
        spread: figure(1),
        mean_magnitude: figure(2),
        spearman: figure(3),
        top_1_percent: figure(4),
        top_5_percent: figure(5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_worked_out_by_hand() {
        // Full 1 2 3 −4; without the layer 2 1 3 −4: ranks 2 3 4 1 against 3 2 4 1.
        let (full, changes) = ([1.0, 2.0, 3.0, -4.0], [1.0, -1.0, 0.0, 0.0]);
        let sorted = Sorted::new(&full, &changes);
        let [mean, spread, magnitude, spearman, top, _] = sorted.measure(&[1; 4]);
        assert_eq!((mean, magnitude, top), (Some(0.0), Some(0.5), Some(1.0)));
        assert!((spread.expect("a spread") - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((spearman.expect("a correlation") - (1.0 - 6.0 * 2.0 / (4.0 * 15.0))).abs() < 1e-12);
        // By magnitude −4 3 2 1 against −4 3 2 1: the third is variant 1 in one list, variant 0 in the other.
        assert_eq!(sorted.overlap(&[1; 4], 2), 1.0);
        assert!((sorted.overlap(&[1; 4], 3) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn counts_stand_for_repeated_variants() {
        let (full, changes) = ([0.5, 0.5, -1.0, 2.0], [0.25, 0.5, 0.5, -3.0]);
        let repeated = |values: [f32; 4]| [values[0], values[2], values[2], values[3], values[3], values[3]];
        let weighted = Sorted::new(&full, &changes).measure(&[1, 0, 2, 3]);
        let (full, changes) = (repeated(full), repeated(changes));
        let plain = Sorted::new(&full, &changes).measure(&[1; 6]);
        for (weighted, plain) in weighted.iter().zip(plain) {
            assert!((weighted.expect("a figure") - plain.expect("a figure")).abs() < 1e-12);
        }
    }

    #[test]
    fn intervals_hold_the_value_and_repeat() {
        let full: Vec<f32> = (0..400u16).map(|at| (f32::from(at) * 0.37).sin()).collect();
        let changes: Vec<f32> = (0..400u16).map(|at| (f32::from(at) * 1.3).cos() * 0.2 + 0.05).collect();
        let found = figures(&full, &changes);
        assert_eq!(found, figures(&full, &changes));
        for figure in [found.mean_change, found.spread, found.mean_magnitude, found.spearman] {
            let figure = figure.expect("a figure");
            assert!(figure.low < figure.value && figure.value < figure.high, "{figure:?}");
        }
        // The standard error of the mean is 0.14 / 20.
        let mean = found.mean_change.expect("a mean");
        assert!((mean.high - mean.low - 4.0 * 0.14 / 20.0).abs() < 0.01, "{mean:?}");
    }
}
