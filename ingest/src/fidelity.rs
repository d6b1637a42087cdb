//! How far the scores of one track can stand for those of another: on all rows, and where there are labels.

use thiserror::Error;
use vestore::{ColumnFidelity, Fidelity, LabelledFidelity, PairedFigure, Store, StoreError, Verdict, diff};
use vestore_schema::{Model, Track};

use crate::dataset::Labels;
use crate::encoder::EncoderDefaults;
use crate::evaluate::{Bootstrap, Metric, Sample, stored_scores};

/// Why two tracks cannot be compared.
#[derive(Debug, Error)]
pub enum FidelityError {
    /// A track stands for itself.
    #[error("track `{track}` cannot be its own reference; expected two tracks")]
    SameTrack {
        /// The track.
        track: String,
    },
    /// The tracks share no score column.
    #[error("tracks `{track}` and `{reference}` have no score column in common; they have {} and {}", columns[0].join(", "), columns[1].join(", "))]
    NothingInCommon {
        /// The track.
        track: String,
        /// Its reference.
        reference: String,
        /// Columns of both.
        columns: [Vec<String>; 2],
    },
    /// The labels are numbers.
    #[error(
        "AUROC and AUPRC need labels 0 and 1; name the texts of both classes with --positive and --negative"
    )]
    NoClasses,
    /// The labels say nothing of a column.
    #[error(
        "column `{column}`: the difference of {metric} is {reason}; {rows} labelled variants are scored by both tracks"
    )]
    Undefined {
        /// The column.
        column: String,
        /// The metric.
        metric: Metric,
        /// Why.
        reason: &'static str,
        /// Labelled variants that both score.
        rows: usize,
    },
    /// The store cannot be read, or a track or column is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The columns by which `track` is judged when nobody says: the first of each of its score kinds, as far as
/// `reference` has it, else the first that both have.
fn main_columns(track: &Track, reference: &Track, models: &[Model]) -> Vec<String> {
    let model = models.iter().find(|model| model.name == track.model);
    let defaults = model.and_then(|model| Some(EncoderDefaults::new(model, model.encoder()?)));
    let first_of = |kind: &String| {
        let columns = defaults?.columns(std::slice::from_ref(kind), track.recipe.strands);
        columns.ok()?.into_iter().next()
    };
    let in_both = |column: &String| track.columns.contains(column) && reference.columns.contains(column);
    let found: Vec<String> = track.recipe.scores.iter().filter_map(first_of).filter(in_both).collect();
    if found.is_empty() {
        return track.columns.iter().filter(|column| in_both(column)).take(1).cloned().collect();
    }
    found
}

/// Compares `columns` of `track`, or its main columns without any, with those of `reference`. Takes 8 bytes of memory
/// for each variant compared, one column after the other.
///
/// # Errors
/// When a track or column is unknown, labels are not classes or of one class alone, or the store cannot be read.
pub fn fidelity(
    store: &Store,
    track: &str,
    reference: &str,
    columns: &[String],
    labels: Option<(&Labels, Bootstrap)>,
) -> Result<Fidelity, FidelityError> {
    if track == reference {
        return Err(FidelityError::SameTrack { track: track.to_owned() });
    }
    if labels.is_some_and(|(labels, _)| !labels.are_classes()) {
        return Err(FidelityError::NoClasses);
    }
    let snapshot = store.snapshot()?;
    let (track, reference) = (snapshot.track(track)?, snapshot.track(reference)?);
    let columns =
        if columns.is_empty() { main_columns(track, reference, &snapshot.models) } else { columns.to_vec() };
    if columns.is_empty() {
        return Err(FidelityError::NothingInCommon {
            track: track.name.clone(),
            reference: reference.name.clone(),
            columns: [track.columns.clone(), reference.columns.clone()],
        });
    }
    let mut found = Fidelity {
        track: track.name.clone(),
        track_id: track.id,
        reference: reference.name.clone(),
        reference_id: reference.id,
        in_both: 0,
        only_track: 0,
        only_reference: 0,
        labels: None,
        columns: Vec::new(),
        verdict: Verdict::Undecided,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    for column in &columns {
        let compared = diff(store, [&reference.name, &track.name], column, &[])?;
        let labelled = labels
            .map(|(labels, bootstrap)| {
                labelled(store, [&track.name, &reference.name], column, labels, bootstrap)
            })
            .transpose()?;
        (found.in_both, [found.only_reference, found.only_track]) = (compared.in_both, compared.only);
        found.columns.push(ColumnFidelity::new(&compared, labelled));
    }
    let worst = found.columns.iter().map(|column| column.verdict).max();
    found.verdict = worst.unwrap_or(Verdict::Undecided);
    Ok(found)
}

/// How well a column of a track and of its reference separate the labelled variants that both score.
fn labelled(
    store: &Store,
    tracks: [&str; 2],
    column: &str,
    labels: &Labels,
    bootstrap: Bootstrap,
) -> Result<LabelledFidelity, FidelityError> {
    let [track, reference] = tracks.map(|track| stored_scores(store, &labels.variants, track, column));
    let (track, reference) = (track?, reference?);
    let scored = track.iter().zip(&reference).zip(&labels.labels);
    let scored: Vec<(f64, f64, f64)> =
        scored.filter_map(|((track, reference), label)| Some(((*track)??, (*reference)??, *label))).collect();
    let samples = |sign: f64| {
        let label = || scored.iter().map(|row| row.2).collect();
        let track = scored.iter().map(|row| sign * row.0).collect();
        let reference = scored.iter().map(|row| sign * row.1).collect();
        [Sample::new(track, label(), None), Sample::new(reference, label(), None)]
    };
    let once = vec![1; scored.len()];
    let mut pair = samples(1.0);
    let negated = pair[1].measure(Metric::Auroc, &once).is_some_and(|auroc| auroc < 0.5);
    if negated {
        pair = samples(-1.0);
    }
    let [track, reference] = pair;
    let paired = |metric: Metric| {
        let undefined = |reason| FidelityError::Undefined {
            column: column.to_owned(),
            metric,
            reason,
            rows: scored.len(),
        };
        let figure = track.difference(&reference, metric, bootstrap).ok_or_else(|| undefined("undefined"))?;
        let alone = |sample: &Sample| sample.measure(metric, &once).ok_or_else(|| undefined("undefined"));
        Ok::<_, FidelityError>(PairedFigure {
            difference: figure.estimate.map_err(undefined)?,
            track: alone(&track)?,
            reference: alone(&reference)?,
            low: figure.bounds.map(|bounds| bounds.0),
            high: figure.bounds.map(|bounds| bounds.1),
        })
    };
    Ok(LabelledFidelity {
        rows: scored.len() as u64,
        positives: track.positives() as u64,
        negated,
        auroc: paired(Metric::Auroc)?,
        auprc: paired(Metric::Auprc)?,
    })
}
