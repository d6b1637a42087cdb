//! How well scores say what labels say: metrics with bootstrap intervals, for stored tracks and plain
//! baselines, by group. Undefined figures are said to be so, never 0 or NaN.

mod baseline;
mod comparison;
mod confusion;
mod curves;
mod features;
mod folds;
mod forest;
mod metric;
pub(crate) mod order;
mod probe;
mod ranking;
pub(crate) mod resample;
mod stored;

pub use self::baseline::Baseline;
pub use self::comparison::{Comparison, ComparisonRow, ScoredColumn};
pub use self::curves::plot_curves;
pub use self::features::{FeatureKind, Features, FeaturesError, stored_features};
pub use self::folds::{CrossValidation, FoldsError};
pub use self::metric::{Bootstrap, Figure as MetricFigure, Metric, Sample};
pub use self::probe::{Probe, ProbeError};
pub use self::ranking::Curves;
pub use self::stored::stored_scores;

#[cfg(test)]
mod tests;
