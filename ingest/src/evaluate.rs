//! How well scores say what labels say: metrics with bootstrap intervals, for stored tracks and plain
//! baselines, by group. Undefined figures are said to be so, never 0 or NaN.

mod baseline;
mod comparison;
mod confusion;
mod curves;
mod labels;
mod metric;
pub(crate) mod order;
mod ranking;
pub(crate) mod resample;
mod stored;

use std::path::PathBuf;

use thiserror::Error;
use vestore::{ImportError, ReferenceError, StoreError};

pub use self::baseline::Baseline;
pub use self::comparison::{Comparison, ComparisonRow, ScoredColumn};
pub use self::curves::plot_curves;
pub use self::labels::{GroupBy, LabelCounts, LabelRules, Labels};
pub use self::metric::{Bootstrap, Figure as MetricFigure, Metric, Sample};
pub use self::ranking::Curves;
pub use self::stored::stored_scores;

/// Why scores cannot be compared with labels.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The file of labels cannot be read.
    #[error(transparent)]
    Labels(#[from] ImportError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A label that is no number.
    #[error(
        "{}, line {line}: label `{value}` is no number; name the values of both classes with --positive and \
         --negative",
        path.display()
    )]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The label.
        value: String,
    },
    /// No row of the file has a label and a place in the reference.
    #[error("no variant of {} has a label and lies in this store's reference: {counts}", path.display())]
    NoLabels {
        /// The file.
        path: PathBuf,
        /// What became of its rows.
        counts: LabelCounts,
    },
}

#[cfg(test)]
mod tests;
