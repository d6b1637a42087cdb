//! How well scores put positives above negatives, whatever the threshold.

use super::order::Order;

/// Positives and negatives of each run of equal scores, by rising score.
fn tallies<'a>(
    scores: &'a Order,
    positive: &'a [bool],
    counts: &'a [u32],
) -> impl DoubleEndedIterator<Item = [f64; 2]> + 'a {
    scores.runs().map(|run| {
        let mut tally = [0_u64; 2];
        for place in run {
            tally[usize::from(!positive[*place as usize])] += u64::from(counts[*place as usize]);
        }
        tally.map(|count| count as f64)
    })
}

/// Sums over all rows: positives and negatives; `None` unless there are both.
fn both(positive: &[bool], counts: &[u32]) -> Option<[f64; 2]> {
    let mut sums = [0_u64; 2];
    for (positive, count) in positive.iter().zip(counts) {
        sums[usize::from(!positive)] += u64::from(*count);
    }
    (sums[0] > 0 && sums[1] > 0).then(|| sums.map(|sum| sum as f64))
}

/// Area under the receiver operating characteristic: the chance that a positive scores higher than a negative,
/// ties counting half. `None` with one class alone.
pub(super) fn auroc(scores: &Order, positive: &[bool], counts: &[u32]) -> Option<f64> {
    let [positives, negatives] = both(positive, counts)?;
    let (mut below, mut won) = (0.0, 0.0);
    for [here, against] in tallies(scores, positive, counts) {
        won += here * (below + against / 2.0);
        below += against;
    }
    Some(won / (positives * negatives))
}

/// Average precision, as scikit-learn defines it: the precision at each threshold, weighted by how much recall
/// grows there; equal scores share a threshold. `None` with one class alone.
pub(super) fn average_precision(scores: &Order, positive: &[bool], counts: &[u32]) -> Option<f64> {
    let [positives, _] = both(positive, counts)?;
    let (mut hits, mut called, mut sum) = (0.0, 0.0, 0.0);
    for [here, against] in tallies(scores, positive, counts).rev() {
        hits += here;
        called += here + against;
        if here > 0.0 {
            sum += here / positives * (hits / called);
        }
    }
    Some(sum)
}

/// The points of both curves, from the highest threshold to the lowest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// False-positive rate and true-positive rate, from (0, 0) to (1, 1).
    pub roc: Vec<(f64, f64)>,
    /// Recall and precision.
    pub precision_recall: Vec<(f64, f64)>,
}

/// The curves; `None` with one class alone.
pub(super) fn curves(scores: &Order, positive: &[bool]) -> Option<Curves> {
    let counts = vec![1; positive.len()];
    let [positives, negatives] = both(positive, &counts)?;
    let mut curves = Curves { roc: vec![(0.0, 0.0)], precision_recall: Vec::new() };
    let (mut hits, mut alarms) = (0.0, 0.0);
    for [here, against] in tallies(scores, positive, &counts).rev() {
        hits += here;
        alarms += against;
        curves.roc.push((alarms / negatives, hits / positives));
        curves.precision_recall.push((hits / positives, hits / (hits + alarms)));
    }
    Some(curves)
}
