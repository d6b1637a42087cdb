//! Segments: immutable Parquet files, each of one table of one track on one contig.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::position::Position;
use crate::variant::Status;

/// The tables that hold rows per variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// One row per variant, a column per score.
    #[default]
    Scores,
    /// One row per variant, pooled reference and alternate-minus-reference vectors.
    Embeddings,
    /// One row per variant and layer, each score's change without the layer.
    Ablation,
    /// One row per variant and gene.
    GeneEffects,
    /// One row per variant, a list per kind of effect with a number per target.
    Effects,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] =
        [Self::Scores, Self::Embeddings, Self::Ablation, Self::GeneEffects, Self::Effects];

    /// Its folder in the store, and its name in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Embeddings => "embeddings",
            Self::Ablation => "ablation",
            Self::GeneEffects => "gene-effects",
            Self::Effects => "effects",
        }
    }

    /// The table that `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == text)
    }
}

/// The folder of retired segments in a store, which nobody reads but those with an older snapshot.
pub const RETIRED_FOLDER: &str = "retired";

/// A segment as the catalog records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Sequence number, never used twice in a store; also the file's name.
    pub number: u64,
    /// Which table it is part of.
    pub table: Table,
    /// Name of its track.
    pub track: String,
    /// Name of its contig.
    pub contig: String,
    /// Rows in the file.
    pub rows: u64,
    /// Position of the first row.
    pub first: Position,
    /// Position of the last row.
    pub last: Position,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub checksum: Digest,
    /// Where its tail begins, which holds the checksums of all before it, and what that must be.
    pub tail: Tail,
    /// Rows per status.
    pub statuses: BTreeMap<Status, u64>,
    /// Numbers of the runs that committed its rows, ascending; [`UNRECORDED_RUN`] stands for those of version 1,
    /// as no number does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<u64>,
}

/// Stands among the runs of a segment for runs before format version 2, which segments did not record.
pub const UNRECORDED_RUN: u64 = 0;

/// The end of a segment's file: page index and footer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Its first byte.
    pub start: u64,
    /// CRC-32 (IEEE) from there to the end.
    pub crc32: u32,
}

impl Segment {
    /// Its file, relative to the store:
    /// `scores/track=<name>/contig=<contig>/<number>.parquet`.
    #[must_use]
    pub fn path(&self) -> String {
        segment_path(self.table, &self.track, &self.contig, self.number)
    }
}

/// The path of a segment's file, relative to the store.
#[must_use]
pub fn segment_path(table: Table, track: &str, contig: &str, number: u64) -> String {
    let (track, contig) = (partition_value(track), partition_value(contig));
    format!("{}/track={track}/contig={contig}/{number:012}.parquet", table.as_str())
}

/// Where the file of a segment lies once no table names it any more, relative to the store, from where it lay.
#[must_use]
pub fn retired_path(path: &str) -> String {
    format!("{RETIRED_FOLDER}/{path}")
}

/// A partition value as it stands in a path: percent-encoded outside `[A-Za-z0-9._-]`.
fn partition_value(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(byte as char);
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string; this is a bug");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_hive_partitions_that_no_contig_name_can_break() {
        assert_eq!(
            segment_path(Table::Scores, "nt.llr+distance.w600", "HLA-A*01:01", 7),
            "scores/track=nt.llr%2Bdistance.w600/contig=HLA-A%2A01%3A01/000000000007.parquet"
        );
        assert_eq!(partition_value("../x y"), "..%2Fx%20y");
    }
}
