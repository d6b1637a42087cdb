//! The mean of tracks of one recipe, such as of the replicates of a model, as a track of its own.

mod average;
mod lockstep;

use std::collections::BTreeSet;

use serde_json::Value;
use thiserror::Error;
use vestore_schema::{MAX_AVERAGED, NameError, Segment, Table, Track};

use crate::query::{QueryPlan, Request};
use crate::store::{Store, StoreError, Writer, check_track};
use average::{EffectMeans, Maxima, ScoreMeans};
use lockstep::Lockstep;

/// Most rows of a segment; of rows with effects, whose largest are kept until the scores are written, fewer.
const SEGMENT_ROWS: u64 = 1 << 20;
/// Numbers of effects in a segment, about.
const SEGMENT_NUMBERS: u64 = 1 << 28;

/// Why a mean cannot be taken.
#[derive(Debug, Error)]
pub enum MeanError {
    /// Fewer tracks than have a mean, or more than are read at once.
    #[error("a mean is of 2 to {MAX_AVERAGED} tracks, found {found}; name them with --tracks A,B")]
    Count {
        /// How many were named.
        found: usize,
    },
    /// A track that is named twice.
    #[error("track `{track}` is named twice; name each track once")]
    Twice {
        /// The track.
        track: String,
    },
    /// A track that no model computed.
    #[error("track `{track}` {problem}; expected tracks that a model scored")]
    Kind {
        /// The track.
        track: String,
        /// What it is.
        problem: &'static str,
    },
    /// Tracks of two recipes.
    #[error(
        "tracks `{first}` and `{other}` have different recipes: `{field}` is {first_value} and {other_value}; expected \
         tracks that differ in their model only"
    )]
    Recipe {
        /// One track.
        first: String,
        /// Another.
        other: String,
        /// The first part of the recipe that differs.
        field: String,
        /// What it is in the first.
        first_value: String,
        /// What it is in the other.
        other_value: String,
    },
    /// Tracks whose numbers do not correspond.
    #[error(
        "tracks `{first}` and `{other}` have different {what}; expected tracks of models with the same outputs"
    )]
    Columns {
        /// One track.
        first: String,
        /// Another.
        other: String,
        /// What differs.
        what: &'static str,
    },
    /// A variant that only one track has a row of.
    #[error(
        "only `{has}` has a row of {table} for {variant}, `{lacks}` has none; score the same variants into each track"
    )]
    Rows {
        /// The track with the row.
        has: String,
        /// The track without.
        lacks: String,
        /// The table.
        table: &'static str,
        /// The variant.
        variant: String,
    },
    /// A variant whose rows of scores and of effects are not both there.
    #[error(
        "the tracks have {found} and no {lacking} for {variant}; run the commands that scored them again, which \
         completes them"
    )]
    Table {
        /// The table with a row.
        found: &'static str,
        /// The table without.
        lacking: &'static str,
        /// The variant.
        variant: String,
    },
    /// Tracks without rows.
    #[error("the tracks have no rows; score them first")]
    Empty,
    /// The mean is in the store.
    #[error(
        "track `{name}` has {rows} rows already; remove it first to take the mean again: `vestore track remove STORE {name}`"
    )]
    Present {
        /// Its name.
        name: String,
        /// Its rows of scores.
        rows: u64,
    },
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A mean that was taken.
#[derive(Clone, Debug)]
pub struct MeanTaken {
    /// Its track.
    pub track: Track,
    /// Its rows of scores.
    pub rows: u64,
    /// Those of them with a value missing that some of the tracks have.
    pub incomplete: u64,
    /// Whether the tracks have gene effects, which are not averaged.
    pub has_gene_effects: bool,
}

/// Takes the mean of `tracks` as track `name`, in one transaction. Where they have effects, these are averaged, and the
/// largest absolute effects in the scores are those of the means. `progress` is told the rows done so far.
///
/// # Errors
/// When the tracks do not correspond in recipe, columns and rows, the name is taken, or the store fails.
pub fn mean(
    store: &Store,
    name: &str,
    tracks: &[String],
    purpose: &str,
    mut progress: impl FnMut(u64),
) -> Result<MeanTaken, MeanError> {
    let mut writer = store.writer(purpose)?;
    let snapshot = store.snapshot()?;
    let mut averaged = Vec::with_capacity(tracks.len());
    for name in tracks {
        averaged.push(snapshot.track(name)?.clone());
    }
    check_tracks(&averaged)?;
    // The order of a sum decides its last bits, so it is the same whatever the order of the names.
    averaged.sort_by_key(|track| track.id);
    let track = Track::of_mean(name, &averaged)?;
    let held: Vec<Segment> =
        store.all_segments()?.into_iter().filter(|segment| segment.track == track.name).collect();
    if check_track(&track, &snapshot.tracks)? && !held.is_empty() {
        let scores = held.iter().filter(|segment| segment.table == Table::Scores);
        return Err(MeanError::Present { name: track.name, rows: scores.map(|segment| segment.rows).sum() });
    }
    let started = store.now();
    let names: Vec<String> = averaged.iter().map(|track| track.name.clone()).collect();
    let plan = |table| QueryPlan::new(store, &Request { tracks: names.clone(), table, ..Request::default() });
    let scores = plan(Table::Scores)?.as_stored();
    let effects = if track.effect_columns.is_empty() { None } else { Some(plan(Table::Effects)?) };
    let contigs: BTreeSet<u32> = scores
        .parts
        .iter()
        .chain(effects.iter().flat_map(|plan| &plan.parts))
        .map(|part| part.contig)
        .collect();
    let mut made = Made { track: &track, segments: Vec::new(), rows: 0, incomplete: 0 };
    for contig in contigs {
        let sides = |plan: &QueryPlan| -> Vec<QueryPlan> {
            (0..averaged.len()).map(|track| plan.of_contig(track, contig)).collect()
        };
        let effects = effects.as_ref().map(sides);
        made.contig(&mut writer, contig, &sides(&scores), effects.as_deref(), &mut progress)?;
    }
    let Made { segments, rows, incomplete, .. } = made;
    if rows == 0 {
        return Err(MeanError::Empty);
    }
    let run = store.run_of_one_commit(&track, track.id, "mean", started, rows)?;
    let targets = store.target_names(&Track { targets: track.targets, ..averaged[0].clone() })?;
    writer.commit_track(&track, &targets, &segments, &run)?;
    let has_gene_effects = averaged.iter().any(|track| !track.gene_columns.is_empty());
    Ok(MeanTaken { track, rows, incomplete, has_gene_effects })
}

/// What was written so far.
struct Made<'a> {
    track: &'a Track,
    segments: Vec<Segment>,
    rows: u64,
    incomplete: u64,
}

impl Made<'_> {
    /// Writes the means of one contig. Scores follow the effects segment by segment, because the largest effects of the
    /// means are among them.
    fn contig(
        &mut self,
        writer: &mut Writer,
        contig: u32,
        scores: &[QueryPlan],
        effects: Option<&[QueryPlan]>,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), MeanError> {
        let track = self.track;
        let numbers =
            track.targets.map_or(0, |targets| u64::from(targets.count)) * track.effect_columns.len() as u64;
        let most =
            SEGMENT_NUMBERS.checked_div(numbers).map_or(SEGMENT_ROWS, |rows| rows.clamp(1, SEGMENT_ROWS));
        let mut scores = Lockstep::new(scores, Table::Scores, contig);
        let mut effects = effects.map(|plans| Lockstep::new(plans, Table::Effects, contig));
        loop {
            let mut maxima = None;
            if let Some(effects) = &mut effects {
                let mut means = EffectMeans::new(track, effects, most);
                let segment = writer.write(Table::Effects, track, None, contig, &mut means)?;
                let found = means.finish()?;
                let Some(segment) = segment else { return scores.check_done() };
                self.segments.push(segment);
                maxima = Some(found);
            }
            let most = maxima.as_ref().map_or(most, Maxima::rows);
            let mut means = ScoreMeans::new(track, &mut scores, most, maxima);
            let segment = writer.write(Table::Scores, track, None, contig, &mut means)?;
            self.incomplete += means.finish()?;
            let Some(segment) = segment else { return Ok(()) };
            self.rows += segment.rows;
            self.segments.push(segment);
            progress(self.rows);
        }
    }
}

fn check_tracks(tracks: &[Track]) -> Result<(), MeanError> {
    let ([first, others @ ..], 2..=MAX_AVERAGED) = (tracks, tracks.len()) else {
        return Err(MeanError::Count { found: tracks.len() });
    };
    for (number, track) in tracks.iter().enumerate() {
        if tracks[..number].iter().any(|other| other.id == track.id) {
            return Err(MeanError::Twice { track: track.name.clone() });
        }
        let kind = |problem| Err(MeanError::Kind { track: track.name.clone(), problem });
        if track.external.is_some() {
            return kind("was imported");
        }
        if !track.mean.is_empty() {
            return kind("is a mean itself");
        }
    }
    for other in others {
        let recipes = [first, other].map(|track| serde_json::json!(track.recipe));
        if let Some((field, first_value, other_value)) = difference(&recipes[0], &recipes[1], "") {
            let (first, other) = (first.name.clone(), other.name.clone());
            return Err(MeanError::Recipe { first, other, field, first_value, other_value });
        }
        let same = [
            (first.columns == other.columns, "scores"),
            (first.effect_columns == other.effect_columns, "kinds of effects"),
            (first.targets == other.targets, "targets"),
        ];
        if let Some((_, what)) = same.into_iter().find(|(same, _)| !same) {
            return Err(MeanError::Columns { first: first.name.clone(), other: other.name.clone(), what });
        }
    }
    Ok(())
}

/// The first field in which two values differ, and what each has there.
fn difference(first: &Value, other: &Value, field: &str) -> Option<(String, String, String)> {
    if first == other {
        return None;
    }
    if let (Value::Object(fields), Value::Object(others)) = (first, other) {
        let names: BTreeSet<&String> = fields.keys().chain(others.keys()).collect();
        let dot = if field.is_empty() { "" } else { "." };
        return names.into_iter().find_map(|name| {
            let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
            difference(&of(fields), &of(others), &format!("{field}{dot}{name}"))
        });
    }
    Some((field.to_owned(), first.to_string(), other.to_string()))
}
