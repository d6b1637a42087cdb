//! `vestore evaluate --probe`: learners over stored embeddings as further columns of scores.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use vestore::Store;
use vestore_ingest::{
    DatasetInput, FeatureKind, Features, Labels, Leakage, Probe, ScoredColumn, Split, stored_features,
};
use vestore_schema::Table;

use super::say;

/// For every track with embeddings and every probe, what it tells of `test` after learning from `training`.
pub(super) fn columns(
    store: &Store,
    tracks: &[&str],
    (probes, kind, seed): (&[Probe], FeatureKind, u64),
    (training, test): (&Labels, &Labels),
    classes: bool,
) -> anyhow::Result<Vec<ScoredColumn>> {
    let segments = store.all_segments()?;
    let with_embeddings = |track: &str| {
        segments.iter().any(|segment| segment.table == Table::Embeddings && segment.track == track)
    };
    let mut columns = Vec::new();
    for track in tracks.iter().collect::<BTreeSet<_>>() {
        if !with_embeddings(track) {
            say(format_args!("{track} has no embeddings to learn from"));
            continue;
        }
        warn_of_leakage(store, track, training, test)?;
        let [seen, asked] = [training, test].map(|labels| features(store, track, labels, kind));
        let (seen, asked) = (seen?, asked?);
        for (features, split) in [(&seen, "training"), (&asked, "test")] {
            let missing = features.places.iter().filter(|place| place.is_none()).count();
            if missing > 0 {
                say(format_args!(
                    "{track}: {missing} rows of the {split} split have no embedding and are left out"
                ));
            }
        }
        for probe in probes {
            let scores = probe.learn(&seen, &training.labels, classes, &asked, seed);
            let name = format!("{track}:{probe}");
            let scores = scores.with_context(|| name.clone())?;
            let rows = seen.places.iter().flatten().count();
            say(format_args!("{name}: learned from {rows} rows of {} numbers ({kind})", seen.width));
            ensure!(
                scores.iter().any(Option::is_some),
                "{name}: no variant of the test split has an embedding"
            );
            columns.push(ScoredColumn { name, scores });
        }
    }
    ensure!(
        !columns.is_empty(),
        "no --track has embeddings to learn from; `vestore score --embeddings pooled` makes them"
    );
    Ok(columns)
}

fn features(store: &Store, track: &str, labels: &Labels, kind: FeatureKind) -> anyhow::Result<Features> {
    Ok(stored_features(store, &labels.variants, track, kind)?)
}

/// Windows that are learned from and measured on.
fn warn_of_leakage(store: &Store, track: &str, training: &Labels, test: &Labels) -> anyhow::Result<()> {
    let tracks = store.snapshot()?.tracks;
    let Some(window) = tracks.iter().find(|known| known.name == track).map(|track| track.recipe.window)
    else {
        return Ok(());
    };
    let inputs: Vec<DatasetInput> =
        training.variants.iter().chain(&test.variants).cloned().map(DatasetInput::Variant).collect();
    let split = |at: usize| if at < training.variants.len() { Split::Training } else { Split::Test };
    let splits: Vec<Split> = (0..inputs.len()).map(split).collect();
    let leakage = Leakage::find(&inputs, &splits, store.assembly(), window);
    if !leakage.is_empty() {
        say(format_args!("warning: {track}: {leakage}"));
    }
    Ok(())
}
