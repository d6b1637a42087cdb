//! One kind of the effects of two tracks, compared on one target after the other.

use std::vec;

use vestore_schema::{Region, Table};

use super::{Diff, Joined, Pairs, join, most_pairs};
use crate::narrow::to_usize;
use crate::query::{EffectsError, QueryPlan, Request, chosen};
use crate::store::{Store, StoreError, find};

/// Pairs that are held at once, about, unless those of one target are more.
const HELD_PAIRS: usize = 1 << 25;
/// Most targets that are read at once: about as many as lie in one column of a file.
const MOST_TARGETS: usize = 128;

/// The comparisons of the effects of two tracks, one a target.
pub struct EffectDiffs {
    plan: QueryPlan,
    of: Diff,
    names: Vec<String>,
    /// Those that are not read yet.
    targets: vec::IntoIter<u32>,
    /// Targets that are read at once.
    group: usize,
    /// Read, and to be summarized.
    ready: vec::IntoIter<(u32, Pairs)>,
}

impl EffectDiffs {
    /// Compares the effects of `kind` on the targets that one of `patterns` matches, as [`super::diff`] compares scores.
    /// Reads several targets at once as long as they need less than 256 MB.
    ///
    /// # Errors
    /// When a track is unknown or lacks the kind, the tracks have other targets, no target matches, or the store cannot
    /// be read.
    pub fn new(
        store: &Store,
        tracks: [&str; 2],
        kind: &str,
        patterns: &[String],
        regions: &[Region],
    ) -> Result<Self, EffectsError> {
        let request = Request {
            tracks: tracks.map(str::to_owned).to_vec(),
            regions: regions.to_vec(),
            table: Table::Effects,
            ..Request::default()
        };
        let plan = QueryPlan::new(store, &request)?;
        for track in plan.tracks.iter() {
            find("kind of effect", kind, &track.effect_columns, |known| known)?;
        }
        let plan = plan.with_columns(&[kind])?;
        let names = plan.target_names()?;
        Ok(Self {
            of: Diff { tracks: tracks.map(str::to_owned), column: kind.to_owned(), ..Diff::default() },
            targets: chosen(&names, patterns)?.into_iter(),
            group: (HELD_PAIRS / to_usize(most_pairs(&plan)).max(1)).clamp(1, MOST_TARGETS),
            plan,
            names,
            ready: Vec::new().into_iter(),
        })
    }

    /// Reads the next targets.
    fn read(&mut self) -> Result<(), StoreError> {
        let targets: Vec<u32> = self.targets.by_ref().take(self.group).collect();
        let joined = join(&self.plan.clone().with_chosen(&self.names, &targets), targets.len())?;
        self.of = joined.count(self.of.clone());
        let Joined { pairs, .. } = joined;
        self.ready = targets.into_iter().zip(pairs).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl Iterator for EffectDiffs {
    type Item = Result<Diff, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.len() == 0 && self.targets.len() > 0 {
            if let Err(error) = self.read() {
                self.targets = Vec::new().into_iter();
                return Some(Err(error));
            }
        }
        let (target, pairs) = self.ready.next()?;
        let target = Some(self.names[target as usize].clone());
        Some(Ok(pairs.finish(Diff { target, ..self.of.clone() })))
    }
}
