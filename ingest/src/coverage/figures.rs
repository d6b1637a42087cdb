//! How well predictions fit measurements, bin by bin and window by window.

use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::resampled::{CoverageFigure, figures};
use crate::convert::whole;
use crate::evaluate::Bootstrap;

/// Compares predicted with measured coverage, a window at a time. A window and target take 48 bytes.
#[derive(Clone, Debug)]
pub struct CoverageFigures {
    targets: usize,
    /// For each window, those of each target.
    windows: Vec<Moments>,
}

/// Figures of a target, or their means over targets. R² is 1 − Σ(measured − predicted)² / Σ(measured − mean)².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetFigures {
    /// Bins that are compared.
    pub bins: u64,
    /// Pearson's correlation over the bins of all windows.
    pub pearson: CoverageFigure,
    /// R² over the bins of all windows.
    pub r2: CoverageFigure,
    /// Pearson's correlation over the means of windows.
    pub window_pearson: CoverageFigure,
    /// R² over the means of windows.
    pub window_r2: CoverageFigure,
}

/// How well predictions fit measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoverageReport {
    /// Windows.
    pub windows: u64,
    /// In the order of the table.
    pub targets: Vec<TargetFigures>,
    /// Over the targets that have a figure.
    pub mean: TargetFigures,
}

impl CoverageFigures {
    /// Nothing compared yet.
    #[must_use]
    pub fn new(targets: usize) -> Self {
        Self { targets, windows: Vec::new() }
    }

    /// Adds a window: [targets, bins] each, row by target. Bins whose measurement is NaN are left out.
    ///
    /// # Panics
    /// When the shapes differ, which is a bug.
    pub fn add(&mut self, predicted: &[f32], measured: &[f32]) {
        let bins = measured.len() / self.targets.max(1);
        assert!(
            predicted.len() == measured.len() && bins * self.targets == measured.len(),
            "{} predictions for {} measurements of {} targets; this is a bug",
            predicted.len(),
            measured.len(),
            self.targets
        );
        for target in 0..self.targets {
            let row = target * bins..(target + 1) * bins;
            let pairs = predicted[row.clone()].iter().zip(&measured[row]);
            let pairs = pairs.filter(|(_, measured)| !measured.is_nan());
            self.windows.push(Moments::of(pairs.map(|(one, other)| [f64::from(*one), f64::from(*other)])));
        }
    }

    /// Adds the windows of another comparison of the same targets.
    ///
    /// # Panics
    /// When it has other targets, which is a bug.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.targets, other.targets, "comparisons of other targets; this is a bug");
        self.windows.extend(other.windows);
    }

    /// The figures, with intervals over resamples of the windows.
    #[must_use]
    pub fn finish(&self, bootstrap: Bootstrap) -> CoverageReport {
        let windows = self.windows.len() / self.targets.max(1);
        let of = |target: usize| self.windows.iter().skip(target).step_by(self.targets.max(1)).copied();
        let measure = |target: usize, counts: &[u32]| {
            let counts = counts.iter().copied();
            let bins = Moments::pool(of(target).zip(counts.clone()));
            let means = of(target).zip(counts).filter_map(|(window, count)| Some((window.means()?, count)));
            let means = Moments::pool(means.map(|(means, count)| (Moments::point(means), count)));
            [bins.pearson(), bins.r2(), means.pearson(), means.r2()]
        };
        let (targets, mean) = figures(self.targets, windows, bootstrap, measure);
        let bins = |target: usize| whole(of(target).map(|window| window.count()).sum());
        let named = |bins, [pearson, r2, window_pearson, window_r2]: [CoverageFigure; 4]| TargetFigures {
            bins,
            pearson,
            r2,
            window_pearson,
            window_r2,
        };
        let targets: Vec<TargetFigures> =
            targets.into_iter().enumerate().map(|(target, found)| named(bins(target), found)).collect();
        let all = targets.iter().map(|target| target.bins).sum();
        CoverageReport { windows: windows as u64, targets, mean: named(all, mean) }
    }
}
