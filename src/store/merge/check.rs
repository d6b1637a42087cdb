//! Whether sources can be merged into a store, together.

use std::collections::HashSet;

use vestore_schema::{Digest, Run};

use super::overlap::{self, There};
use super::source::{Part, Source};
use super::{MergeError, in_source};
use crate::store::{Store, check_model, check_track};

/// Sources that can be merged.
pub(super) struct Checked {
    pub(super) new: Vec<Source>,
    /// Of each, the variants that are in the store already, where that is no contradiction.
    pub(super) there: Vec<There>,
    /// Sources that need not be merged.
    pub(super) known: u64,
}

pub(super) fn check(store: &Store, sources: Vec<Source>, partial: bool) -> Result<Checked, MergeError> {
    let snapshot = store.snapshot()?;
    let runs = store.runs()?;
    let merged: HashSet<Digest> = runs.iter().filter_map(|run| run.merged).collect();
    let (mut models, mut tracks) = (snapshot.models, snapshot.tracks);
    let (mut new, mut known): (Vec<Source>, u64) = (Vec::new(), 0);
    let segments = store.all_segments()?;
    let numbers: HashSet<u64> = segments.iter().flat_map(|segment| &segment.runs).copied().collect();
    // A run whose rows were removed stays in the catalog.
    let has_rows = |run: &&Run| run.variants == Some(0) || numbers.contains(&run.number);
    let before: Vec<Part> =
        runs.iter().filter(|run| run.merged.is_some()).filter(has_rows).filter_map(Part::of).collect();
    let parts: Vec<Part> = sources.iter().flat_map(|source| source.parts.clone()).collect();
    for source in sources {
        for model in &source.models {
            in_source(&source.path, check_model(model, &models))?;
        }
        for track in &source.tracks {
            in_source(&source.path, check_track(track, &tracks))?;
        }
        // A shard may have been compacted since; what its rows are follows from the plan and the track.
        let is_same = |other: &Source| {
            (other.digest == source.digest && !source.segments.is_empty())
                || (other.part.is_some() && other.part == source.part)
        };
        let of_others = |run: &Run| run.merged.is_some_and(|digest| merged.contains(&digest));
        let was_merged = merged.contains(&source.digest)
            || source.part.as_ref().is_some_and(|part| before.contains(part))
            || !source.runs.is_empty() && source.runs.iter().all(of_others);
        if new.iter().any(is_same) || was_merged && overlap::is_there(store, &source)? {
            known += 1;
            continue;
        }
        models.extend(
            source.models.iter().filter(|model| !models.contains(model)).cloned().collect::<Vec<_>>(),
        );
        tracks.extend(
            source
                .tracks
                .iter()
                .filter(|track| !tracks.iter().any(|known| known.is_record_of(track)))
                .cloned()
                .collect::<Vec<_>>(),
        );
        new.push(source);
    }
    if !partial {
        check_missing(&parts, &before)?;
    }
    let there = overlap::check(store, &new)?;
    Ok(Checked { new, there, known })
}

/// Refuses shards of which others are missing.
fn check_missing(given: &[Part], before: &[Part]) -> Result<(), MergeError> {
    for part in given {
        let there: HashSet<u32> = given
            .iter()
            .chain(before)
            .filter(|other| part.is_beside(other))
            .map(|other| other.shard.part)
            .collect();
        let missing: Vec<_> = part.shard.all().filter(|shard| !there.contains(&shard.part)).collect();
        if !missing.is_empty() {
            return Err(MergeError::Missing { track: part.track.clone(), missing });
        }
    }
    Ok(())
}
