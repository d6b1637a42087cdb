//! Ranks of pairs of scores, in the memory of the pairs themselves.

use rayon::slice::ParallelSliceMut;

use super::whole;
use crate::narrow::to_u32;
use crate::ordered::value;
use crate::store::StoreError;

/// Shares of variants whose overlap is told.
const TOP: [f64; 2] = [0.01, 0.05];

/// The most pairs: doubled ranks have 32 bits.
const MOST_PAIRS: usize = (u32::MAX / 2) as usize;

/// Whether ranks can count so many pairs.
pub(super) fn check_pairs(pairs: usize) -> Result<(), StoreError> {
    if pairs > MOST_PAIRS { Err(StoreError::TooManyPairs { most: MOST_PAIRS }) } else { Ok(()) }
}

/// What ranks say about pairs.
pub(super) struct Ranked {
    /// Spearman's correlation.
    pub(super) correlation: Option<f64>,
    /// The overlap of the top of each share in [`TOP`].
    pub(super) overlaps: [Option<f64>; 2],
}

/// Doubled ranks that belong to the top: up to the first, and from the second on.
type Edges = (u32, u32);

impl Ranked {
    /// Of pairs of scores as numbers that order as they do.
    pub(super) fn of(mut pairs: Vec<[u32; 2]>) -> Self {
        if pairs.is_empty() {
            return Self { correlation: None, overlaps: [None; 2] };
        }
        let edges = [rank(&mut pairs, 0), rank(&mut pairs, 1)];
        let middle = pairs.len() as f64 + 1.0;
        let (mut products, mut squares) = (0.0, [0.0; 2]);
        let mut tops = [[0_u64; 3]; 2];
        for pair in &pairs {
            let [x, y] = pair.map(|rank| f64::from(rank) - middle);
            products += x * y;
            squares[0] += x * x;
            squares[1] += y * y;
            for (share, top) in tops.iter_mut().enumerate() {
                let is_top = |side: usize| {
                    let (low, high): Edges = edges[side][share];
                    pair[side] <= low || pair[side] >= high
                };
                let (first, second) = (is_top(0), is_top(1));
                top[0] += u64::from(first);
                top[1] += u64::from(second);
                top[2] += u64::from(first && second);
            }
        }
        let spread = (squares[0] * squares[1]).sqrt();
        Self {
            correlation: (spread > 0.0).then(|| products / spread),
            overlaps: tops.map(|[first, second, both]| Some(both as f64 / first.max(second) as f64)),
        }
    }
}

/// Sorts by one side and puts doubled ranks (from 2 on, ties sharing their mean) in the place of its scores;
/// gives where the tops begin.
fn rank(pairs: &mut [[u32; 2]], side: usize) -> [Edges; 2] {
    pairs.par_sort_unstable_by_key(|pair| pair[side]);
    let limits = TOP.map(|share| {
        let count = whole((pairs.len() as f64 * share).ceil()).clamp(1, pairs.len());
        let size = |at: usize| value(pairs[at][side]).abs();
        // The largest absolute values lie at both ends.
        let (mut low, mut high) = (0, pairs.len());
        for _ in 0..count {
            if size(low) > size(high - 1) { low += 1 } else { high -= 1 }
        }
        let least = match (low.checked_sub(1).map(size), (high < pairs.len()).then(|| size(high))) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(0.0),
        };
        while low < high && size(low) >= least {
            low += 1;
        }
        while high > low && size(high - 1) >= least {
            high -= 1;
        }
        (low, high)
    });
    let count = pairs.len();
    let mut start = 0;
    while start < count {
        let score = pairs[start][side];
        let mut end = start + 1;
        while end < count && pairs[end][side] == score {
            end += 1;
        }
        // The ranks are start + 1 to end; their sum is twice their mean.
        let doubled = to_u32(start + 1 + end);
        pairs[start..end].iter_mut().for_each(|pair| pair[side] = doubled);
        start = end;
    }
    limits.map(|(low, high)| {
        let below = if low == 0 { 0 } else { pairs[low - 1][side] };
        (below, pairs.get(high).map_or(u32::MAX, |pair| pair[side]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;
    use crate::ordered::ordered;

    #[test]
    fn more_pairs_than_ranks_can_count_are_refused() {
        // Doubled ranks reach twice the number of pairs; the last number says that there is no edge.
        assert!(check_pairs(MOST_PAIRS).is_ok() && MOST_PAIRS * 2 < u32::MAX as usize);
        let error = check_pairs(MOST_PAIRS + 1).unwrap_err().to_string();
        assert!(error.contains("more than 2147483647 variants in common"), "{error}");
    }

    /// Ranks by counting, correlation and overlap by definition.
    fn naive(pairs: &[[f32; 2]]) -> (f64, [f64; 2]) {
        let rank = |side: usize, score: f32| {
            let less = pairs.iter().filter(|pair| pair[side] < score).count() as f64;
            let same = pairs.iter().filter(|pair| pair[side] == score).count() as f64;
            less + f64::midpoint(same, 1.0)
        };
        let ranks: Vec<[f64; 2]> = pairs.iter().map(|pair| [rank(0, pair[0]), rank(1, pair[1])]).collect();
        let mean = f64::midpoint(pairs.len() as f64, 1.0);
        let sum = |of: &dyn Fn(&[f64; 2]) -> f64| ranks.iter().map(of).sum::<f64>();
        let products = sum(&|rank| (rank[0] - mean) * (rank[1] - mean));
        let squares = [sum(&|rank| (rank[0] - mean).powi(2)), sum(&|rank| (rank[1] - mean).powi(2))];
        let overlaps = TOP.map(|share| {
            let top = |side: usize| -> Vec<usize> {
                let mut sizes: Vec<f32> = pairs.iter().map(|pair| pair[side].abs()).collect();
                sizes.sort_by(|a, b| b.total_cmp(a));
                let least = sizes[whole((pairs.len() as f64 * share).ceil()).max(1) - 1];
                (0..pairs.len()).filter(|at| pairs[*at][side].abs() >= least).collect()
            };
            let (first, second) = (top(0), top(1));
            let both = first.iter().filter(|at| second.contains(at)).count();
            both as f64 / first.len().max(second.len()) as f64
        });
        (products / (squares[0] * squares[1]).sqrt(), overlaps)
    }

    #[test]
    fn ranks_with_ties_equal_their_definition() {
        let mut random = Random::new(4);
        for round in 0..60_u64 {
            let count = 2 + random.below(400);
            // Few distinct values make ties; some rounds have one sign alone.
            let distinct = 2 + random.below(if round % 2 == 0 { 10 } else { 100_000 });
            let shift = [0.0, -(distinct as f32), -(distinct as f32) / 2.0][round as usize % 3];
            let mut score = || random.below(distinct) as f32 + shift;
            let mut pairs: Vec<[f32; 2]> = (0..count).map(|_| [score(), score()]).collect();
            pairs.iter_mut().step_by(2).for_each(|pair| pair[1] = pair[0]);
            let (correlation, overlaps) = naive(&pairs);
            if !correlation.is_finite() {
                continue;
            }
            let ranked = Ranked::of(pairs.iter().map(|pair| pair.map(ordered)).collect());
            assert!((ranked.correlation.unwrap() - correlation).abs() < 1e-9);
            assert_eq!(ranked.overlaps.map(Option::unwrap), overlaps);
        }
    }

    #[test]
    fn scores_keep_their_order_as_numbers() {
        let scores = [f32::MIN, -2.5, -1e-30, 0.0, 1e-30, 2.5, f32::MAX];
        assert!(scores.map(ordered).is_sorted());
        assert_eq!(scores.map(|score| value(ordered(score))), scores);
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
