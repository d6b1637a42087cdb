//! Measured coverage to train regulatory models on: which files, which windows of the genome, and the values of their
//! bins as Baskerville computes them, but for two things: values are kept as float32 and not cut to the range of
//! float16, and blacklisted bins are left out, where Baskerville lowers them to a median.

mod bigwig;
mod cache;
mod error;
mod form;
mod left_out;
mod sequences;
mod source;
mod spool;
mod targets;
#[cfg(test)]
mod tests;
mod tile;
mod transform;
mod values;

pub use error::CoverageError;
pub use sequences::{Sequence, Sequences};
pub use targets::CoverageTargets;
pub use tile::{RandomSplit, TileOptions};
pub use values::{BinLayout, CoverageInput, CoverageValues, TargetCoverage};
