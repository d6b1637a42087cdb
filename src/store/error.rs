//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use thiserror::Error;
use vestore_schema::{NameError, Status, UNRECORDED_RUN, VersionError};

use super::Store;

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
    #[error("not a vestore store: {} (no catalog.redb); make one with `vestore init {} --reference REF.fa`", path.display(), path.display())]
    NotAStore {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The catalog has another calibration than when it was first read.
    #[error("the calibration of {track}.{column} was replaced meanwhile; rerun")]
    Recalibrated {
        /// The track.
        track: String,
        /// Its column.
        column: String,
    },
    /// A file of a published store is not there.
    #[error(
        "incomplete copy of a published store: missing {}; upload again (or open it again, if it was published anew \
         meanwhile)",
        path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
    },
    /// A file of a published store is another one than was published.
    #[error("damaged copy of a published store: {}: {reason}; upload again, vestore.json last", path.display())]
    DamagedCopy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A published store cannot be changed.
    #[error(
        "{} is a published store, which is read-only; change the store that it was published from, then publish again",
        path.display()
    )]
    Published {
        /// The published store.
        path: PathBuf,
    },
    /// `publish` found something at the place that is not a published store.
    #[error("cannot publish into {}: it is neither empty nor a published store; choose another folder", path.display())]
    Unpublished {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the store cannot be published.
    #[error(
        "cannot publish {path}: {reason}; publish again if the store was compacted meanwhile, else `vestore verify \
         STORE` lists all damage"
    )]
    Unpublishable {
        /// Relative to the store.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `publish` found what was published from another store.
    #[error(
        "cannot publish into {}: it was published from another store ({reason}); choose another folder",
        path.display()
    )]
    OtherPublished {
        /// The folder.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Somebody else publishes into the same folder.
    #[error("{} is being published by another process; wait for it to end", path.display())]
    Publishing {
        /// The folder.
        path: PathBuf,
    },
    /// There is no published store at an address.
    #[error(
        "no published store at {}: no vestore.json (HTTP 404); publish one with `vestore publish STORE DIR` and upload \
         DIR, vestore.json last",
        path.display()
    )]
    NotPublished {
        /// The address.
        path: PathBuf,
    },
    /// The place of a shard is taken by something else.
    #[error("{} cannot hold this shard: {reason}; choose another folder with --output, or remove it", path.display())]
    OtherShard {
        /// The place.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// `init` found something at the place.
    #[error("{} already exists; choose another place, or remove it if you mean to start anew", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Two tracks share more variants than their comparison can rank.
    #[error("the tracks have more than {most} variants in common; compare them region by region")]
    TooManyPairs {
        /// Pairs that can be ranked.
        most: usize,
    },
    /// Rows are to be sorted that take too much memory.
    #[error(
        "the rows to be sorted take more than {} MB; ask for fewer with --limit, a region, a condition or --columns",
        most >> 20
    )]
    TooManyToSort {
        /// Bytes of rows that are sorted at most.
        most: usize,
    },
    /// Positions of a contig that do not fit into its tables.
    #[error(
        "contig `{contig}` is too long: {length} bases; expected at most {} per contig, so split it in the reference \
         and in the variants",
        i32::MAX
    )]
    ContigTooLong {
        /// Its name.
        contig: String,
        /// Its bases.
        length: u32,
    },
    /// Another process writes.
    #[error("{} is being written by {holder}; wait for it to end, or stop it", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// Who holds the lock: command, process id, host.
        holder: String,
    },
    /// Another process does not end its commit.
    #[error(
        "the catalog of {} is locked by {holder}, which does not end its commit; continue or stop that process, or \
         read the last committed state with `--last-committed` (query, info, export)",
        path.display()
    )]
    Busy {
        /// The store.
        path: PathBuf,
        /// Who holds the writer's lock: command, process id, host.
        holder: String,
    },
    /// The store or a file of it is in a format that this program does not know.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A name that cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The catalog does not answer.
    #[error("the catalog {} cannot be read; restore it from a backup, or score into a new store", path.display())]
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
    /// The file of a gene table does not hold what the catalog says.
    #[error("the gene table {} is damaged: {reason}; add it again with `vestore genes add`", path.display())]
    Genes {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A write failed before; what is on disk is in doubt.
    #[error(
        "an earlier write to {} failed; nothing more is written until the store is opened anew: fix that \
         error and rerun",
        path.display()
    )]
    Poisoned {
        /// The store.
        path: PathBuf,
    },
    /// The file of the writer's lock is gone, or another has its name: someone else may write.
    #[error(
        "{} was removed or replaced while this command held it; another command may be writing to the store, so \
         nothing more was committed: check that none is running, then rerun",
        path.display()
    )]
    LockLost {
        /// The lock file.
        path: PathBuf,
    },
    /// No model or track has the name.
    #[error("the store has no {kind} `{name}`; it has {}", if known.is_empty() { "none yet".to_owned() } else { known.join(", ") })]
    Unknown {
        /// `model`, `track`, `report` or `study`.
        kind: &'static str,
        /// As given.
        name: String,
        /// Names in the store.
        known: Vec<String>,
    },
    /// A track has no such run.
    #[error(
        "track `{track}` has no run {run}{}; expected {}",
        of.as_ref().map(|of| format!(", which wrote track `{of}`")).unwrap_or_default(),
        runs(known)
    )]
    RunOfTrack {
        /// The track.
        track: String,
        /// Number of the run.
        run: u64,
        /// The track that it wrote, when there is such a run.
        of: Option<String>,
        /// Runs of the track.
        known: Vec<u64>,
    },
    /// Rows of one run stand in segments together with others.
    #[error(
        "rows of run {run} cannot be removed from track `{track}` alone: its segments hold them together with those \
         of {}; remove the rows of one status (`--status`), or the whole track, and score it again",
        runs(with)
    )]
    SharedRun {
        /// The track.
        track: String,
        /// Number of the run.
        run: u64,
        /// The other runs.
        with: Vec<u64>,
    },
    /// A track has no row of a status.
    #[error(
        "track `{track}` has no row of status `{status}`; it has {}",
        if known.is_empty() { "no rows".to_owned() } else { known.iter().copied().map(Status::as_str).collect::<Vec<_>>().join(", ") }
    )]
    NoStatus {
        /// The track.
        track: String,
        /// The status.
        status: Status,
        /// Those that its rows have.
        known: Vec<Status>,
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
    /// Effects on different targets cannot stand in one column.
    #[error(
        "effects of track `{first}` are of other targets than those of `{other}`; choose tracks of the same targets"
    )]
    MixedTargets {
        /// One track.
        first: String,
        /// Another track.
        other: String,
    },
    /// A name or an identity is taken.
    #[error("{kind} `{name}` cannot be added: {reason}")]
    Conflict {
        /// `model`, `track`, `report` or `study`.
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
    #[error("Arrow or Parquet refused the data of a segment")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrays that do not fit together.
    #[error("Arrow refused the data of a segment")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl StoreError {
    /// The same of what `store` holds: damage to a published store is another matter than damage to one that is written.
    pub(crate) fn of_store(self, store: &Store) -> Self {
        match self {
            Self::Damaged { path, reason, .. } if store.is_published() => {
                Self::DamagedCopy { path: store.root().join(path), reason }
            }
            error => error,
        }
    }

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

/// Runs by their numbers.
fn runs(numbers: &[u64]) -> String {
    let text = |number: &u64| match *number {
        UNRECORDED_RUN => "runs that format version 1 did not record".to_owned(),
        number => format!("run {number}"),
    };
    if numbers.is_empty() {
        "none yet".to_owned()
    } else {
        numbers.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

/// Numbers of Linux for errors that have no name in `io::ErrorKind`.
const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// What to do about an error of the system with a file of a store.
fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        ReadOnlyFilesystem | PermissionDenied => "; the store is read-only: copy it to modify it",
        _ => shortage(error).unwrap_or_default(),
    }
}

/// What to do about what the system lacks, whichever file it was.
fn shortage(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match (error.kind(), number(error)) {
        (StorageFull | QuotaExceeded | FileTooLarge, _) => Some(
            "; make room, then rerun the same command: what was committed stays, and it continues from there",
        ),
        (_, Some(EMFILE | ENFILE)) => Some(
            "; too many files are open: raise the limit (`ulimit -n`) or ask for less at once, then rerun the \
             same command",
        ),
        (_, Some(EIO)) => Some(
            "; the disk may be failing: look into the system's log, copy what it holds to another disk and run \
             `vestore verify` on its stores there",
        ),
        _ => None,
    }
}

/// The system's number of an error. The tempfile crate puts a path around an error and leaves the number in its text
/// alone.
fn number(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        let text = error.to_string();
        text.split_once("(os error ")?.1.split_once(')')?.0.parse().ok()
    })
}

/// What to do about an error that came from what the system lacks (room, open files, a sound disk), in words to put
/// behind the error; nothing where its own message says so already, or it is another error.
#[must_use]
pub fn remedy_of(error: &(dyn std::error::Error + 'static)) -> &'static str {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|cause| cause.downcast_ref().and_then(shortage))
        .unwrap_or_default()
}
