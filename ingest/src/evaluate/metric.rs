//! The metrics by which scores are compared with labels.

use std::fmt;

use super::confusion::Confusion;
use super::order::{Order, spearman};
use super::ranking::{Curves, auroc, average_precision, curves};
use super::resample::{interval, interval_of_mean};

/// A figure that compares scores with labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Area under the receiver operating characteristic.
    Auroc,
    /// Average precision.
    Auprc,
    /// Share of right calls at the threshold.
    Accuracy,
    /// Harmonic mean of precision and recall at the threshold.
    F1,
    /// Matthews' correlation at the threshold.
    Mcc,
    /// Share of the positives that are called at the threshold.
    TruePositiveRate,
    /// Positives called positive at the threshold.
    TruePositives,
    /// Negatives called positive.
    FalsePositives,
    /// Negatives called negative.
    TrueNegatives,
    /// Positives called negative.
    FalseNegatives,
    /// Spearman's rank correlation.
    Spearman,
    /// Share of the labels' variance that the scores, taken as predictions, explain; below 0 when a constant
    /// would do better.
    R2,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Auroc,
        Self::Auprc,
        Self::Accuracy,
        Self::F1,
        Self::Mcc,
        Self::TruePositiveRate,
        Self::TruePositives,
        Self::FalsePositives,
        Self::TrueNegatives,
        Self::FalseNegatives,
        Self::Spearman,
        Self::R2,
    ];

    /// Its name on the command line and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auroc => "auroc",
            Self::Auprc => "auprc",
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Mcc => "mcc",
            Self::TruePositiveRate => "true_positive_rate",
            Self::TruePositives => "true_positives",
            Self::FalsePositives => "false_positives",
            Self::TrueNegatives => "true_negatives",
            Self::FalseNegatives => "false_negatives",
            Self::Spearman => "spearman",
            Self::R2 => "r2",
        }
    }

    /// Whether labels must be classes.
    #[must_use]
    pub fn needs_classes(self) -> bool {
        !matches!(self, Self::Spearman | Self::R2)
    }

    /// Whether it needs a threshold.
    #[must_use]
    pub fn needs_threshold(self) -> bool {
        self.needs_classes() && !matches!(self, Self::Auroc | Self::Auprc)
    }

    /// Whether it counts rows.
    pub(super) fn is_count(self) -> bool {
        matches!(
            self,
            Self::TruePositives | Self::FalsePositives | Self::TrueNegatives | Self::FalseNegatives
        )
    }

    /// Why it has no value where it has none.
    fn undefined(self) -> &'static str {
        match self {
            Self::Auroc | Self::Auprc => "undefined: one class only",
            Self::F1 => "undefined: nothing is positive, labelled or called",
            Self::TruePositiveRate => "undefined: no positives",
            Self::Mcc => "undefined: all labels or all calls are equal",
            Self::Spearman => "undefined: all labels or all scores are equal",
            Self::R2 => "undefined: all labels are equal",
            _ => "undefined: no threshold",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A figure, its 95 % percentile-bootstrap bounds, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The figure over all rows.
    pub estimate: Result<f64, &'static str>,
    /// Its bounds; none for counts, and where no resample has a value.
    pub bounds: Option<(f64, f64)>,
}

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples of the rows, with replacement.
    pub resamples: u32,
    /// Where the random numbers start.
    pub seed: u64,
}

/// Scores of some rows, and their labels; both numbers, in the same order.
pub struct Sample {
    scores: Vec<f64>,
    labels: Vec<f64>,
    positive: Vec<bool>,
    by_score: Order,
    by_label: Order,
    threshold: Option<f64>,
}

impl Sample {
    /// `scores` beside `labels`; a label above 0.5 is positive where classes are needed, a score from
    /// `threshold` on a call.
    #[must_use]
    pub fn new(scores: Vec<f64>, labels: Vec<f64>, threshold: Option<f64>) -> Self {
        let (by_score, by_label) = (Order::new(&scores), Order::new(&labels));
        let positive = labels.iter().map(|label| *label > 0.5).collect();
        Self { scores, labels, positive, by_score, by_label, threshold }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.scores.len()
    }

    /// Positive rows.
    #[must_use]
    pub fn positives(&self) -> usize {
        self.positive.iter().filter(|positive| **positive).count()
    }

    /// ROC and precision-recall curves; `None` with one class alone.
    #[must_use]
    pub fn curves(&self) -> Option<Curves> {
        curves(&self.by_score, &self.positive)
    }

    pub(crate) fn measure(&self, metric: Metric, counts: &[u32]) -> Option<f64> {
        let confusion = || Some(Confusion::of(&self.scores, &self.positive, counts, self.threshold?));
        let count = |of: fn(Confusion) -> u64| confusion().map(|found| of(found) as f64);
        match metric {
            Metric::Auroc => auroc(&self.by_score, &self.positive, counts),
            Metric::Auprc => average_precision(&self.by_score, &self.positive, counts),
            Metric::Accuracy => confusion()?.accuracy(),
            Metric::F1 => confusion()?.f1(),
            Metric::Mcc => confusion()?.mcc(),
            Metric::TruePositiveRate => confusion()?.true_positive_rate(),
            Metric::TruePositives => count(|found| found.true_positives),
            Metric::FalsePositives => count(|found| found.false_positives),
            Metric::TrueNegatives => count(|found| found.true_negatives),
            Metric::FalseNegatives => count(|found| found.false_negatives),
            Metric::Spearman => spearman([&self.by_score, &self.by_label], counts),
            Metric::R2 => self.r2(counts),
        }
    }

    /// 1 − Σ(label − score)² / Σ(label − mean)².
    fn r2(&self, counts: &[u32]) -> Option<f64> {
        let weighted = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            let pairs = self.scores.iter().zip(&self.labels).zip(counts);
            pairs.map(|((score, label), count)| f64::from(*count) * of(*score, *label)).sum()
        };
        let first = *self.labels.first()?;
        let mean = first + weighted(&|_, label| label - first) / weighted(&|_, _| 1.0);
        let total = weighted(&|_, label| (label - mean).powi(2));
        (total > 0.0).then(|| 1.0 - weighted(&|score, label| (label - score).powi(2)) / total)
    }

    /// `metric` and its interval.
    #[must_use]
    pub fn figure(&self, metric: Metric, bootstrap: Bootstrap) -> Figure {
        if self.rows() == 0 {
            return Figure { estimate: Err("undefined: no rows"), bounds: None };
        }
        let estimate = self.measure(metric, &vec![1; self.rows()]).ok_or_else(|| self.reason(metric));
        let bounds = (estimate.is_ok() && !metric.is_count()).then(|| {
            interval(self.rows(), bootstrap.resamples, bootstrap.seed, |counts| self.measure(metric, counts))
        });
        Figure { estimate, bounds: bounds.flatten() }
    }

    /// The mean of `metric` over `samples`.
    pub(super) fn mean_figure(samples: &[Self], metric: Metric, bootstrap: Bootstrap) -> Figure {
        let figures = samples.iter().map(|sample| sample.measure(metric, &vec![1; sample.rows()]));
        let Some(sum) = figures.sum::<Option<f64>>().filter(|_| !samples.is_empty()) else {
            return Figure { estimate: Err("undefined: no groups"), bounds: None };
        };
        let lengths: Vec<usize> = samples.iter().map(Self::rows).collect();
        let measure = |at: usize, counts: &[u32]| samples[at].measure(metric, counts);
        let bounds = interval_of_mean(&lengths, bootstrap.resamples, bootstrap.seed, measure);
        Figure { estimate: Ok(sum / samples.len() as f64), bounds }
    }

    /// `metric` of `self` less that of `other`, which has the same rows: both are measured on the same resamples.
    /// `None` when the rows differ in number.
    #[must_use]
    pub fn difference(&self, other: &Self, metric: Metric, bootstrap: Bootstrap) -> Option<Figure> {
        if self.rows() != other.rows() {
            return None;
        }
        if self.rows() == 0 {
            return Some(Figure { estimate: Err("undefined: no rows"), bounds: None });
        }
        let measure = |counts: &[u32]| Some(self.measure(metric, counts)? - other.measure(metric, counts)?);
        let estimate = measure(&vec![1; self.rows()]).ok_or_else(|| self.reason(metric));
        let bounds =
            estimate.is_ok().then(|| interval(self.rows(), bootstrap.resamples, bootstrap.seed, measure));
        Some(Figure { estimate, bounds: bounds.flatten() })
    }

    fn reason(&self, metric: Metric) -> &'static str {
        if metric.needs_threshold() && self.threshold.is_none() {
            return "undefined: no threshold";
        }
        metric.undefined()
    }
}
