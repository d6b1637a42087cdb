//! Random forests over rows that are read where they lie: thousands of features are neither copied nor sorted as a
//! whole.

use std::ops::Range;

use rayon::prelude::*;

use super::resample::resample;
use crate::convert::{as_index, narrow, single};
use crate::random::Random;

const TREES: u64 = 100;
/// Values of rows and features that are sorted beside each other, about.
const BLOCK: usize = 1 << 20;

/// What is learned from, and what is asked.
#[derive(Clone, Copy)]
pub(super) struct Forest<'a> {
    /// Rows of equally many features.
    pub(super) rows: &'a [&'a [f32]],
    /// The label of each.
    pub(super) labels: &'a [f64],
    /// Features that each split looks at, or more until one of them varies.
    pub(super) tried: usize,
    /// Rows to predict.
    pub(super) asked: &'a [&'a [f32]],
    /// The random seed.
    pub(super) seed: u64,
}

/// Rows of a tree and asked rows that have come as far as here.
struct Node {
    rows: Range<usize>,
    asked: Range<usize>,
    /// Its own, so that a prediction does not depend on what else is asked.
    seed: u64,
}

/// Rows with at most this value go left.
#[derive(Clone, Copy)]
struct Cut {
    feature: usize,
    value: f32,
    /// ΣL²/n of both sides: the larger, the smaller the squared error.
    gain: f64,
}

impl Forest<'_> {
    /// The mean over 100 fully grown trees on bootstrap samples for each asked row. Does not depend on the number of
    /// threads.
    pub(super) fn predict(self) -> Vec<f64> {
        let trees: Vec<Vec<f32>> = (0..TREES).into_par_iter().map(|number| self.tree(number)).collect();
        let mean = |at: usize| trees.iter().map(|tree| f64::from(tree[at])).sum::<f64>() / TREES as f64;
        (0..self.asked.len()).map(mean).collect()
    }

    /// What one tree says of each asked row. Branches that no asked row reaches are not grown.
    fn tree(self, number: u64) -> Vec<f32> {
        let mut random = Random::of(&[self.seed, number]);
        let weights = resample(self.rows.len(), random.bits());
        let mut rows: Vec<usize> = (0..weights.len()).filter(|row| weights[*row] > 0).collect();
        let mut asked: Vec<usize> = (0..self.asked.len()).collect();
        let mut features: Vec<usize> = (0..self.rows.first().map_or(0, |row| row.len())).collect();
        let mut predicted = vec![0.0; asked.len()];
        let mut nodes = vec![Node { rows: 0..rows.len(), asked: 0..asked.len(), seed: random.bits() }];
        while let Some(node) = nodes.pop() {
            if node.asked.is_empty() {
                continue;
            }
            let mut random = Random::new(node.seed);
            let here = &mut rows[node.rows.clone()];
            let cut = self.cut(here, &weights, &mut features, &mut random);
            let left = cut.map_or(0, |cut| partition(here, |row| self.rows[row][cut.feature] <= cut.value));
            let Some(cut) = cut.filter(|_| left > 0 && left < here.len()) else {
                let (sum, count) = self.sums(here, &weights);
                for row in &asked[node.asked] {
                    predicted[*row] = single(sum / count);
                }
                continue;
            };
            let below =
                partition(&mut asked[node.asked.clone()], |row| self.asked[row][cut.feature] <= cut.value);
            let (middle, between) = (node.rows.start + left, node.asked.start + below);
            nodes.push(Node {
                rows: node.rows.start..middle,
                asked: node.asked.start..between,
                seed: random.bits(),
            });
            nodes.push(Node {
                rows: middle..node.rows.end,
                asked: between..node.asked.end,
                seed: random.bits(),
            });
        }
        predicted
    }

    /// Labels and weights of `rows`, summed.
    fn sums(self, rows: &[usize], weights: &[u32]) -> (f64, f64) {
        rows.iter().fold((0.0, 0.0), |(sum, count), row| {
            let weight = f64::from(weights[*row]);
            (sum + weight * self.labels[*row], count + weight)
        })
    }

    /// The best of the cuts of randomly drawn features; `None` where labels or all features are equal.
    fn cut(
        self,
        rows: &[usize],
        weights: &[u32],
        features: &mut [usize],
        random: &mut Random,
    ) -> Option<Cut> {
        let first = self.labels[*rows.first()?];
        if rows.iter().all(|row| self.labels[*row] == first) {
            return None;
        }
        let totals = self.sums(rows, weights);
        let block = BLOCK / rows.len();
        let mut best: Option<Cut> = None;
        let mut swapped = Vec::new();
        while swapped.len() < features.len() && (swapped.len() < self.tried || best.is_none()) {
            let drawn = swapped.len();
            let left = if drawn < self.tried { self.tried - drawn } else { self.tried.max(1) };
            let end = features.len().min(drawn + left.min(block.max(1)));
            for place in drawn..end {
                let other = place + as_index(random.below((features.len() - place) as u64));
                features.swap(place, other);
                swapped.push(other);
            }
            let chosen = &features[drawn..end];
            // Row by row, since those lie far apart in memory.
            let mut keys = vec![0_u64; chosen.len() * rows.len()];
            for (slot, row) in rows.iter().enumerate() {
                let values = self.rows[*row];
                for (column, feature) in chosen.iter().enumerate() {
                    keys[column * rows.len() + slot] = key(values[*feature], slot);
                }
            }
            for (feature, keys) in chosen.iter().zip(keys.chunks_exact_mut(rows.len())) {
                keys.sort_unstable();
                let better = best.map_or(f64::NEG_INFINITY, |best| best.gain);
                best = self.cut_of(*feature, keys, rows, weights, totals, better).or(best);
            }
        }
        // The next draw is that of its seed, whatever was drawn before.
        for (place, other) in swapped.into_iter().enumerate().rev() {
            features.swap(place, other);
        }
        best
    }

    /// The best cut of one feature, whose `keys` are sorted, if it is better than `better`.
    fn cut_of(
        self,
        feature: usize,
        keys: &[u64],
        rows: &[usize],
        weights: &[u32],
        (total, count): (f64, f64),
        mut better: f64,
    ) -> Option<Cut> {
        let mut best = None;
        let (mut sum, mut seen) = (0.0, 0.0);
        for pair in keys.windows(2) {
            let row = rows[slot(pair[0])];
            let weight = f64::from(weights[row]);
            sum += weight * self.labels[row];
            seen += weight;
            if pair[0] >> 32 == pair[1] >> 32 {
                continue;
            }
            let gain = sum * sum / seen + (total - sum).powi(2) / (count - seen);
            if gain > better {
                let [low, high] = [pair[0], pair[1]].map(|key| self.rows[rows[slot(key)]][feature]);
                let middle = low / 2.0 + high / 2.0;
                better = gain;
                best = Some(Cut { feature, value: if middle < high { middle } else { low }, gain });
            }
        }
        best
    }
}

/// A value in the upper half, so that keys sort as values do, and its place among the rows of a node.
fn key(value: f32, slot: usize) -> u64 {
    // −0 is 0.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | (1 << 31) };
    (u64::from(ordered) << 32) | u64::from(narrow(slot))
}

fn slot(key: u64) -> usize {
    as_index(key & u64::from(u32::MAX))
}

/// Puts those first that are `wanted`, and says how many there are.
fn partition(rows: &mut [usize], wanted: impl Fn(usize) -> bool) -> usize {
    let mut count = 0;
    for at in 0..rows.len() {
        if wanted(rows[at]) {
            rows.swap(count, at);
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of three features, of which the second tells the label, and the last never varies.
    fn rows(count: u64) -> (Vec<Vec<f32>>, Vec<f64>) {
        let mut random = Random::new(count);
        let row = |random: &mut Random| vec![random.uniform() as f32, random.uniform() as f32, -0.0];
        let rows: Vec<Vec<f32>> = (0..count).map(|_| row(&mut random)).collect();
        let labels = rows.iter().map(|row| f64::from(u8::from(row[1] > 0.5))).collect();
        (rows, labels)
    }

    fn predict(rows: &[Vec<f32>], labels: &[f64], tried: usize, asked: &[Vec<f32>], seed: u64) -> Vec<f64> {
        let [rows, asked]: [Vec<&[f32]>; 2] =
            [rows, asked].map(|rows| rows.iter().map(Vec::as_slice).collect());
        Forest { rows: &rows, labels, tried, asked: &asked, seed }.predict()
    }

    #[test]
    fn a_prediction_depends_on_the_seed_alone() {
        let (rows, labels) = rows(200);
        let asked = &rows[..40];
        let found = predict(&rows, &labels, 1, asked, 3);
        assert_ne!(found, predict(&rows, &labels, 1, asked, 4));
        for (row, found) in asked.iter().zip(&found) {
            assert_eq!(predict(&rows, &labels, 1, std::slice::from_ref(row), 3), [*found]);
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            assert_eq!(pool.install(|| predict(&rows, &labels, 1, asked, 3)), found);
        }
    }

    #[test]
    fn the_feature_that_tells_the_label_is_found_and_one_that_never_varies_is_passed_over() {
        let (rows, labels) = rows(300);
        let asked = [vec![0.1, 0.3, 0.0], vec![0.1, 0.7, 5.0]];
        let found = predict(&rows, &labels, 3, &asked, 1);
        assert_eq!(found, [0.0, 1.0]);
        let constant: Vec<Vec<f32>> = rows.iter().map(|row| vec![row[2]]).collect();
        let found = predict(&constant, &labels, 1, &[vec![0.0]], 1);
        let share = labels.iter().sum::<f64>() / 300.0;
        assert!((found[0] - share).abs() < 0.02, "{found:?} {share}");
        // One that varies is found behind many that do not.
        let wide = |value: f32| (0..40).map(|at| if at == 17 { value } else { 1.0 }).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| wide(row[1])).collect();
        assert_eq!(predict(&rows, &labels, 1, &[wide(0.2), wide(0.9)], 1), [0.0, 1.0]);
    }

    #[test]
    fn keys_sort_as_values_do() {
        let values = [f32::NEG_INFINITY, -2.5, -1e-40, 0.0, 1e-40, 3.0, f32::INFINITY];
        assert!(values.windows(2).all(|pair| key(pair[0], 9) < key(pair[1], 0)));
        assert_eq!((key(-0.0, 7), slot(key(-1.5, 7))), (key(0.0, 7), 7));
    }
}
