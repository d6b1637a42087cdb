//! How good a transferred model's predictions are: along windows, and of the expression of genes.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};
use vestore::GeneTable;

use super::loss::poisson_multinomial;
use super::windows::TransferData;
use crate::coverage::{CoverageFigure, CoverageFigures, CoverageReport, GeneExpression, GeneReport};
use crate::dataset::Split;
use crate::evaluate::Bootstrap;
use crate::train::error::TrainError;
use crate::train::finetune::TuningFigure;

/// How intervals are made.
const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 1000, seed: 0x5eed };

/// Names of the figures of a transfer, the most telling first.
const METRICS: [&str; 4] = ["pearson", "r2", "window_pearson", "window_r2"];

/// Names of the figures of a transfer, the most telling first; more is better of each.
#[must_use]
pub fn transfer_metrics() -> Vec<String> {
    METRICS.map(str::to_owned).to_vec()
}

/// How predictions fit what was measured along held-out windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferFigures {
    /// By target, over bins and over windows.
    pub coverage: CoverageReport,
    /// Of genes within these windows; `None` without a table of genes.
    pub genes: Option<GeneReport>,
}

impl TransferFigures {
    /// The means over targets, as [`transfer_metrics`] names them.
    #[must_use]
    pub fn means(&self) -> Vec<TuningFigure> {
        let mean = &self.coverage.mean;
        let figures = [mean.pearson, mean.r2, mean.window_pearson, mean.window_r2];
        METRICS.into_iter().zip(figures).map(|(metric, figure)| named(metric, figure)).collect()
    }
}

fn named(metric: &str, figure: CoverageFigure) -> TuningFigure {
    let CoverageFigure { value, low, high } = figure;
    let note = if value.is_some() { String::new() } else { "undefined: constant values".to_owned() };
    TuningFigure { metric: metric.to_owned(), value, low, high, note }
}

/// The figures of what `predict` says of each window of a split, [targets, bins]; `None` without such windows.
pub(crate) fn coverage_figures(
    data: &TransferData<'_>,
    split: Split,
    genes: Option<&GeneTable>,
    predict: impl Fn(usize) -> Result<Tensor, TrainError>,
) -> Result<Option<TransferFigures>, TrainError> {
    let windows = data.of(split);
    if windows.is_empty() {
        return Ok(None);
    }
    let input = &data.input;
    let mut coverage = CoverageFigures::new(data.targets());
    let mut expression = genes.map(|genes| GeneExpression::new(input.targets, genes, input.layout));
    for place in windows {
        let predicted = predict(place)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let predicted = Vec::<f32>::try_from(predicted.f_view([-1])?)?;
        if !predicted.iter().all(|value| value.is_finite()) {
            return Err(TrainError::NotFinite { what: "predictions" });
        }
        let measured = data.values(place)?;
        coverage.add(&predicted, &measured);
        if let Some(expression) = &mut expression {
            expression.add(input.sequences.region(place), &predicted, &measured);
        }
    }
    let genes = expression.map(|expression| expression.finish(BOOTSTRAP));
    Ok(Some(TransferFigures { coverage: coverage.finish(BOOTSTRAP), genes }))
}

/// The mean loss of what `predict` says of each window of a split.
pub(crate) fn coverage_loss(
    data: &TransferData<'_>,
    split: Split,
    total_weight: f64,
    predict: impl Fn(usize) -> Result<Tensor, TrainError>,
) -> Result<f64, TrainError> {
    let windows = data.of(split);
    let mut sum = 0.0;
    for place in &windows {
        let predicted = predict(*place)?;
        let measured = data.measured(*place, predicted.device())?;
        sum += poisson_multinomial(&predicted, &measured, total_weight)?.f_double_value(&[])?;
    }
    Ok(sum / windows.len() as f64)
}
