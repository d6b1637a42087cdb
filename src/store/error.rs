//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore_schema::{NameError, VersionError};

/// Why a store could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused a call.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no store at the place.
    #[error("{} is no vestore store (it has no catalog.redb); make one with `vestore init {} --reference REF.fa`", path.display(), path.display())]
    NotAStore {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// `init` found something at the place.
    #[error("{} already exists; choose another place, or remove it if you mean to start anew", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Another process writes.
    #[error("{} is being written by {holder}; wait for it to end, or stop it", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// Who holds the lock: command, process id, host.
        holder: String,
    },
    /// The store or a file of it is in a format that this program does not know.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A name that cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The catalog does not answer.
    #[error("the catalog {} cannot be read: {source}; restore it from a backup, or score into a new store", path.display())]
    Catalog {
        /// The catalog's file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<redb::Error>,
    },
    /// A record of the catalog is not what it should be.
    #[error("the catalog {} has a broken record `{key}`: {source}", path.display())]
    Record {
        /// The catalog's file.
        path: PathBuf,
        /// Key of the record.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A segment does not hold what the catalog says.
    #[error(
        "segment {path} of track `{track}`, {range}, is damaged: {reason}; `vestore verify` lists all damage, \
         `vestore track remove` and scoring again recompute it"
    )]
    Damaged {
        /// Relative to the store.
        path: String,
        /// Track it belongs to.
        track: String,
        /// Contig and positions, 1-based, as a region.
        range: String,
        /// What is wrong.
        reason: String,
    },
    /// A write failed before; what is on disk is in doubt.
    #[error("an earlier write to {} failed; nothing more is written until the store is opened anew", path.display())]
    Poisoned {
        /// The store.
        path: PathBuf,
    },
    /// No model or track has the name.
    #[error("the store has no {kind} `{name}`; it has {}", if known.is_empty() { "none yet".to_owned() } else { known.join(", ") })]
    Unknown {
        /// `model` or `track`.
        kind: &'static str,
        /// As given.
        name: String,
        /// Names in the store.
        known: Vec<String>,
    },
    /// Embeddings of models of different widths cannot stand in one column.
    #[error(
        "embeddings of track `{first}` have {first_width} numbers, those of `{other}` {other_width}; choose one \
         with --track"
    )]
    MixedWidths {
        /// One track.
        first: String,
        /// Numbers in its embeddings.
        first_width: u32,
        /// Another track.
        other: String,
        /// Numbers in its embeddings.
        other_width: u32,
    },
    /// A name or an identity is taken.
    #[error("{kind} `{name}` cannot be added: {reason}")]
    Conflict {
        /// `model` or `track`.
        kind: &'static str,
        /// As given.
        name: String,
        /// What stands against it, and what to do.
        reason: String,
    },
    /// Rows that break the order or the schema of their table.
    #[error("Arrow or Parquet refused the data of a segment: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrays that do not fit together.
    #[error("Arrow refused the data of a segment: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl StoreError {
    /// Wraps a system error with what was tried.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
