//! Why scores could not be calibrated.

use thiserror::Error;

use crate::reference::ReferenceError;
use crate::store::StoreError;

/// Why scores could not be calibrated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// The store cannot be read or written, or has no such track or column.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read, which contexts need.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Nothing says which scores are extreme.
    #[error(
        "unknown direction of score `{column}`; state which values are extreme: --direction high, low or magnitude"
    )]
    NoDirection {
        /// The column.
        column: String,
    },
    /// There is nothing to compare with.
    #[error(
        "no score to compare with: {background} of track {track}; score variants of the background first, or choose \
         another one with --background"
    )]
    Empty {
        /// The track.
        track: String,
        /// The background in words.
        background: String,
    },
    /// The column is calibrated with something else.
    #[error("{name} is already calibrated differently: {with}; --replace replaces it")]
    Calibrated {
        /// Track and column.
        name: String,
        /// With what, in words.
        with: String,
    },
    /// The record could not be read again.
    #[error("cannot keep the calibration: {reason}")]
    Record {
        /// What is wrong with it.
        reason: String,
    },
    /// There are too many for a query to hold.
    #[error(
        "track {track} has {most} calibrations, the most that a track can have; remove one with --remove"
    )]
    TooMany {
        /// The track.
        track: String,
        /// The limit.
        most: usize,
    },
    /// The track has a column of that name.
    #[error(
        "track {track} has a score column `{name}`, the name that the calibrated column would have; import it under another name"
    )]
    NameTaken {
        /// The track.
        track: String,
        /// The column.
        name: String,
    },
}
