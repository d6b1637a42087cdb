//! The four counts at a threshold, and what follows from them.

/// How often calls and labels agree. A score at the threshold or above it is a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Confusion {
    pub(super) true_positives: u64,
    pub(super) false_positives: u64,
    pub(super) true_negatives: u64,
    pub(super) false_negatives: u64,
}

impl Confusion {
    /// Counts rows, each as often as `counts` says.
    pub(super) fn of(scores: &[f64], positive: &[bool], counts: &[u32], threshold: f64) -> Self {
        let mut found = Self::default();
        for ((score, positive), count) in scores.iter().zip(positive).zip(counts) {
            let cell = match (*score >= threshold, positive) {
                (true, true) => &mut found.true_positives,
                (true, false) => &mut found.false_positives,
                (false, false) => &mut found.true_negatives,
                (false, true) => &mut found.false_negatives,
            };
            *cell += u64::from(*count);
        }
        found
    }

    fn cells(self) -> [f64; 4] {
        [self.true_positives, self.false_positives, self.true_negatives, self.false_negatives]
            .map(|count| count as f64)
    }

    /// Share of right calls; `None` without rows.
    pub(super) fn accuracy(self) -> Option<f64> {
        let [tp, fp, tn, fn_] = self.cells();
        let total = tp + fp + tn + fn_;
        (total > 0.0).then(|| (tp + tn) / total)
    }

    /// Harmonic mean of precision and recall; `None` when nothing is positive, labelled or called.
    pub(super) fn f1(self) -> Option<f64> {
        let [tp, fp, _, fn_] = self.cells();
        let total = 2.0 * tp + fp + fn_;
        (total > 0.0).then(|| 2.0 * tp / total)
    }

    /// Share of the positives that are called; `None` without positives.
    pub(super) fn true_positive_rate(self) -> Option<f64> {
        let [tp, _, _, fn_] = self.cells();
        (tp + fn_ > 0.0).then(|| tp / (tp + fn_))
    }

    /// Matthews' correlation; `None` when all labels or all calls are equal.
    pub(super) fn mcc(self) -> Option<f64> {
        let [tp, fp, tn, fn_] = self.cells();
        let spread = (tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_);
        (spread > 0.0).then(|| (tp * tn - fp * fn_) / spread.sqrt())
    }
}
