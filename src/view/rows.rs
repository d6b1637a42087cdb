//! The scores of a view, from an answer: the same rows that `query` prints.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use vestore_schema::{Calibration, Region, Scale, Status, Track, Variant};

use super::document::{ColumnView, Numbers, TrackView, Variants, runs};
use super::{MOST_ALLELE_BYTES, MOST_SCORES, ViewError, ViewOptions};
use crate::query::{ANSWER_COLUMNS, Answer, AnswerRows, Places, QueryPlan, Question};
use crate::store::Store;

/// The columns to show: those that were asked for, else the first of each score kind of each track; and their
/// percentiles.
pub(super) fn columns(plan: &QueryPlan, asked: &[String]) -> Result<Vec<String>, ViewError> {
    let mut columns: Vec<String> = Vec::new();
    for column in if asked.is_empty() { main_columns(&plan.tracks) } else { asked.to_vec() } {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let known = || plan.tracks.iter().flat_map(|track| &track.columns);
    if let Some(name) = columns.iter().find(|name| ANSWER_COLUMNS.contains(&name.as_str())) {
        let known: BTreeSet<String> = known().cloned().collect();
        let known = known.into_iter().collect();
        return Err(ViewError::NotAScore { name: name.clone(), known });
    }
    let percentiles: Vec<String> = plan
        .tracks
        .iter()
        .flat_map(|track| columns.iter().filter_map(|column| percentile(track, column)))
        .collect();
    for percentile in percentiles {
        if !columns.contains(&percentile) {
            columns.push(percentile);
        }
    }
    Ok(columns)
}

fn calibration<'a>(track: &'a Track, column: &str) -> Option<&'a Calibration> {
    track.calibrations.iter().find(|calibration| calibration.column == column)
}

/// The column of a track that holds calibrated percentiles of `column`, if there is one.
fn percentile(track: &Track, column: &str) -> Option<String> {
    Some(calibration(track, column)?.name(Scale::Percentile))
}

/// The first column of each score kind of each track; of tracks without kinds, the first column.
fn main_columns(tracks: &[Track]) -> Vec<String> {
    let mut columns = Vec::new();
    for track in tracks {
        let of_kind = |kind: &String| {
            let column = match kind.as_str() {
                "distance" => "l1".to_owned(),
                "classifier" => "probability".to_owned(),
                "regression" => "value".to_owned(),
                "splice" => "splice_max".to_owned(),
                kind => kind.replace('-', "_"),
            };
            [format!("{column}_max_abs"), column].into_iter().find(|name| track.columns.contains(name))
        };
        let found: Vec<String> = track.recipe.scores.iter().filter_map(of_kind).collect();
        if found.is_empty() {
            columns.extend(track.columns.first().cloned());
        }
        columns.extend(found);
    }
    columns
}

/// The rows of one stretch.
pub(super) struct Gathered {
    pub(super) variants: Variants,
    pub(super) tracks: Vec<TrackRows>,
}

/// The rows of one track, by variant.
pub(super) struct TrackRows {
    pub(super) track: Track,
    /// The columns shown that the track has.
    pub(super) columns: Vec<(String, Numbers)>,
    /// One more than the place in [`Status::ALL`]; 0 for no row.
    statuses: Vec<u8>,
}

impl Gathered {
    /// Reads the rows of `region`.
    pub(super) fn read(
        store: &Store,
        region: Region,
        options: &ViewOptions,
        columns: &[String],
    ) -> Result<Self, ViewError> {
        let place = || region.display(store.assembly()).to_string();
        let places = Places { regions: vec![region], asked: true, ..Places::default() };
        let question = Question {
            places,
            tracks: options.tracks.clone(),
            columns: columns.to_vec(),
            ..Question::default()
        };
        let answer = Answer::new(store, question)?;
        let tracks = answer.plan().tracks.iter().map(|track| TrackRows::new(track, columns));
        let mut gathered = Self { variants: Variants::default(), tracks: tracks.collect() };
        for batch in answer.rows(|_| {})? {
            gathered.add(&batch?);
            if gathered.scores() > MOST_SCORES {
                return Err(ViewError::TooManyScores { place: place() });
            }
            if gathered.variants.alleles.bytes > MOST_ALLELE_BYTES {
                let what = "bases in alleles";
                return Err(ViewError::TooMany { place: place(), what, most: MOST_ALLELE_BYTES });
            }
        }
        let is_asked = !options.tracks.is_empty();
        gathered.tracks.retain(|track| !track.columns.is_empty() && (is_asked || !track.statuses.is_empty()));
        if gathered.tracks.iter().all(|track| track.statuses.is_empty()) {
            return Err(ViewError::NoRows { place: place() });
        }
        let variants = gathered.variants.len();
        for track in &mut gathered.tracks {
            track.reach(variants);
        }
        Ok(gathered)
    }

    /// Scores read so far, of tracks that have rows.
    fn scores(&self) -> usize {
        let columns = self.tracks.iter().filter(|track| !track.statuses.is_empty());
        let columns: usize = columns.map(|track| track.columns.len().max(1)).sum();
        self.variants.len().saturating_mul(columns)
    }

    fn add(&mut self, batch: &RecordBatch) {
        let rows = AnswerRows::of(batch);
        for row in 0..batch.num_rows() {
            let (reference, alternate) = rows.keys.alleles(row);
            let one_based = rows.keys.position(row).one_based();
            let one_based = u32::try_from(one_based).unwrap_or(u32::MAX);
            let last = self.variants.len().checked_sub(1);
            if last.is_none_or(|last| self.variants.get(last) != (one_based, reference, alternate)) {
                self.variants.push(one_based, reference, alternate);
            }
            let name = rows.track(row);
            let Some(track) = self.tracks.iter_mut().find(|track| track.track.name == name) else { continue };
            track.reach(self.variants.len());
            let status = (1..).zip(Status::ALL).find(|(_, status)| status.as_str() == rows.status(row));
            if let (Some(last), Some((code, _))) = (track.statuses.last_mut(), status) {
                *last = code;
            }
            for (column, numbers) in &mut track.columns {
                let value = rows.score(column, row).map(Numbers::of_score);
                if let (Some(last), Some(value)) =
                    (numbers.0.last_mut(), value.or_else(|| rows.scale(column, row)))
                {
                    *last = value;
                }
            }
        }
    }

    /// The place of a variant.
    pub(super) fn index_of(&self, variant: &Variant) -> Option<usize> {
        let one_based = u32::try_from(variant.position.one_based()).ok()?;
        self.variants.find((one_based, &variant.reference, &variant.alternate))
    }

    /// Texts of the statuses, by their code.
    pub(super) fn statuses() -> Vec<&'static str> {
        std::iter::once("").chain(Status::ALL.into_iter().map(Status::as_str)).collect()
    }

    /// The bases of `region` that reference alleles of scored SNVs state; `.` for others.
    pub(super) fn known_bases(&self, region: Region) -> String {
        let mut bases = vec![b'.'; region.len() as usize];
        let scored = Status::ALL.iter().position(|status| *status == Status::Scored).unwrap_or(0) + 1;
        for index in 0..self.variants.len() {
            let (one_based, reference, _) = self.variants.get(index);
            let is_scored = |track: &TrackRows| usize::from(track.statuses[index]) == scored;
            let at = one_based.checked_sub(region.start + 1).map(|at| at as usize);
            if let (Some(at), true) = (at, self.tracks.iter().any(is_scored)) {
                for (base, known) in bases.iter_mut().skip(at).zip(reference.bytes()) {
                    *base = known;
                }
            }
        }
        String::from_utf8_lossy(&bases).into_owned()
    }

    /// The tracks as a page holds them.
    pub(super) fn track_views(
        &self,
        provenance: impl Fn(&Track) -> Result<Vec<(&'static str, String)>, ViewError>,
    ) -> Result<Vec<TrackView>, ViewError> {
        let view = |rows: &TrackRows| {
            let TrackRows { track, columns, statuses } = rows;
            let column = |(name, values): &(String, Numbers)| {
                let stated = calibration(track, name).map(|calibration| calibration.direction);
                let meaning = track.meaning(name);
                ColumnView {
                    name: name.clone(),
                    direction: stated.or(meaning.map(|meaning| meaning.direction)),
                    meaning: meaning.map(|meaning| meaning.sentence),
                    percentile: percentile(track, name),
                    values: values.clone(),
                }
            };
            Ok(TrackView {
                name: track.name.clone(),
                columns: columns.iter().map(column).collect(),
                status: runs(statuses),
                provenance: provenance(track)?,
            })
        };
        self.tracks.iter().map(view).collect()
    }
}

impl TrackRows {
    fn new(track: &Track, columns: &[String]) -> Self {
        let has = |name: &&String| track.scores().any(|(known, _)| known == **name);
        let columns = columns.iter().filter(has).map(|name| (name.clone(), Numbers::default())).collect();
        Self { track: track.clone(), columns, statuses: Vec::new() }
    }

    /// Makes room for `variants`, which have no row.
    fn reach(&mut self, variants: usize) {
        self.statuses.resize(variants, 0);
        for (_, numbers) in &mut self.columns {
            numbers.0.resize(variants, f64::NAN);
        }
    }
}
