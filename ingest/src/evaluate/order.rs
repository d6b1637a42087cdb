//! Values in order, and their ranks, where each value stands as often as a resample says.

use crate::convert::narrow;

/// Numbers sorted once, to serve all resamples.
pub(crate) struct Order {
    /// Places of the values, by rising value.
    places: Vec<u32>,
    /// Where runs of equal values end among `places`.
    run_ends: Vec<u32>,
}

impl Order {
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut places: Vec<u32> = (0..narrow(values.len())).collect();
        places.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]).then(a.cmp(b)));
        let runs = places.chunk_by(|a, b| values[*a as usize] == values[*b as usize]);
        let mut end = 0;
        let run_ends = runs.map(|run| {
            end += narrow(run.len());
            end
        });
        Self { run_ends: run_ends.collect(), places }
    }

    /// The places of equal values, run by run, by rising value.
    pub(crate) fn runs(&self) -> impl DoubleEndedIterator<Item = &[u32]> {
        (0..self.run_ends.len()).map(|run| {
            let start = if run == 0 { 0 } else { self.run_ends[run - 1] };
            &self.places[start as usize..self.run_ends[run] as usize]
        })
    }

    /// Mid-ranks, where each value stands as often as `counts` says.
    pub(crate) fn ranks(&self, counts: &[u32]) -> Vec<f64> {
        let mut ranks = vec![0.0; counts.len()];
        let mut before = 0_u64;
        for run in self.runs() {
            let total: u64 = run.iter().map(|place| u64::from(counts[*place as usize])).sum();
            for place in run {
                ranks[*place as usize] = before as f64 + f64::midpoint(total as f64, 1.0);
            }
            before += total;
        }
        ranks
    }
}

/// Spearman's correlation of two columns: Pearson's of their mid-ranks. `None` when one does not vary.
pub(crate) fn spearman(columns: [&Order; 2], counts: &[u32]) -> Option<f64> {
    let [first, second] = columns.map(|order| order.ranks(counts));
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    let mean = f64::midpoint(total, 1.0);
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for ((first, second), count) in first.iter().zip(&second).zip(counts) {
        let (first, second, count) = (first - mean, second - mean, f64::from(*count));
        product += count * first * second;
        left += count * first * first;
        right += count * second * second;
    }
    (left > 0.0 && right > 0.0).then(|| product / (left * right).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_rank_and_a_constant_has_no_correlation() {
        let order = Order::new(&[2.0, 1.0, 2.0, 3.0]);
        assert_eq!(order.ranks(&[1; 4]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(order.ranks(&[2, 0, 1, 1]), [2.0, 0.5, 2.0, 4.0]);
        assert_eq!(spearman([&order, &Order::new(&[1.0; 4])], &[1; 4]), None);
    }
}
