//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use thiserror::Error;
use vestore_schema::{NameError, VersionError};

/// Why a store could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The reference that is to be copied cannot be read.
    #[error(transparent)]
    Reference(#[from] crate::reference::ReferenceError),
    /// The system refused a call.
    #[error("cannot {action} {}: {reason}{}", path.display(), remedy(reason))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
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
    #[error("the catalog {} has a broken record `{key}`: {reason}; restore it from a backup, or score into a new store", path.display())]
    Record {
        /// The catalog's file.
        path: PathBuf,
        /// Key of the record.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment does not hold what the catalog says.
    #[error(
        "segment {path} of track `{track}`, {range}, is damaged: {reason}; `vestore verify STORE` lists all damage, \
         `vestore verify STORE --drop-damaged` and then the command that made the track recompute those rows alone"
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
    #[error(
        "an earlier write to {} failed; nothing more is written until the store is opened anew: mend what that \
         error names, then give the same command again",
        path.display()
    )]
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
    /// A model that others depend on.
    #[error("model `{name}` is in use by {}; remove {} first", users.join(", "), if users.len() == 1 { "it" } else { "them" })]
    InUse {
        /// The model.
        name: String,
        /// What names it: kind and name of each.
        users: Vec<String>,
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
        move |reason| Self::Io { action, path, reason }
    }

    /// Wraps what Parquet says of a file: an error of the system as such, anything else by `other`.
    pub(crate) fn parquet(
        action: &'static str,
        path: &Path,
        error: ParquetError,
        other: impl FnOnce(ParquetError) -> Self,
    ) -> Self {
        let source = match error {
            ParquetError::External(source) => source,
            error => return other(error),
        };
        match source.downcast::<io::Error>() {
            // A file that is shorter than it says is damaged; the system did its part.
            Ok(reason) if reason.kind() != io::ErrorKind::UnexpectedEof => Self::io(action, path)(*reason),
            Ok(reason) => other(ParquetError::External(reason)),
            Err(source) => other(ParquetError::External(source)),
        }
    }
}

/// Numbers of Linux for errors that have no name in `io::ErrorKind`.
const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// What to do about an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            "; make room, then give the same command again: what was committed stays, and it goes on from there"
        }
        ReadOnlyFilesystem | PermissionDenied => {
            "; a store on a medium that cannot be written can only be queried: copy it to another place"
        }
        _ => match error.raw_os_error() {
            Some(EMFILE | ENFILE) => {
                "; too many files are open: raise the limit (`ulimit -n`) or ask for less at once, then give the \
                 same command again"
            }
            Some(EIO) => {
                "; the disk may be failing: look into the system's log, copy the store to another disk and run \
                 `vestore verify` there"
            }
            _ => "",
        },
    }
}
