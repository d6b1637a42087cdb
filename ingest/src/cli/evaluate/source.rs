//! `vestore evaluate --track`: the columns of scores that are compared.

use anyhow::{Context, ensure};
use vestore::{Reference, Store, StoreError};
use vestore_ingest::{Baseline, Labels, ScoredColumn, stored_scores};

use super::{Usage, plural, say};

/// Where scores come from.
pub(super) enum Source {
    Baseline { name: String, rule: Baseline, negated: bool },
    Stored { track: String, column: String, negated: bool },
}

/// The scores that a text of --track names.
pub(super) fn source(text: &str, store: &Store) -> anyhow::Result<Source> {
    let (track, column) = text.split_once(':').map_or((text, None), |(track, column)| (track, Some(column)));
    let negated = column.is_some_and(|column| column.starts_with('-'));
    let column = column.map(|column| column.strip_prefix('-').unwrap_or(column));
    if track == "baseline" {
        let rule = column.and_then(Baseline::parse).ok_or_else(|| {
            Usage(format!("unknown baseline `{text}`; expected baseline:transition or baseline:cpg"))
        })?;
        return Ok(Source::Baseline { name: text.to_owned(), rule, negated });
    }
    let tracks = store.snapshot()?.tracks;
    let Some(found) = tracks.iter().find(|known| known.name == track) else {
        let known = tracks.into_iter().map(|track| track.name).collect();
        return Err(StoreError::Unknown { kind: "track", name: track.to_owned(), known }.into());
    };
    let column = match column {
        Some(column) if !column.is_empty() => column.to_owned(),
        _ => found.columns.first().cloned().context("a track without columns")?,
    };
    let known: Vec<String> = found.scores().map(|(name, _)| name).collect();
    if !known.contains(&column) {
        return Err(StoreError::Unknown { kind: "score column", name: column, known }.into());
    }
    Ok(Source::Stored { track: track.to_owned(), column, negated })
}

impl Source {
    /// The track and its column, when it is one.
    pub(super) fn track(&self) -> Option<(&str, &str)> {
        match self {
            Self::Baseline { .. } => None,
            Self::Stored { track, column, .. } => Some((track, column)),
        }
    }

    /// The scores of all labelled variants; reports which have none.
    pub(super) fn scores(
        &self,
        store: &Store,
        labels: &Labels,
        reference: &mut Reference,
    ) -> anyhow::Result<ScoredColumn> {
        let signed = |negated: &bool, score: f64| if *negated { -score } else { score };
        let (name, scores) = match self {
            Self::Baseline { name, rule, negated } => {
                let mut scores = Vec::with_capacity(labels.variants.len());
                for variant in &labels.variants {
                    scores.push(rule.score(variant, reference)?.map(|score| signed(negated, score)));
                }
                (name.clone(), scores)
            }
            Self::Stored { track, column, negated } => {
                let found = stored_scores(store, &labels.variants, track, column)?;
                let sign = if *negated { "-" } else { "" };
                let name = format!("{track}:{sign}{column}");
                let rows = found.iter().flatten().count();
                let scores: Vec<Option<f64>> =
                    found.into_iter().map(|row| row.flatten().map(|score| signed(negated, score))).collect();
                let (absent, unscored) =
                    (labels.variants.len() - rows, rows - scores.iter().flatten().count());
                if absent > 0 {
                    say(format_args!(
                        "{name}: {} without a row; `vestore score` makes them",
                        plural(absent as u64, "labelled variant")
                    ));
                }
                if unscored > 0 {
                    say(format_args!(
                        "{name}: {} with a row without this score",
                        plural(unscored as u64, "labelled variant")
                    ));
                }
                (name, scores)
            }
        };
        let left = scores.iter().flatten().count();
        ensure!(left > 0, "{name} scores none of the {} labelled variants", labels.variants.len());
        Ok(ScoredColumn { name, scores, ..ScoredColumn::default() })
    }
}
