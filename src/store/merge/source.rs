//! A store whose rows are taken.

use std::collections::BTreeMap;
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
    /// Where it is a shard.
    pub(super) part: Option<Part>,
    /// The shards whose rows it has: itself, or those that were merged into it.
    pub(super) parts: Vec<Part>,
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
    pub(super) embeddings: bool,
    pub(super) shard: Shard,
}

impl Part {
    pub(super) fn of(run: &Run) -> Option<Self> {
        let Run { plan, table, embeddings, .. } = *run;
        Some(Self { plan, track: run.track.clone(), table, embeddings, shard: run.shard? })
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
        // Of one moment: somebody may be writing it.
        let read = opened.catalog.read(|catalog| {
            Ok((catalog.models()?, catalog.tracks()?, catalog.runs()?, catalog.all_segments()?))
        });
        let (models, tracks, runs, all) = in_source(path, read)?;
        let mut segments = Vec::new();
        for segment in all {
            let here = opened.contig_index(&segment.contig);
            let there = here.and_then(|here| counterpart(&opened, here, store));
            let Some(contigs) = here.zip(there) else {
                return Err(MergeError::Contig { path: path.to_owned(), contig: segment.contig });
            };
            segments.push(Found { segment, contigs: contigs.into() });
        }
        check_contigs(path, &opened, &segments)?;
        let part = own_part(path, &runs)?;
        if let Some(part) = &part {
            check_whole(path, part, &runs, &segments)?;
        }
        let mut parts: Vec<Part> =
            runs.iter().filter(|run| run.merged.is_some()).filter_map(Part::of).collect();
        parts.extend(part.clone());
        let digest = digest_of(&opened, &segments, part.as_ref());
        Ok(Self { path: path.to_owned(), store: opened, models, tracks, runs, segments, digest, part, parts })
    }
}

/// The shard that a store is; none of a store that is not one.
fn own_part(path: &Path, runs: &[Run]) -> Result<Option<Part>, MergeError> {
    let own: Vec<&Run> = runs.iter().filter(|run| run.merged.is_none()).collect();
    let Some(part) = own.iter().rev().find_map(|run| Part::of(run)) else { return Ok(None) };
    // Embeddings may have been added to scores.
    let is_of_part =
        |run: &&Run| Part::of(run).is_some_and(|other| Part { embeddings: part.embeddings, ..other } == part);
    if own.len() == runs.len() && own.iter().all(is_of_part) {
        return Ok(Some(part));
    }
    Err(MergeError::Mixed { path: path.to_owned(), shard: part.shard })
}

/// Refuses two contigs whose rows would be of one contig of the store.
fn check_contigs(path: &Path, source: &Store, segments: &[Found]) -> Result<(), MergeError> {
    let mut taken = BTreeMap::new();
    for Found { contigs: [here, there], .. } in segments {
        let first = *taken.entry(*there).or_insert(*here);
        if first != *here {
            let name = |contig: u32| source.assembly().contig(contig).name.clone();
            return Err(MergeError::Alike { path: path.to_owned(), first: name(first), second: name(*here) });
        }
    }
    Ok(())
}

/// Refuses a shard without the rows of all its variants.
fn check_whole(path: &Path, part: &Part, runs: &[Run], segments: &[Found]) -> Result<(), MergeError> {
    let scores = segments.iter().filter(|found| found.segment.table == Table::Scores);
    let rows: u64 = scores.map(|found| found.segment.rows).sum();
    let variants = runs.iter().find_map(|run| run.variants).unwrap_or(0);
    if rows == variants && runs.last().is_some_and(|run| run.finished.is_some()) {
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
        let embeddings = if part.embeddings { " embeddings" } else { "" };
        lines.push(format!(
            "{} {} {} {}{embeddings}",
            part.plan,
            part.track,
            part.table.as_str(),
            part.shard
        ));
    }
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    <[u8; 32]>::from(hash.finalize()).into()
}
