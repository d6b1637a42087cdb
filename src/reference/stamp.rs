//! What tells that a file is still the one that was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A file changed less than this many nanoseconds ago may change once more without another stamp: the times of
/// files move in steps of up to 10 ms.
const STEP: i128 = 20_000_000;

/// Identity, size and times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Unix nanoseconds of the last change of its content.
    modified: i128,
    /// Unix nanoseconds of the last change of content, name or rights; programs cannot set it.
    changed: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it is the same file with the same content, as far as its times tell. Links and rights may have
    /// changed meanwhile.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        let content = |stamp: &Self| (stamp.device, stamp.inode, stamp.size, stamp.modified);
        content(self) == content(other)
    }

    /// Whether any later change of the file will show in its stamp.
    pub(super) fn is_settled(&self) -> bool {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed());
        self.changed.max(self.modified) + STEP < now
    }
}

/// The stamps of a FASTA and of the indexes through which it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamps {
    pub(super) fasta: Stamp,
    pub(super) fai: Option<Stamp>,
    /// Of BGZF alone.
    pub(super) gzi: Option<Stamp>,
}

impl Stamps {
    pub(super) fn are_settled(&self) -> bool {
        [Some(self.fasta), self.fai, self.gzi].iter().flatten().all(Stamp::is_settled)
    }
}
