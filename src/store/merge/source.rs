//! A store whose rows are taken.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use vestore_schema::{Digest, Model, Run, Segment, Shard, Table, Track};

use super::{MergeError, in_source, is_same};
use crate::store::Store;

/// What is taken of it.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) store: Store,
    pub(super) models: Vec<Model>,
    pub(super) tracks: Vec<Track>,
    pub(super) runs: Vec<Run>,
    pub(super) segments: Vec<Found>,
    /// Of all its rows and what they were made of, wherever it lies.
    pub(super) digest: Digest,
    /// Where it is one.
    pub(super) part: Option<Part>,
}

/// A segment of a source.
pub(super) struct Found {
    pub(super) segment: Segment,
    /// Its contig in the source, and in the store.
    pub(super) contigs: [u32; 2],
}

/// Part of a plan.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) plan: Digest,
    pub(super) track: String,
    pub(super) table: Table,
    pub(super) shard: Shard,
}

impl Part {
    pub(super) fn of(run: &Run) -> Option<Self> {
        Some(Self { plan: run.plan, track: run.track.clone(), table: run.table, shard: run.shard? })
    }

    /// Whether both are parts of one plan, cut into as many.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let shard = Shard { part: other.shard.part, ..self.shard };
        Self { shard, ..self.clone() } == *other
    }
}

impl Source {
    /// Opens a source for `store`, and checks what can be without other sources.
    pub(super) fn open(store: &Store, path: &Path) -> Result<Self, MergeError> {
        if is_same(store, path) {
            return Err(MergeError::Itself { path: path.to_owned() });
        }
        let opened = in_source(path, Store::open(path))?;
        let read = || Ok((opened.snapshot()?, opened.runs()?, opened.all_segments()?));
        let (snapshot, runs, all) = in_source(path, read())?;
        let mut segments = Vec::new();
        for segment in all {
            let here = opened.contig_index(&segment.contig);
            let there = here.and_then(|here| counterpart(&opened, here, store));
            let Some(contigs) = here.zip(there) else {
                return Err(MergeError::Contig { path: path.to_owned(), contig: segment.contig });
            };
            segments.push(Found { segment, contigs: contigs.into() });
        }
        // Runs of a shard that were merged into this store are those of a whole store.
        let own = runs.iter().filter(|run| run.merged.is_none()).find_map(Part::of);
        let part = own.filter(|part| runs.iter().all(|run| Part::of(run).as_ref() == Some(part)));
        if let Some(part) = &part {
            check_whole(path, part, &runs, &segments)?;
        }
        let digest = digest_of(&opened, &segments, part.as_ref());
        let (models, tracks) = (snapshot.models, snapshot.tracks);
        Ok(Self { path: path.to_owned(), store: opened, models, tracks, runs, segments, digest, part })
    }
}

/// Refuses a shard without the rows of all its variants.
fn check_whole(path: &Path, part: &Part, runs: &[Run], segments: &[Found]) -> Result<(), MergeError> {
    let scores = segments.iter().filter(|found| found.segment.table == Table::Scores);
    let rows: u64 = scores.map(|found| found.segment.rows).sum();
    let variants = runs.iter().find_map(|run| run.variants).unwrap_or(0);
    if rows == variants && runs.iter().any(|run| run.finished.is_some()) {
        return Ok(());
    }
    Err(MergeError::Incomplete { path: path.to_owned(), shard: part.shard })
}

/// The contig of `to` with the bases of contig `here` of `from`: that of the same name where there are several.
fn counterpart(from: &Store, here: u32, to: &Store) -> Option<u32> {
    let contig = from.assembly().contig(here);
    let same = |index: u32| to.assembly().contig(index).digest == contig.digest;
    let named = to.contig_index(&contig.name).filter(|index| same(*index));
    named.or_else(|| (0..).zip(&to.assembly().contigs).map(|(index, _)| index).find(|index| same(*index)))
}

fn digest_of(store: &Store, segments: &[Found], part: Option<&Part>) -> Digest {
    let mut lines: Vec<String> = segments
        .iter()
        .map(|Found { segment, contigs }| {
            let contig = &store.assembly().contig(contigs[0]).digest;
            format!("{} {} {contig} {}", segment.table.as_str(), segment.track, segment.checksum)
        })
        .collect();
    lines.sort_unstable();
    if let Some(part) = part {
        lines.push(format!("{} {} {} {}", part.plan, part.track, part.table.as_str(), part.shard));
    }
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    <[u8; 32]>::from(hash.finalize()).into()
}
