//! Coverage predicted from counts of short words alone: ridge regression on the k-mers around a bin, which a
//! model of sequence has to surpass.

use super::values::BinLayout;
use crate::convert::{as_index, single};

/// Bases of a k-mer.
const K: usize = 5;
/// Features: how often each k-mer is there, and 1.
const KMERS: usize = 1 << (2 * K);
const FEATURES: usize = KMERS + 1;
/// Strengths that are tried, as shares of the mean variance of a count times the number of bins.
const STRENGTHS: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// Sums over bins that decide a regression. They take 8 MiB, and 8 KiB more for each target.
#[derive(Clone, Debug)]
pub struct KmerSums {
    targets: usize,
    layout: BinLayout,
    /// Bases on either side of a bin whose k-mers count too.
    flank: u32,
    bins: u64,
    /// Sums of products of features: rows of the lower triangle.
    features: Vec<f64>,
    /// For each target, sums of the products of features and its values.
    products: Vec<f64>,
    /// For each target, the sum of the squares of its values.
    squares: Vec<f64>,
}

impl KmerSums {
    /// Nothing summed yet. K-mers are counted in a bin and `flank` bases on either side; without one, in a bin on either
    /// side.
    #[must_use]
    pub fn new(targets: usize, layout: BinLayout, flank: Option<u32>) -> Self {
        Self {
            targets,
            layout,
            flank: flank.unwrap_or(layout.resolution),
            bins: 0,
            features: vec![0.0; FEATURES * FEATURES],
            products: vec![0.0; targets * FEATURES],
            squares: vec![0.0; targets],
        }
    }

    /// Adds a window: its bases, in upper case, and its values [targets, bins]. A bin that is NaN in any target is left
    /// out.
    ///
    /// # Panics
    /// When the values have another shape, which is a bug.
    pub fn add(&mut self, bases: &[u8], values: &[f32]) {
        let bins = as_index(self.layout.count.into());
        assert_eq!(values.len(), self.targets * bins, "values of another shape; this is a bug");
        let counts = Counts::new(bases, self.layout, self.flank);
        for bin in 0..bins {
            let value = |target: usize| f64::from(values[target * bins + bin]);
            if (0..self.targets).any(|target| value(target).is_nan()) {
                continue;
            }
            let found = counts.of(bin);
            self.bins += 1;
            for (place, (feature, count)) in found.iter().enumerate() {
                let row = &mut self.features[feature * FEATURES..(feature + 1) * FEATURES];
                // Ascending, so that these are of the lower triangle.
                for (other, times) in &found[..=place] {
                    row[*other] += count * times;
                }
            }
            for target in 0..self.targets {
                let value = value(target);
                self.squares[target] += value * value;
                let products = &mut self.products[target * FEATURES..(target + 1) * FEATURES];
                for (feature, count) in &found {
                    products[*feature] += count * value;
                }
            }
        }
    }

    /// Sum of squared errors of a target's predictions by `weights`; only their order matters, so rounding does not.
    fn errors(&self, target: usize, weights: &[f64]) -> f64 {
        let products = &self.products[target * FEATURES..(target + 1) * FEATURES];
        let mut quadratic = 0.0;
        for (feature, weight) in weights.iter().enumerate() {
            let row = &self.features[feature * FEATURES..=feature * FEATURES + feature];
            let below: f64 = row[..feature].iter().zip(weights).map(|(sum, other)| sum * other).sum();
            quadratic += weight * (2.0 * below + weight * row[feature]);
        }
        self.squares[target] - 2.0 * dot(products, weights) + quadratic
    }
}

/// A ridge regression of each target on k-mers.
#[derive(Clone, Debug)]
pub struct KmerBaseline {
    layout: BinLayout,
    flank: u32,
    /// For each target, of the features.
    weights: Vec<Vec<f64>>,
    strengths: Vec<f64>,
}

impl KmerBaseline {
    /// Learns from the sums of training windows. For each target, the strength is that of six with the least squared
    /// error in the validation windows. None without bins in either.
    #[must_use]
    pub fn fit(training: &KmerSums, validation: &KmerSums) -> Option<Self> {
        if training.bins == 0 || validation.bins == 0 {
            return None;
        }
        let bins = training.bins as f64;
        let diagonal = |feature: usize| training.features[feature * FEATURES + feature];
        let last = KMERS * FEATURES;
        let spread = |feature: usize| diagonal(feature) - training.features[last + feature].powi(2) / bins;
        let unit = ((0..KMERS).map(spread).sum::<f64>() / KMERS as f64).max(1.0);
        let mut best: Vec<Option<(f64, f64, Vec<f64>)>> = vec![None; training.targets];
        for strength in STRENGTHS {
            let mut matrix = training.features.clone();
            // The constant is free.
            (0..KMERS).for_each(|feature| matrix[feature * FEATURES + feature] += strength * unit);
            if !factorize(&mut matrix) {
                continue;
            }
            for (target, best) in best.iter_mut().enumerate() {
                let mut weights = training.products[target * FEATURES..(target + 1) * FEATURES].to_vec();
                solve(&matrix, &mut weights);
                let errors = validation.errors(target, &weights);
                if best.as_ref().is_none_or(|(least, ..)| errors < *least) {
                    *best = Some((errors, strength, weights));
                }
            }
        }
        let best: Option<Vec<(f64, f64, Vec<f64>)>> = best.into_iter().collect();
        let (strengths, weights) =
            best?.into_iter().map(|(_, strength, weights)| (strength, weights)).unzip();
        Some(Self { layout: training.layout, flank: training.flank, weights, strengths })
    }

    /// Coverage that is expected in a window of these bases: [targets, bins], never below 0.
    #[must_use]
    pub fn predict(&self, bases: &[u8]) -> Vec<f32> {
        let bins = as_index(self.layout.count.into());
        let counts = Counts::new(bases, self.layout, self.flank);
        let mut predicted = vec![0.0; self.weights.len() * bins];
        for bin in 0..bins {
            let found = counts.of(bin);
            for (target, weights) in self.weights.iter().enumerate() {
                let value: f64 = found.iter().map(|(feature, count)| weights[*feature] * count).sum();
                predicted[target * bins + bin] = single(value.max(0.0));
            }
        }
        predicted
    }

    /// A target's weights of the k-mers, in the order of their letters, and of the constant.
    #[cfg(test)]
    pub(super) fn weights(&self, target: usize) -> &[f64] {
        &self.weights[target]
    }

    /// Numbers that were fitted.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        (self.weights.len() * FEATURES) as u64
    }

    /// The strength that each target was fitted with, as a share of the variance of a count.
    #[must_use]
    pub fn strengths(&self) -> &[f64] {
        &self.strengths
    }
}

/// The k-mers of a window, counted around each bin.
struct Counts {
    layout: BinLayout,
    flank: usize,
    /// For each base, the k-mer that begins there; none with an N in it or beyond the end.
    kmers: Vec<Option<usize>>,
}

impl Counts {
    fn new(bases: &[u8], layout: BinLayout, flank: u32) -> Self {
        let code = |base: &u8| b"ACGT".iter().position(|known| known == base);
        let codes: Vec<Option<usize>> = bases.iter().map(code).collect();
        let kmer =
            |letters: &[Option<usize>]| letters.iter().try_fold(0, |sum, code| Some(4 * sum + (*code)?));
        let mut kmers: Vec<Option<usize>> = codes.windows(K).map(kmer).collect();
        kmers.resize(bases.len(), None);
        Self { layout, flank: as_index(flank.into()), kmers }
    }

    /// The features of a bin that are not 0, by number.
    fn of(&self, bin: usize) -> Vec<(usize, f64)> {
        let resolution = as_index(self.layout.resolution.into());
        let start = (as_index(self.layout.first.into()) + bin) * resolution;
        // K-mers that lie inside whole.
        let end = (start + resolution + self.flank).saturating_sub(K - 1).min(self.kmers.len());
        let around = self.kmers.get(start.saturating_sub(self.flank)..end).unwrap_or_default();
        let mut found: Vec<usize> = around.iter().flatten().copied().collect();
        found.sort_unstable();
        let mut counts: Vec<(usize, f64)> =
            found.chunk_by(|one, other| one == other).map(|run| (run[0], run.len() as f64)).collect();
        counts.push((KMERS, 1.0));
        counts
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(one, other)| one * other).sum()
}

/// Cholesky's factor of a symmetric matrix, of which the lower triangle is read and replaced; `false` when it is not
/// positive definite.
fn factorize(matrix: &mut [f64]) -> bool {
    for row in 0..FEATURES {
        let (above, here) = matrix.split_at_mut(row * FEATURES);
        for column in 0..row {
            let factor = &above[column * FEATURES..=column * FEATURES + column];
            let rest = here[column] - dot(&here[..column], &factor[..column]);
            here[column] = rest / factor[column];
        }
        let rest = here[row] - dot(&here[..row], &here[..row]);
        // Also false for NaN.
        let positive = rest > 0.0;
        if !positive {
            return false;
        }
        here[row] = rest.sqrt();
    }
    true
}

/// Solves for the right side, in place, by the factor.
fn solve(factor: &[f64], side: &mut [f64]) {
    for row in 0..FEATURES {
        let line = &factor[row * FEATURES..=row * FEATURES + row];
        side[row] = (side[row] - dot(&line[..row], &side[..row])) / line[row];
    }
    for row in (0..FEATURES).rev() {
        let line = &factor[row * FEATURES..=row * FEATURES + row];
        side[row] /= line[row];
        let value = side[row];
        for (side, factor) in side[..row].iter_mut().zip(line) {
            *side -= factor * value;
        }
    }
}
