//! How good a tuned model's predictions are.

use serde::{Deserialize, Serialize};

use crate::convert::class_number;
use crate::dataset::{Example, TuningTask};
use crate::evaluate::resample::interval;
use crate::evaluate::{Bootstrap, Metric, MetricFigure as Figure, Sample};

/// A probability from here on is a call.
const THRESHOLD: f64 = 0.5;

/// How intervals are made.
const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 1000, seed: 0x5eed };

/// A metric over labelled rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningFigure {
    /// Its name, as `vestore evaluate` has it; `macro_…` for the mean over more than two classes, each against the
    /// rest.
    pub metric: String,
    /// The figure; `None` where it is undefined.
    pub value: Option<f64>,
    /// Lower bound of its 95 % bootstrap interval over the rows.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// Why it is undefined.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl TuningFigure {
    fn new(metric: &str, figure: Figure) -> Self {
        Self {
            metric: metric.to_owned(),
            value: figure.estimate.ok(),
            low: figure.bounds.map(|(low, _)| low),
            high: figure.bounds.map(|(_, high)| high),
            note: figure.estimate.err().unwrap_or_default().to_owned(),
        }
    }
}

/// Names of the figures of a task, the most telling first.
#[must_use]
pub fn tuning_metrics(task: TuningTask) -> Vec<&'static str> {
    match task {
        TuningTask::Number => vec!["spearman", "r2"],
        TuningTask::Classes(2) => BINARY.iter().map(|metric| metric.as_str()).collect(),
        TuningTask::Classes(_) => vec!["macro_auroc", "accuracy", "macro_f1"],
    }
}

const BINARY: [Metric; 6] =
    [Metric::Auroc, Metric::Auprc, Metric::Accuracy, Metric::F1, Metric::Mcc, Metric::TruePositiveRate];

/// The figures of predictions, those of [`tuning_metrics`] in order.
pub(super) fn figures(task: TuningTask, predictions: &[Vec<f64>], examples: &[Example]) -> Vec<TuningFigure> {
    let labels: Vec<f64> = examples.iter().map(|example| example.label).collect();
    let column = |at: usize| -> Vec<f64> { predictions.iter().map(|row| row[at]).collect() };
    match task {
        TuningTask::Number => {
            let sample = Sample::new(column(0), labels, None);
            let figure =
                |metric: Metric| TuningFigure::new(metric.as_str(), sample.figure(metric, BOOTSTRAP));
            [Metric::Spearman, Metric::R2].into_iter().map(figure).collect()
        }
        TuningTask::Classes(2) => {
            let sample = Sample::new(column(1), labels, Some(THRESHOLD));
            let figure =
                |metric: Metric| TuningFigure::new(metric.as_str(), sample.figure(metric, BOOTSTRAP));
            BINARY.into_iter().map(figure).collect()
        }
        TuningTask::Classes(classes) => many(classes as usize, predictions, &labels),
    }
}

/// The figures of more than two classes.
fn many(classes: usize, predictions: &[Vec<f64>], labels: &[f64]) -> Vec<TuningFigure> {
    let is = |class: usize| -> Vec<f64> {
        labels.iter().map(|label| if class_number(*label) == class { 1.0 } else { 0.0 }).collect()
    };
    let calls: Vec<usize> = predictions.iter().map(|row| highest(row)).collect();
    let called = |class: usize| -> Vec<f64> {
        calls.iter().map(|call| if *call == class { 1.0 } else { 0.0 }).collect()
    };
    let scored: Vec<Sample> = (0..classes)
        .map(|class| Sample::new(predictions.iter().map(|row| row[class]).collect(), is(class), None))
        .collect();
    let crisp: Vec<Sample> =
        (0..classes).map(|class| Sample::new(called(class), is(class), Some(THRESHOLD))).collect();
    let mean = |samples: &[Sample], metric: Metric, counts: &[u32]| -> Option<f64> {
        let found: Option<Vec<f64>> = samples.iter().map(|sample| sample.measure(metric, counts)).collect();
        found.map(|found| found.iter().sum::<f64>() / classes as f64)
    };
    let right = |counts: &[u32]| -> Option<f64> {
        let rows = calls.iter().zip(labels).zip(counts);
        let hits: u64 = rows
            .filter(|((call, label), _)| **call == class_number(**label))
            .map(|(_, n)| u64::from(*n))
            .sum();
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        (all > 0).then(|| hits as f64 / all as f64)
    };
    let figure = |name: &str, measure: &(dyn Fn(&[u32]) -> Option<f64> + Sync)| {
        let estimate = measure(&vec![1; labels.len()]).ok_or("undefined: a class has no rows, or no calls");
        let bounds =
            estimate.is_ok().then(|| interval(labels.len(), BOOTSTRAP.resamples, BOOTSTRAP.seed, measure));
        TuningFigure::new(name, Figure { estimate, bounds: bounds.flatten() })
    };
    vec![
        figure("macro_auroc", &|counts| mean(&scored, Metric::Auroc, counts)),
        figure("accuracy", &right),
        figure("macro_f1", &|counts| mean(&crisp, Metric::F1, counts)),
    ]
}

/// The first place of the highest number.
fn highest(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn examples(labels: &[f64]) -> Vec<Example> {
        labels
            .iter()
            .map(|label| Example { reference: None, alternate: Arc::from([]), label: *label })
            .collect()
    }

    /// Against figures counted pair by pair: one against the rest, then the mean.
    #[test]
    fn figures_of_three_classes_are_means_over_the_classes() {
        let predictions: Vec<Vec<f64>> = [
            [0.7, 0.2, 0.1],
            [0.3, 0.5, 0.2],
            [0.1, 0.3, 0.6],
            [0.4, 0.35, 0.25],
            [0.2, 0.2, 0.6],
            [0.5, 0.3, 0.2],
        ]
        .map(|row| row.to_vec())
        .to_vec();
        let found = figures(TuningTask::Classes(3), &predictions, &examples(&[0.0, 1.0, 2.0, 1.0, 2.0, 2.0]));
        let values: Vec<f64> = found.iter().filter_map(|figure| figure.value).collect();
        assert!((values[0] - 0.944_444_444_444_444_5).abs() < 1e-12, "{values:?}");
        assert!((values[1] - 4.0 / 6.0).abs() < 1e-12 && (values[2] - 0.655_555_555_555_555_6).abs() < 1e-12);
    }

    #[test]
    fn what_is_undefined_is_said() {
        let found = figures(TuningTask::Classes(2), &[vec![0.4, 0.6]], &examples(&[1.0]));
        let auroc = &found[0];
        assert!(auroc.value.is_none() && auroc.note.contains("one class only"));
    }
}
