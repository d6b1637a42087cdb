//! Plain learners over embeddings or effects: what a model knows of a task without having been trained for it.

use std::fmt;

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};
use thiserror::Error;

use super::forest::Forest;
use crate::convert::{as_index, whole};

/// What learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A random forest of 100 fully grown trees on bootstrap samples (Breiman 2001). Each split looks at √p of the p
    /// features for classes, at p/3 for numbers. Trees give the share of positives, or the mean, of a leaf: over
    /// labels 0 and 1, reducing the squared error is reducing the Gini impurity, so one kind of tree serves both.
    Forest,
    /// Logistic regression on features of mean 0 and variance 1 (those of the training rows), with ½‖w‖² beside the
    /// summed loss, the intercept free: C = 1 of scikit-learn.
    Logistic,
}

impl Probe {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Forest, Self::Logistic];

    /// `forest` or `logistic`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forest => "forest",
            Self::Logistic => "logistic",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing can be learned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no row to learn from.
    #[error("there are no rows to learn from")]
    NoRows,
    /// All labels are the same.
    #[error("all variants to learn from have the same label; give others, or split otherwise")]
    OneLabel,
    /// Numbers are no classes.
    #[error("logistic regression needs classes; for numbers take a forest")]
    NoClasses,
    /// The library gave up.
    #[error("the {probe} cannot be trained")]
    Library {
        /// Which.
        probe: Probe,
        /// Why.
        source: smartcore::error::Failed,
    },
}

impl Probe {
    /// Learns from rows and their labels (0 and 1 when `classes`), and tells the probability of class 1, or the number,
    /// of each row of `asked`. The same seed gives the same.
    ///
    /// # Errors
    /// There is nothing to learn from.
    pub fn learn(
        self,
        training: &[(&[f32], f64)],
        classes: bool,
        asked: &[&[f32]],
        seed: u64,
    ) -> Result<Vec<f64>, ProbeError> {
        let Some((row, first)) = training.first() else { return Err(ProbeError::NoRows) };
        if training.iter().all(|(_, label)| label == first) {
            return Err(ProbeError::OneLabel);
        }
        match self {
            Self::Forest => {
                let wide = row.len() as f64;
                let tried = as_index(whole(if classes { wide.sqrt() } else { wide / 3.0 })).max(1);
                let (rows, labels): (Vec<&[f32]>, Vec<f64>) = training.iter().copied().unzip();
                Ok(Forest { rows: &rows, labels: &labels, tried, asked, seed }.predict())
            }
            Self::Logistic if !classes => Err(ProbeError::NoClasses),
            Self::Logistic => {
                logistic(training, asked).map_err(|source| ProbeError::Library { probe: self, source })
            }
        }
    }
}

fn logistic(rows: &[(&[f32], f64)], asked: &[&[f32]]) -> Result<Vec<f64>, smartcore::error::Failed> {
    // Its `get` would stand for that of slices elsewhere.
    use smartcore::linalg::basic::arrays::Array;
    let (count, width) = (rows.len() as f64, rows.first().map_or(0, |(row, _)| row.len()));
    let mean: Vec<f64> =
        (0..width).map(|at| rows.iter().map(|(row, _)| f64::from(row[at])).sum::<f64>() / count).collect();
    let scale = |at: usize| {
        let squares = rows.iter().map(|(row, _)| (f64::from(row[at]) - mean[at]).powi(2)).sum::<f64>();
        let deviation = (squares / count).sqrt();
        // A feature that does not vary says nothing.
        if deviation > 0.0 { deviation.recip() } else { 0.0 }
    };
    let scales: Vec<f64> = (0..width).map(scale).collect();
    let standard = |at: usize, value: f32| (f64::from(value) - mean[at]) * scales[at];
    let values = rows.iter().flat_map(|(row, _)| row.iter().enumerate());
    let values: Vec<f64> = values.map(|(at, value)| standard(at, *value)).collect();
    let seen = DenseMatrix::new(rows.len(), width, values, false)?;
    let classes: Vec<i32> = rows.iter().map(|(_, label)| i32::from(*label == 1.0)).collect();
    let parameters = LogisticRegressionParameters::default().with_alpha(1.0);
    let learned = LogisticRegression::fit(&seen, &classes, parameters)?;
    let weights: Vec<f64> = learned.coefficients().iterator(0).copied().collect();
    let intercept = *learned.intercept().get((0, 0));
    let probability = |row: &&[f32]| {
        let terms = row.iter().enumerate().map(|(at, value)| standard(at, *value) * weights[at]);
        1.0 / (1.0 + (-(intercept + terms.sum::<f64>())).exp())
    };
    Ok(asked.iter().map(probability).collect())
}

/// Against scikit-learn 1.9.1, with `row(i)` below and of 600 rows every third one for testing:
///
/// ```python
/// make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-12, max_iter=100000))
/// RandomForestClassifier(100, max_features="sqrt", random_state=s)    # s from 0 to 29
/// RandomForestRegressor(100, max_features=4, random_state=s)
/// ```
#[cfg(test)]
#[expect(clippy::unreadable_literal, reason = "numbers as another program printed them")]
mod tests {
    use super::*;
    use crate::evaluate::{Bootstrap, Metric, Sample};

    const ROWS: u32 = 600;

    fn row(i: u32) -> Vec<f64> {
        let number = |j: u32| f64::from((i * (37 + 14 * j) + 11 * j * j + (i * i) % 29) % 97);
        (0..12).map(|j| number(j) / (7.0 + f64::from(j))).collect()
    }

    fn target(i: u32) -> f64 {
        let row = row(i);
        let noise = f64::from((i * i * 31 + i * 7) % 41) / 20.0;
        row[0] / 5.0 - row[3] * row[1] / 60.0 + (row[5] - 3.5).abs() / 2.0 + noise
    }

    fn features(rows: &[u32]) -> Vec<Vec<f32>> {
        rows.iter().map(|i| row(*i).into_iter().map(|value| value as f32).collect()).collect()
    }

    fn labelled<'a>(rows: &'a [Vec<f32>], labels: &[f64]) -> Vec<(&'a [f32], f64)> {
        rows.iter().map(Vec::as_slice).zip(labels.iter().copied()).collect()
    }

    /// What is told of the test rows, and a metric of it.
    fn learn(probe: Probe, classes: bool, seed: u64, metric: Metric) -> (Vec<f64>, f64) {
        let mut sorted: Vec<f64> = (0..ROWS).map(target).collect();
        sorted.sort_by(f64::total_cmp);
        let label = |i: &u32| {
            let target = target(*i);
            if classes { f64::from(u8::from(target > sorted[300])) } else { target }
        };
        let [training, test]: [Vec<u32>; 2] =
            [false, true].map(|wanted| (0..ROWS).filter(|i| (i % 3 == 0) == wanted).collect());
        let labels: Vec<f64> = training.iter().map(label).collect();
        let [rows, asked] = [training, test.clone()].map(|rows| features(&rows));
        let asked: Vec<&[f32]> = asked.iter().map(Vec::as_slice).collect();
        let told = probe.learn(&labelled(&rows, &labels), classes, &asked, seed).expect("learned");
        let sample = Sample::new(told.clone(), test.iter().map(label).collect(), None);
        let figure = sample.figure(metric, Bootstrap { resamples: 2, seed: 0 });
        (told, figure.estimate.expect("a figure"))
    }

    #[test]
    fn logistic_regression_is_that_of_the_reference_library() {
        // Features are float32 here.
        const TOLERANCE: f64 = 1e-6;
        let (told, auroc) = learn(Probe::Logistic, true, 0, Metric::Auroc);
        let wanted = [0.3943327188233462, 0.06023987256684714, 0.229518453040192, 0.7711366623643279];
        for (told, wanted) in told.iter().zip(wanted) {
            assert!((told - wanted).abs() < TOLERANCE, "{told} instead of {wanted}");
        }
        assert!((auroc - 0.846912220998899).abs() < TOLERANCE, "{auroc}");
    }

    #[test]
    fn forests_are_as_good_as_those_of_the_reference_library() {
        // Within four standard deviations, over seeds, of the mean: 0.8521 ± 0.0039 and 0.6273 ± 0.0065.
        let (told, auroc) = learn(Probe::Forest, true, 1, Metric::Auroc);
        assert!((auroc - 0.8521).abs() < 0.016, "{auroc}");
        assert!(told.iter().all(|told| (0.0..=1.0).contains(told)));
        assert_eq!(learn(Probe::Forest, true, 1, Metric::Auroc).0, told);
        assert_ne!(learn(Probe::Forest, true, 2, Metric::Auroc).0, told);
        let (_, r2) = learn(Probe::Forest, false, 1, Metric::R2);
        assert!((r2 - 0.6273).abs() < 0.026, "{r2}");
    }

    #[test]
    fn what_cannot_be_learned_is_told() {
        let some = features(&[1, 2, 3, 4]);
        let learn = |probe: Probe, labels: &[f64], classes| {
            let asked = [some[0].as_slice()];
            probe.learn(&labelled(&some, labels), classes, &asked, 1).map_err(|error| error.to_string())
        };
        for (found, part) in [
            (learn(Probe::Forest, &[], true), "no rows to learn from"),
            (learn(Probe::Forest, &[1.0; 4], true), "the same label"),
            (learn(Probe::Logistic, &[0.5, 1.5, 2.0, 3.0], false), "needs classes"),
        ] {
            assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{found:?}");
        }
    }
}
