//! Measured coverage to train regulatory models on: which files, which windows of the genome, and the values of their
//! bins as Baskerville computes them; how well predictions fit them; and what counts of k-mers predict.
//!
//! Values differ from Baskerville's in three things. Coverage and values are never float16. No value is cut to the
//! 99.99999th percentile of its target. Bins that touch the blacklist are left out, where Baskerville lowers the bases
//! within 20 of it to the median of their window.

mod baseline;
mod bigwig;
mod cache;
mod error;
mod figures;
mod form;
mod genes;
mod left_out;
mod moments;
mod quantiles;
mod resampled;
mod sequences;
mod source;
mod spool;
mod targets;
#[cfg(test)]
mod tests;
mod tile;
mod transform;
mod values;

pub use baseline::{KmerBaseline, KmerSums};
pub use error::CoverageError;
pub use figures::{CoverageFigures, CoverageReport, TargetFigures};
pub use genes::{GeneExpression, GeneGroupFigures, GeneReport, GeneTargetFigures};
pub use resampled::CoverageFigure;
pub use sequences::{Folds, Sequence, Sequences};
pub use targets::CoverageTargets;
pub use tile::{RandomSplit, TileOptions};
pub use values::{BinLayout, CoverageInput, CoverageValues, TargetCoverage};
