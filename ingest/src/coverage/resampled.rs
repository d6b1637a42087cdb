//! Figures of many columns and their means, on the same resamples of their rows.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluate::Bootstrap;
use crate::evaluate::resample::{central, resample};

/// Columns whose resampled figures are held at a time.
const COLUMNS: usize = 64;

/// A figure and the bounds of its 95 % percentile-bootstrap interval; missing where it is undefined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoverageFigure {
    /// Over all rows.
    pub value: Option<f64>,
    /// Lower bound.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
}

impl CoverageFigure {
    pub(super) fn new(value: Option<f64>, bounds: Option<(f64, f64)>) -> Self {
        let bounds = bounds.filter(|_| value.is_some());
        Self { value, low: bounds.map(|bounds| bounds.0), high: bounds.map(|bounds| bounds.1) }
    }
}

/// The figures that `measure` finds for each of `columns`, where each of `rows` counts as often as its number says, and their
/// means over the columns that have one. The result does not depend on the number of threads.
pub(super) fn figures<const N: usize>(
    columns: usize,
    rows: usize,
    bootstrap: Bootstrap,
    measure: impl Fn(usize, &[u32]) -> [Option<f64>; N] + Sync,
) -> (Vec<[CoverageFigure; N]>, [CoverageFigure; N]) {
    let once = vec![1; rows];
    let mut found = Vec::with_capacity(columns);
    let mut means = [Mean::default(); N];
    let mut resampled_means =
        vec![[Mean::default(); N]; if rows == 0 { 0 } else { bootstrap.resamples as usize }];
    for first in (0..columns).step_by(COLUMNS) {
        let chunk = first..columns.min(first + COLUMNS);
        let resampled: Vec<Vec<[Option<f64>; N]>> = (0..resampled_means.len() as u64)
            .into_par_iter()
            .map(|number| {
                let counts = resample(rows, bootstrap.seed.wrapping_add(number));
                chunk.clone().map(|column| measure(column, &counts)).collect()
            })
            .collect();
        for (sums, figures) in resampled_means.iter_mut().zip(&resampled) {
            for figures in figures {
                Mean::add_each(sums, figures);
            }
        }
        for (place, column) in chunk.enumerate() {
            let values = measure(column, &once);
            Mean::add_each(&mut means, &values);
            found.push(std::array::from_fn(|figure| {
                let draws = resampled.iter().filter_map(|draw| draw[place][figure]);
                CoverageFigure::new(values[figure], central(draws.collect()))
            }));
        }
    }
    let mean = std::array::from_fn(|figure| {
        let draws = resampled_means.iter().filter_map(|sums| sums[figure].value());
        CoverageFigure::new(means[figure].value(), central(draws.collect()))
    });
    (found, mean)
}

/// The mean of those figures that there are.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add_each(means: &mut [Self], figures: &[Option<f64>]) {
        for (mean, figure) in means.iter_mut().zip(figures) {
            if let Some(figure) = figure {
                mean.sum += figure;
                mean.count += 1.0;
            }
        }
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}
