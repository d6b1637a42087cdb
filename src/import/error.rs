//! What can be wrong with an import.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use vestore_schema::NameError;

use crate::reference::ReferenceError;
use crate::store::StoreError;
use crate::variants::{InputError, PlanError, ReportError, SpillError};

/// Why a file could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing of the file is a row.
    #[error("{} has no variant of the reference with a score, so nothing was imported: {counts}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What became of its records.
        counts: String,
    },
    /// The text cannot be parsed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Parquet cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A column cannot be read as what it should be.
    #[error("{}: {source}", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// A column is not there.
    #[error("{} has no column {wanted}; it has {}", path.display(), known.join(", "))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// Its name, or the names that would do.
        wanted: String,
        /// The columns of the file.
        known: Vec<String>,
    },
    /// No column of the file holds scores.
    #[error("{} has no column of numbers beside the key; name some with --columns", path.display())]
    NoScores {
        /// The file.
        path: PathBuf,
    },
    /// A name that no score column can have.
    #[error(
        "`{name}` is no name for a score column; write letters, digits, `_`, `.`, `+`, `-`, no name of the key, \
         each once; rename with --columns NAME=COLUMN"
    )]
    ColumnName {
        /// As given.
        name: String,
    },
    /// The track has rows already.
    #[error(
        "track `{name}` holds this file already ({rows} rows); remove it with `vestore track remove` to import anew"
    )]
    Present {
        /// The track.
        name: String,
        /// Its rows.
        rows: u64,
    },
    /// A name that cannot be a track's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No row is on a contig of the reference.
    #[error(transparent)]
    Contigs(Box<PlanError>),
    /// Counting failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Temporary files of the sort failed.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Rows are not sorted. Only between the first, hopeful pass and the sort.
    #[error("the rows are not sorted")]
    Unsorted,
}
