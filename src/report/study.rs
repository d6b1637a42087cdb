//! Studies: one model trained again and again, each time with something changed, and what that says about its
//! layers.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use vestore_schema::Digest;

/// A study as the catalog records it: what decides its numbers, and, once it is finished, its result. What was
/// measured lies in its runs, a record each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// What people call it in this store; a name as tracks and models have.
    pub name: String,
    /// Name of the studied model in this store.
    pub model: String,
    /// Identity of the model.
    pub model_id: Digest,
    /// All that decides the numbers: digest of the data, splits, hyperparameters, seeds. No places on disk.
    pub plan: serde_json::Value,
    /// Digest of the plan's canonical JSON; a study goes on only under the same plan.
    pub plan_digest: Digest,
    /// Version of the program.
    pub program: String,
    /// Where it computed: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of the model.
    pub threads: u32,
    /// Names of the metrics in order, as `vestore evaluate` names them; the first is the primary one.
    pub metrics: Vec<String>,
    /// For each metric, whether more is better.
    pub higher_is_better: Vec<bool>,
    /// The layers that are studied, by their original numbers, ascending.
    pub layers: Vec<u32>,
    /// When it started, in Unix seconds.
    pub started: u64,
    /// When its last run ended, in Unix seconds; nothing while runs are missing.
    pub finished: Option<u64>,
    /// What it found; nothing until the baseline and every layer are done.
    pub result: Option<StudyResult>,
}

/// One training of a study: a variation under a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyRun {
    /// Name of the study.
    pub study: String,
    /// What was changed of the studied model.
    pub variation: Variation,
    /// Seed of initial heads, adapters, strands and the order of rows.
    pub seed: u64,
    /// The layers that were run, by their original numbers, ascending.
    pub kept_layers: Vec<u32>,
    /// How it was tuned: `full`, `linear`, `lora`, `ia3`, `houlsby`.
    pub method: String,
    /// Parameters of the model with its head and adapters.
    pub parameters: u64,
    /// Those of them that were trained.
    pub trained_parameters: u64,
    /// Steps of the optimizer that were taken.
    pub steps: u64,
    /// The step whose weights were evaluated: that of the lowest validation loss.
    pub best_step: u64,
    /// Mean loss of the validation rows at that step, in nats for classes, for regression in
    /// squared standard deviations of the training labels.
    pub validation_loss: f64,
    /// The study's metrics, in its order, on the validation rows: what layers are judged by.
    pub validation_figures: Vec<StudyFigure>,
    /// The same on the test rows, which nothing is chosen by: what models are compared by.
    pub figures: Vec<StudyFigure>,
    /// Wall-clock seconds of the training, validation included; of the process that ended it, where it was resumed.
    pub training_seconds: f64,
    /// Wall-clock seconds of the predictions for the validation and test rows.
    pub evaluation_seconds: f64,
    /// Mean wall-clock seconds of one step of the optimizer, validation left out.
    pub seconds_per_step: f64,
    /// Most memory that the process held during the training, in bytes; some of it may be kept from trainings before.
    /// Nothing where not measured, on a GPU among others.
    pub peak_memory: Option<u64>,
    /// Rows for training, validation and test.
    pub rows: [u64; 3],
    /// Name in this store under which the trained model was kept.
    pub model: Option<String>,
}

/// What a run changes of the studied model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Variation {
    /// Nothing.
    Baseline,
    /// One layer is left out.
    Without {
        /// Original number of the layer.
        layer: u32,
    },
    /// All layers, tuned in another way than the baseline.
    Method {
        /// `full`, `linear`, `lora`, `ia3`, `houlsby`.
        method: String,
    },
    /// Derived model: without the unfavourable layers.
    WithoutUnfavourable,
    /// Derived model: the cornerstones alone.
    CornerstonesOnly,
}

/// The words by which a variation is keyed and shown: `baseline`, `without 3`, `method lora`,
/// `without unfavourable`, `cornerstones only`.
impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str("baseline"),
            Self::Without { layer } => write!(f, "without {layer}"),
            Self::Method { method } => write!(f, "method {method}"),
            Self::WithoutUnfavourable => f.write_str("without unfavourable"),
            Self::CornerstonesOnly => f.write_str("cornerstones only"),
        }
    }
}

/// One metric of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyFigure {
    /// Name of the metric.
    pub metric: String,
    /// Over all rows; nothing where it is undefined, of one class only for example.
    pub value: Option<f64>,
    /// Lower end of the 95 % percentile-bootstrap interval over the rows.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// What a study found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyResult {
    /// A verdict for every studied layer, ascending.
    pub layers: Vec<LayerVerdict>,
    /// How well cheaper rankings agree with the importance that the study found.
    pub agreement: Vec<Agreement>,
    /// The baseline over its seeds on the validation rows, one for each metric in the study's order.
    pub baseline: Vec<BaselineFigure>,
}

/// A metric of the baseline over its seeds; one that is undefined under every seed has no record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineFigure {
    /// Name of the metric.
    pub metric: String,
    /// Mean over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds, with n − 1 in the denominator (see [`mean_and_deviation`]); nothing
    /// with one seed.
    pub deviation: Option<f64>,
}

/// What the study says of one layer (Hegde, Nebel, Rahman, Genes 2025, 16(11):1358).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerVerdict {
    /// Original number of the layer.
    pub layer: u32,
    /// Without it each of accuracy, AUROC, F1 and true-positive rate (of other studies every metric) is at least 5 %
    /// worse than the baseline's mean, or undefined where that is not.
    pub cornerstone: bool,
    /// Without it the mean is not below the baseline's mean minus its standard deviation, for at least three of
    /// accuracy, AUROC, F1 and true-positive rate; for regression, for every metric of the study. With one seed
    /// the deviation counts as 0.
    pub unfavourable: bool,
    /// The primary metric: mean of the baseline − mean without the layer, over the seeds, with the sign turned
    /// where less is better, so that higher means more important. Nothing where one of the means is undefined.
    pub importance: Option<f64>,
    /// What cheaper rankings say of the layer.
    pub rankings: Vec<Ranking>,
}

/// A layer's place in a ranking that needs no training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// `ablation`, `block influence`, `angular distance`, `greedy`, `shapley`.
    pub name: String,
    /// Its own measure; higher means more important.
    pub value: f64,
}

/// How well a cheaper ranking agrees with the study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Name of the ranking.
    pub name: String,
    /// Spearman's rank correlation over the layers between its values and the importance; nothing where it is
    /// undefined.
    pub spearman: Option<f64>,
    /// What it is computed from, or why it is undefined.
    pub note: String,
}

/// Why a record of a study makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StudyError {
    /// No metric, one twice, or directions for another number of them.
    #[error("it has {metrics} metrics, which must be one or more, each once, and {directions} directions")]
    Metrics {
        /// How many metrics.
        metrics: usize,
        /// How many directions.
        directions: usize,
    },
    /// Layers out of order.
    #[error("its layers {layers:?} do not ascend")]
    Layers {
        /// As given.
        layers: Vec<u32>,
    },
    /// Other figures than the study's metrics.
    #[error("its figures are {found:?}, the study's metrics {wanted:?}")]
    Figures {
        /// The run's.
        found: Vec<String>,
        /// The study's.
        wanted: Vec<String>,
    },
    /// A number that JSON cannot hold.
    #[error("its {what} is not a finite number")]
    NotFinite {
        /// Which.
        what: String,
    },
}

fn finite(what: &str, values: impl IntoIterator<Item = f64>) -> Result<(), StudyError> {
    let all = values.into_iter().all(f64::is_finite);
    if all { Ok(()) } else { Err(StudyError::NotFinite { what: what.to_owned() }) }
}

fn ascending(layers: &[u32]) -> Result<(), StudyError> {
    let ascend = layers.is_sorted_by(|a, b| a < b);
    if ascend { Ok(()) } else { Err(StudyError::Layers { layers: layers.to_vec() }) }
}

impl Study {
    /// Checks that the record makes sense.
    ///
    /// # Errors
    /// When metrics, layers or numbers do not.
    pub fn check(&self) -> Result<(), StudyError> {
        let (metrics, directions) = (self.metrics.len(), self.higher_is_better.len());
        let repeated = (1..metrics).any(|at| self.metrics[..at].contains(&self.metrics[at]));
        if metrics == 0 || metrics != directions || repeated {
            return Err(StudyError::Metrics { metrics, directions });
        }
        ascending(&self.layers)?;
        let Some(result) = &self.result else { return Ok(()) };
        let layers: Vec<u32> = result.layers.iter().map(|verdict| verdict.layer).collect();
        ascending(&layers)?;
        for verdict in &result.layers {
            finite("importance", verdict.importance)?;
            finite("ranking", verdict.rankings.iter().map(|ranking| ranking.value))?;
        }
        finite("agreement", result.agreement.iter().filter_map(|agreement| agreement.spearman))?;
        finite("baseline", result.baseline.iter().map(|figure| figure.mean))?;
        finite("baseline", result.baseline.iter().filter_map(|figure| figure.deviation))
    }
}

impl StudyRun {
    /// Checks that the record makes sense as a run of `study`.
    ///
    /// # Errors
    /// When its figures are not the study's metrics, or layers or numbers make none.
    pub fn check(&self, study: &Study) -> Result<(), StudyError> {
        for figures in [&self.validation_figures, &self.figures] {
            if !figures.iter().map(|figure| &figure.metric).eq(&study.metrics) {
                let found = figures.iter().map(|figure| figure.metric.clone()).collect();
                return Err(StudyError::Figures { found, wanted: study.metrics.clone() });
            }
        }
        ascending(&self.kept_layers)?;
        for figure in self.validation_figures.iter().chain(&self.figures) {
            finite(&figure.metric, [figure.value, figure.low, figure.high].into_iter().flatten())?;
        }
        finite("validation loss", [self.validation_loss])?;
        finite("time", [self.training_seconds, self.evaluation_seconds, self.seconds_per_step])
    }

    /// The run with the figures of the validation rows, by which layers are judged, in the place of those of the test
    /// rows.
    pub(crate) fn judged(&self) -> Self {
        Self { figures: self.validation_figures.clone(), ..self.clone() }
    }

    /// The value of a metric on the test rows, where the run has one.
    #[must_use]
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.metric == metric)?.value
    }

    /// The value of a metric on the validation rows, where the run has one.
    #[must_use]
    pub fn validation_value(&self, metric: &str) -> Option<f64> {
        self.validation_figures.iter().find(|figure| figure.metric == metric)?.value
    }
}

/// Mean and standard deviation (n − 1 in the denominator; none of a single value) of what a metric was under
/// several seeds. `None` without a value.
#[must_use]
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len() {
        0 => None,
        1 => Some((mean, None)),
        _ => Some((mean, Some((squares / (count - 1.0)).sqrt()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variations_are_tagged_in_json_and_keyed_by_words() {
        let cases = [
            (Variation::Baseline, "baseline", r#"{"kind":"baseline"}"#),
            (Variation::Without { layer: 3 }, "without 3", r#"{"kind":"without","layer":3}"#),
            (
                Variation::Method { method: "lora".to_owned() },
                "method lora",
                r#"{"kind":"method","method":"lora"}"#,
            ),
            (Variation::WithoutUnfavourable, "without unfavourable", r#"{"kind":"without-unfavourable"}"#),
            (Variation::CornerstonesOnly, "cornerstones only", r#"{"kind":"cornerstones-only"}"#),
        ];
        for (variation, words, json) in cases {
            assert_eq!(variation.to_string(), words);
            assert_eq!(serde_json::to_string(&variation).ok().as_deref(), Some(json));
            assert_eq!(serde_json::from_str::<Variation>(json).ok(), Some(variation));
        }
    }

    #[test]
    fn the_deviation_is_that_of_a_sample_and_one_seed_has_none() {
        assert_eq!(mean_and_deviation(&[]), None);
        assert_eq!(mean_and_deviation(&[0.5]), Some((0.5, None)));
        // statistics.stdev([2, 4, 9]) of Python: 3.605551275463989
        let (mean, deviation) = mean_and_deviation(&[2.0, 4.0, 9.0]).unwrap();
        assert!(mean == 5.0 && (deviation.unwrap() - 3.605_551_275_463_989).abs() < 1e-15);
    }
}
