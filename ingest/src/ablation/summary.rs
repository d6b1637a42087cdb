//! What an ablation says about a model's layers: how much each matters to a score, over all variants.

mod plot;
mod rows;
mod statistics;

use serde::Serialize;
use thiserror::Error;
use vestore::{Store, StoreError};
use vestore_schema::{LayerRecord, Table, Track};

pub use plot::plot;
pub use statistics::{Figure, Figures};

/// Why an ablation cannot be summarized.
#[derive(Debug, Error)]
pub enum SummaryError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The track has no ablation.
    #[error(
        "track `{track}` has no ablation; run `vestore ablate` first{}",
        if others.is_empty() { String::new() } else { format!("; tracks with one: {}", others.join(", ")) }
    )]
    NoAblation {
        /// Name of the track.
        track: String,
        /// Tracks that have one.
        others: Vec<String>,
    },
    /// The track has no such score.
    #[error("track `{track}` has no score `{column}`; its scores are {}", columns.join(", "))]
    NoColumn {
        /// Name of the track.
        track: String,
        /// As asked.
        column: String,
        /// What it has.
        columns: Vec<String>,
    },
    /// No variant has the score and all its changes.
    #[error("no variant of track `{track}` has a score `{column}` and its change without every layer")]
    NoVariant {
        /// Name of the track.
        track: String,
        /// The score.
        column: String,
    },
}

/// What an ablation says about all layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The track.
    pub track: String,
    /// Its model.
    pub model: String,
    /// The score that is looked at.
    pub column: String,
    /// What of each layer was left out.
    pub part: String,
    /// Variants with the score and all its changes.
    pub variants: u64,
    /// Variants without.
    pub left_out: u64,
    /// By layer.
    pub layers: Vec<LayerSummary>,
}

/// What an ablation says about one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Original number.
    pub layer: u32,
    /// Over variants.
    #[serde(flatten)]
    pub figures: Figures,
    /// Block influence, from the hidden states of the same passes.
    pub block_influence: Option<f64>,
    /// Angular distance in half turns, from the same.
    pub angular_distance: Option<f64>,
}

impl Summary {
    /// Original numbers of the layers by rising mean magnitude of the change: what matters least first.
    #[must_use]
    pub fn least_first(&self) -> Vec<u32> {
        let magnitude =
            |layer: &LayerSummary| layer.figures.mean_magnitude.map_or(f64::MAX, |figure| figure.value);
        let mut layers: Vec<&LayerSummary> = self.layers.iter().collect();
        layers.sort_by(|a, b| magnitude(a).total_cmp(&magnitude(b)).then(a.layer.cmp(&b.layer)));
        layers.into_iter().map(|layer| layer.layer).collect()
    }
}

/// Names of the tracks that have an ablation.
///
/// # Errors
/// When the catalog cannot be read.
pub fn ablated_tracks(store: &Store) -> Result<Vec<String>, StoreError> {
    let segments = store.all_segments()?;
    let mut tracks: Vec<String> = segments
        .into_iter()
        .filter(|segment| segment.table == Table::Ablation)
        .map(|segment| segment.track)
        .collect();
    tracks.sort_unstable();
    tracks.dedup();
    Ok(tracks)
}

/// Summarizes the ablation of `track`: of the score `column`, or its first.
///
/// # Errors
/// When the track has no ablation or no such score, or the store cannot be read.
pub fn summarize(store: &Store, track: &Track, column: Option<&str>) -> Result<Summary, SummaryError> {
    let name = track.name.clone();
    let others = ablated_tracks(store)?;
    if !others.contains(&name) {
        return Err(SummaryError::NoAblation { track: name, others });
    }
    let column = column.or(track.columns.first().map(String::as_str)).unwrap_or_default().to_owned();
    if !track.columns.contains(&column) {
        return Err(SummaryError::NoColumn { track: name, column, columns: track.columns.clone() });
    }
    let changes = rows::read(store, track, &column)?;
    if changes.full.is_empty() {
        return Err(SummaryError::NoVariant { track: name, column });
    }
    let moved = movement(store, &name)?;
    let layers = changes.by_layer.iter().map(|(layer, values)| {
        let moved = moved.iter().find(|record| record.layer == *layer);
        LayerSummary {
            layer: *layer,
            figures: statistics::figures(&changes.full, values),
            block_influence: moved.map(|record| record.block_influence),
            angular_distance: moved.map(|record| record.angular_distance),
        }
    });
    Ok(Summary {
        track: name,
        model: track.model.clone(),
        part: track.recipe.part.as_str().to_owned(),
        variants: changes.full.len() as u64,
        left_out: changes.left_out,
        layers: layers.collect(),
        column,
    })
}

/// How far layers moved hidden states, over all runs of the track.
fn movement(store: &Store, track: &str) -> Result<Vec<LayerRecord>, StoreError> {
    let mut merged: Vec<LayerRecord> = Vec::new();
    for run in store.runs()?.into_iter().filter(|run| run.track == track) {
        for record in run.layers.into_iter().filter(|record| record.passes > 0) {
            let Some(known) = merged.iter_mut().find(|known| known.layer == record.layer) else {
                merged.push(record);
                continue;
            };
            let (old, new) = (known.passes as f64, record.passes as f64);
            let mean = |known: f64, record: f64| (known * old + record * new) / (old + new);
            known.block_influence = mean(known.block_influence, record.block_influence);
            known.angular_distance = mean(known.angular_distance, record.angular_distance);
            known.passes += record.passes;
        }
    }
    Ok(merged)
}
