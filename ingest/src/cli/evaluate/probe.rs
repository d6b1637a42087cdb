//! `vestore evaluate --probe`: learners over stored embeddings or effects as further columns of scores.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use vestore::Store;
use vestore_ingest::{
    CrossValidation, DatasetInput, FeatureKind, Features, Labels, Leakage, Probe, ScoredColumn, Split,
    stored_features,
};
use vestore_schema::{Table, Track, Variant};

use super::{plural, say};

/// What learns from what.
pub(super) struct Learning<'a> {
    pub(super) store: &'a Store,
    pub(super) probes: &'a [Probe],
    pub(super) kind: FeatureKind,
    pub(super) seed: u64,
    /// Whether labels are classes.
    pub(super) classes: bool,
    /// Folds, where the test rows are cross-validated instead of predicted from training rows.
    pub(super) folds: Option<u32>,
    /// The column within whose groups cross-validated probes learn.
    pub(super) by: Option<&'a str>,
    pub(super) training: &'a Labels,
    pub(super) test: &'a Labels,
}

impl Learning<'_> {
    /// For every track with features and every probe, what it tells of the test rows. Tracks stand beside a score
    /// column, which names the kind of effect.
    pub(super) fn columns(&self, tracks: &[(&str, &str)]) -> anyhow::Result<Vec<ScoredColumn>> {
        let (table, noun, remedy) = match self.kind {
            FeatureKind::Effects => {
                (Table::Effects, "effects", "`vestore score` stores those of regulatory models")
            }
            _ => (Table::Embeddings, "embeddings", "`vestore score --embeddings pooled` makes them"),
        };
        let known = self.store.snapshot()?.tracks;
        let segments = self.store.all_segments()?;
        let (mut columns, mut learned) = (Vec::new(), BTreeSet::new());
        for (name, column) in tracks {
            let Some(track) = known.iter().find(|track| track.name == *name) else { continue };
            let effect = match self.kind {
                FeatureKind::Effects => {
                    let mut kinds = track.effect_columns.iter();
                    kinds.find(|kind| *column == format!("{kind}_max_abs")).map_or("", String::as_str)
                }
                _ => "",
            };
            if !learned.insert((*name, effect)) {
                continue;
            }
            if !segments.iter().any(|segment| segment.table == table && segment.track == *name) {
                say(format_args!("{name} has no {noun} to learn from"));
                continue;
            }
            columns.extend(self.columns_of(track, effect)?);
        }
        ensure!(!columns.is_empty(), "no --track has {noun} to learn from; {remedy}");
        Ok(columns)
    }

    /// What a variant has.
    fn feature(&self) -> &'static str {
        if self.kind == FeatureKind::Effects { "effects" } else { "an embedding" }
    }

    fn columns_of(&self, track: &Track, effect: &str) -> anyhow::Result<Vec<ScoredColumn>> {
        let prefix = match self.kind {
            FeatureKind::Effects => format!("{}:{effect}", track.name),
            _ => track.name.clone(),
        };
        if self.folds.is_none() {
            self.warn_of_leakage(track);
        }
        // Both splits at once: a variant of both has one row.
        let variants: Vec<Variant> =
            self.training.variants.iter().chain(&self.test.variants).cloned().collect();
        let features = stored_features(self.store, &variants, track, self.kind, effect)?;
        self.say_what_is_missing(&features, track, &prefix)?;
        let mut columns = Vec::new();
        for probe in self.probes {
            let name = format!("{prefix}:{probe}");
            let found = match self.folds {
                Some(folds) => self.cross_validated(&features, *probe, folds, &name),
                None => self.learned(&features, *probe, &name),
            };
            columns.push(found.with_context(|| name.clone())?);
        }
        Ok(columns)
    }

    /// Reports rows that are left out.
    fn say_what_is_missing(&self, features: &Features, track: &Track, prefix: &str) -> anyhow::Result<()> {
        let (training, test) = features.places.split_at(self.training.variants.len());
        let incomplete: BTreeSet<usize> = features.incomplete.iter().map(|(place, _)| *place).collect();
        let mut start = 0;
        for (places, split) in [(training, "training"), (test, "test")] {
            let absent = |(at, place): &(usize, &Option<usize>)| place.is_none() && !incomplete.contains(at);
            let missing = (start..).zip(places).filter(absent).count();
            start += places.len();
            if missing > 0 {
                let of = if self.folds.is_some() { String::new() } else { format!(" of the {split} split") };
                let rows = plural(missing as u64, "row");
                say(format_args!("{prefix}: {rows}{of} left out, without {}", self.feature()));
            }
        }
        if let Some((place, number)) = features.incomplete.first() {
            let variants = self.training.variants.iter().chain(&self.test.variants);
            let variant = variants.clone().nth(*place).context("a place beyond all variants")?;
            let names = self.store.target_names(track)?;
            say(format_args!(
                "{prefix}: {} left out that lack the effect on some target, such as {} on {}",
                plural(features.incomplete.len() as u64, "row"),
                variant.display(self.store.assembly()),
                names.get(*number).map_or("?", String::as_str)
            ));
        }
        Ok(())
    }

    /// What a probe tells of the test rows after learning from the training rows.
    fn learned(&self, features: &Features, probe: Probe, name: &str) -> anyhow::Result<ScoredColumn> {
        let count = self.training.variants.len();
        let training = self.training.labels.iter().enumerate();
        let training: Vec<(&[f32], f64)> =
            training.filter_map(|(at, label)| Some((features.get(at)?, *label))).collect();
        ensure!(!training.is_empty(), "no variant of the training split has {}", self.feature());
        let places = (0..self.test.variants.len()).filter(|at| features.get(count + at).is_some());
        let places: Vec<usize> = places.collect();
        let asked: Vec<&[f32]> = places.iter().filter_map(|at| features.get(count + at)).collect();
        let predicted = probe.learn(&training, self.classes, &asked, self.seed)?;
        ensure!(!places.is_empty(), "no variant of the test split has {}", self.feature());
        say(format_args!(
            "{name}: learned from {} rows of {} numbers ({})",
            training.len(),
            features.width,
            self.kind
        ));
        let scores = spread(self.test.variants.len(), places.into_iter().zip(predicted));
        Ok(ScoredColumn { name: name.to_owned(), scores, ..ScoredColumn::default() })
    }

    /// What a probe tells of each row after learning from the rows of other folds, within each group where there are
    /// some.
    fn cross_validated(
        &self,
        features: &Features,
        probe: Probe,
        folds: u32,
        name: &str,
    ) -> anyhow::Result<ScoredColumn> {
        let how = CrossValidation { folds, classes: self.classes, seed: self.seed };
        let Labels { labels, groups, .. } = self.test;
        let count = labels.len();
        let (Some(by), Some(groups)) = (self.by, groups.first()) else {
            let predicted = how.predict(probe, features, labels, &(0..count).collect::<Vec<_>>())?;
            say(format_args!(
                "{name}: {folds}-fold cross-validation of {} rows of {} numbers ({})",
                predicted.len(),
                features.width,
                self.kind
            ));
            return Ok(ScoredColumn {
                name: name.to_owned(),
                scores: spread(count, predicted),
                ..ScoredColumn::default()
            });
        };
        let mut places: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
        for (place, names) in groups.iter().enumerate() {
            for name in names {
                places.entry(name).or_default().push(place);
            }
        }
        let (mut within, mut learned, mut failed) = (BTreeMap::new(), 0_u64, None);
        for (group, places) in places {
            let predicted = how.predict(probe, features, labels, &places).unwrap_or_else(|error| {
                say(format_args!("{name}: {by} `{group}` is not measured: {error}"));
                failed.get_or_insert(error);
                Vec::new()
            });
            learned += u64::from(!predicted.is_empty());
            within.insert(group.clone(), spread(count, predicted));
        }
        if let Some(error) = failed.filter(|_| learned == 0) {
            return Err(error.into());
        }
        let any = |place: usize| groups[place].iter().find_map(|group| within[group][place]);
        let scores: Vec<Option<f64>> = (0..count).map(any).collect();
        say(format_args!(
            "{name}: {folds}-fold cross-validation within {} of {by}, {} rows of {} numbers ({})",
            plural(learned, "group"),
            scores.iter().flatten().count(),
            features.width,
            self.kind
        ));
        Ok(ScoredColumn { name: name.to_owned(), scores, within })
    }

    /// Windows that are learned from and measured on.
    fn warn_of_leakage(&self, track: &Track) {
        let count = self.training.variants.len();
        let variants = self.training.variants.iter().chain(&self.test.variants);
        let inputs: Vec<DatasetInput> = variants.cloned().map(DatasetInput::Variant).collect();
        let split = |at: usize| if at < count { Split::Training } else { Split::Test };
        let splits: Vec<Split> = (0..inputs.len()).map(split).collect();
        let leakage = Leakage::find(&inputs, &splits, self.store.assembly(), track.recipe.window);
        if !leakage.is_empty() {
            say(format_args!("warning: {}: {leakage}", track.name));
        }
    }
}

/// Predictions of some of `count` rows, each at its place.
fn spread(count: usize, predicted: impl IntoIterator<Item = (usize, f64)>) -> Vec<Option<f64>> {
    let mut scores = vec![None; count];
    for (place, predicted) in predicted {
        scores[place] = Some(predicted);
    }
    scores
}
