//! Means of tracks.

use std::path::Path;

use vestore::{EffectRow, MeanError, QueryPlan, Request, ScoreRow, Store, mean};
use vestore_schema::{Digest, Recipe, Status, Track};

use super::{commit, effect_track, names, random_rows, with_effects};
use crate::programs::{fails, ok, said};
use crate::store::{Answer, answer, rows_of};
use crate::support::{Random, ScoreKind, model, new_store, random_row, run, track, write};

/// The track of replicate `number`.
pub(super) fn replicate(number: usize, names: &[String]) -> Track {
    let model = format!("m{number}");
    let id = Digest::of(model.as_bytes());
    let made = effect_track(&format!("t{number}"), names);
    let track = Track::new(&made.name, &model, id, made.recipe, made.columns).unwrap();
    track.with_effects(made.effect_columns, names)
}

/// A store with three replicates that scored the same variants, and their rows by track.
fn replicates(root: &Path) -> (Store, Vec<Vec<(ScoreRow, EffectRow)>>) {
    let store = new_store(root, &["1", "2"]);
    let mut writer = store.writer("test").unwrap();
    let (names, mut random) = (names(6), Random(12));
    let mut all = vec![Vec::new(); 3];
    for contig in 0..2 {
        let rows = random_rows(&mut random, &replicate(0, &names), contig, 50);
        for (number, all) in all.iter_mut().enumerate() {
            let track = replicate(number, &names);
            if contig == 0 {
                writer.put_model(&model(&track.model)).unwrap();
                writer.put_track_with_targets(&track, &names).unwrap();
            }
            let rows: Vec<_> = rows
                .iter()
                .map(|(row, _)| {
                    let status = if row.status == Status::NonFinite { Status::Scored } else { row.status };
                    with_effects(&mut random, &track, ScoreRow { status, ..row.clone() }, 6)
                })
                .collect();
            // In segments of their own borders.
            for (unit, rows) in rows.chunks(20 + number).enumerate() {
                commit(&mut writer, &track, 1 + unit as u64, rows).unwrap();
            }
            all.extend(rows);
        }
    }
    drop(writer);
    (store, all)
}

fn average(numbers: impl ExactSizeIterator<Item = Option<f32>>) -> Option<f32> {
    let count = numbers.len() as f64;
    Some((numbers.map(|number| number.map(f64::from)).sum::<Option<f64>>()? / count) as f32)
}

fn of_track(store: &Store, name: &str) -> Answer {
    answer(store, &Request { tracks: vec![name.to_owned()], ..Request::default() })
}

#[test]
fn effects_are_averaged_and_the_largest_are_those_of_the_means() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, mut all) = replicates(&root);
    // Sums are in the order of ids.
    let names = names(6);
    let mut order: Vec<usize> = (0..3).collect();
    order.sort_by_key(|number| replicate(*number, &names).id);
    all = order.iter().map(|number| std::mem::take(&mut all[*number])).collect();
    let said = said("track mean {} mean --tracks t2,t0,t1 --quiet", &[&root]);
    assert!(said.contains("track mean: ") && said.contains("means of 3 tracks"), "{said}");

    let scores = of_track(&store, "mean");
    let request = Request { tracks: vec!["mean".to_owned()], ..Request::default() };
    let only = super::asked(&store, &request, &vestore::EffectOptions::default(), None).unwrap();
    let (mut only, mut incomplete) = (only.into_iter(), 0);
    assert_eq!(scores.len(), all[0].len());
    for (place, (variant, _, found, status)) in scores.iter().enumerate() {
        let rows: Vec<&(ScoreRow, EffectRow)> = all.iter().map(|rows| &rows[place]).collect();
        assert_eq!(rows[0].0.variant, *variant);
        let number = |kind: usize, target: usize| {
            average(rows.iter().map(|(_, row)| {
                row.effects.get(kind)?.get(target).copied().filter(|value| value.is_finite())
            }))
        };
        let largest =
            |kind: usize| (0..6).filter_map(|target| number(kind, target)).map(f32::abs).reduce(f32::max);
        assert_eq!(*found, [largest(0), largest(1)], "{variant:?}");
        let of_scores = |column: usize| rows.iter().filter(|(row, _)| row.values[column].is_none()).count();
        incomplete += usize::from((0..2).any(|column| (1..3).contains(&of_scores(column))));
        let reason = rows.iter().map(|(row, _)| row.status).find(|status| *status != Status::Scored);
        let without = reason.unwrap_or(Status::NonFinite);
        let expected = if found.iter().any(Option::is_some) { Status::Scored } else { without };
        assert_eq!(status.as_str(), expected.as_str());
        let defined = (0..3).any(|kind| (0..6).any(|target| number(kind, target).is_some()));
        for (target, name) in names.iter().enumerate().take(if defined { 6 } else { 1 }) {
            let line = only.next().unwrap();
            let numbers: Vec<_> = (0..3).map(|kind| number(kind, target).map(f32::to_bits)).collect();
            assert_eq!((&line.0, &line.3), (variant, &numbers));
            assert_eq!(line.1, if defined { name.as_str() } else { "" });
        }
    }
    assert_eq!(only.next(), None);
    assert!(
        incomplete > 0 && said.contains(&format!("{incomplete} rows without a value")),
        "{incomplete}: {said}"
    );
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}

#[test]
fn a_mean_says_what_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, all) = replicates(&root);
    let one = mean(&store, "mean", &["t0", "t1", "t2"].map(str::to_owned), "test", |_| {}).unwrap().track;
    assert_eq!(one.model, one.mean.iter().map(|track| track.model.as_str()).collect::<Vec<_>>().join(","));
    let two = [replicate(2, &names(6)), replicate(0, &names(6))];
    let other = Track::of_mean("two", &two).unwrap();
    assert_ne!(one.id, other.id);
    assert_eq!(Track::of_mean("two", &[two[1].clone(), two[0].clone()]).unwrap(), other);

    let error = fails(1, "track mean {} mean --tracks t2,t1,t0", &[&root]);
    assert!(error.contains(&format!("has {} rows already; remove it first", all[0].len())), "{error}");
    let error = fails(1, "track mean {} again --tracks t2,t1,t0", &[&root]);
    assert!(error.contains("are in the store as track `mean`"), "{error}");

    let variant = all[0][0].0.variant.display(store.assembly()).to_string();
    drop(store);
    let text = said_and_printed(&root, &variant);
    for number in 0..3 {
        assert!(
            text.contains(&format!("t{number}, id ")) && text.contains(&format!("model m{number}, id ")),
            "{text}"
        );
    }
    assert!(text.contains("mean of 3 tracks: llr"), "{text}");
    let error = fails(1, "model remove {} m1", &[&root]);
    assert!(error.contains("track `t1`") && error.contains("track `mean`"), "{error}");
    ok("model rename {} m1 renamed", &[&root]);
    let listed = ok("track list {} --format json", &[&root]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let listed = listed.as_array().unwrap().iter().find(|track| track["name"] == "mean").unwrap();
    assert!(listed["model"].as_str().unwrap().contains("renamed"), "{listed}");
    assert_eq!(listed["mean"].as_array().unwrap().len(), 3);
    assert_eq!(ok("verify {} --quiet", &[&root]), "");
    // It stays when what it was made of goes.
    let before = ok("query {} --effects --track mean --format tsv", &[&root]);
    ok("track remove {} t0", &[&root]);
    assert_eq!(ok("query {} --effects --track mean --format tsv", &[&root]), before);
}

/// What `explain` prints of a variant of the mean; the reference is not there, so it may fail after that.
fn said_and_printed(root: &Path, variant: &str) -> String {
    let output =
        crate::programs::command(&format!("explain {{}} {variant} --track mean"), &[root]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn plain_scores_have_means_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let store = new_store(&root, &["1", "2"]);
    let mut writer = store.writer("test").unwrap();
    let mut random = Random(77);
    let tracks: Vec<Track> =
        ["a", "b"].map(|name| Track { model: format!("m{name}"), ..track(name, ScoreKind::Llr) }).to_vec();
    // Ids are those of the model and the recipe.
    let tracks: Vec<Track> = tracks
        .into_iter()
        .map(|track| {
            let id = Digest::of(track.model.as_bytes());
            Track::new(&track.name, &track.model, id, track.recipe, track.columns).unwrap()
        })
        .collect();
    let mut rows: Vec<ScoreRow> = (0..500).map(|_| random_row(&mut random, &tracks[0], 0, 5000)).collect();
    rows.sort_by(|a, b| a.variant.cmp(&b.variant));
    rows.dedup_by(|a, b| a.variant == b.variant);
    let others: Vec<ScoreRow> = rows
        .iter()
        .map(|row| ScoreRow {
            values: row.values.iter().map(|value| value.map(|value| value * 3.0)).collect(),
            ..row.clone()
        })
        .collect();
    for (track, rows) in tracks.iter().zip([&rows, &others]) {
        writer.put_track(track).unwrap();
        let segment = write(&mut writer, track, rows);
        writer.commit(&[segment], &run(1, track)).unwrap();
    }
    drop(writer);
    ok("track mean {} ab --tracks a,b --quiet", &[&root]);
    let found = of_track(&store, "ab");
    assert_eq!(found.len(), rows.len());
    for ((variant, _, scores, status), row) in found.iter().zip(&rows) {
        let expected: Vec<Option<f32>> = row
            .values
            .iter()
            .map(|value| value.map(|value| f64::midpoint(f64::from(value), f64::from(value * 3.0)) as f32))
            .collect();
        assert_eq!((variant, scores, status.as_str()), (&row.variant, &expected, row.status.as_str()));
    }

    // A row that only one track has.
    let mut writer = store.writer("test").unwrap();
    let extra = ScoreRow {
        variant: vestore_schema::Variant { contig: 1, ..rows[0].variant.clone() },
        ..rows[0].clone()
    };
    let segment = write(&mut writer, &tracks[1], std::slice::from_ref(&extra));
    writer.commit(&[segment], &run(2, &tracks[1])).unwrap();
    writer.remove_track("ab").unwrap();
    drop(writer);
    let shown = extra.variant.display(store.assembly()).to_string();
    let error = fails(1, "track mean {} ab --tracks a,b", &[&root]);
    assert!(error.contains(&format!("only `b` has a row of scores for {shown}, `a` has none")), "{error}");
    assert!(!store.snapshot().unwrap().tracks.iter().any(|track| track.name == "ab"));
    let plan =
        QueryPlan::new(&store, &Request { tracks: vec!["a".to_owned()], ..Request::default() }).unwrap();
    assert_eq!(plan.rows().map(|batch| rows_of(&store, &batch.unwrap()).len()).sum::<usize>(), rows.len());
}

#[test]
fn what_has_no_mean_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, all) = replicates(&root);
    let names = names(6);
    let mut writer = store.writer("test").unwrap();
    let base = replicate(0, &names);
    let longer = Recipe { window: 601, ..base.recipe.clone() };
    let longer = Track::new("longer", "m0", base.model_id, longer, base.columns.clone()).unwrap();
    writer.put_track(&longer).unwrap();
    let id = Digest::of(b"x");
    let others = Track::new("others", "x", id, base.recipe.clone(), base.columns.clone()).unwrap();
    let others = others.with_effects(base.effect_columns.clone(), &names[..5]);
    writer.put_track_with_targets(&others, &names[..5]).unwrap();
    // Effects of one variant more than scores.
    let lone = Track::new("lone", "y", Digest::of(b"y"), base.recipe.clone(), base.columns.clone()).unwrap();
    let lone = lone.with_effects(base.effect_columns.clone(), &names);
    writer.put_track_with_targets(&lone, &names).unwrap();
    let segments = commit(&mut writer, &lone, 9, &all[0][..1]).unwrap();
    writer.drop_segments(&segments[..1]).unwrap();
    let twin = Track::new("twin", "z", Digest::of(b"z"), base.recipe.clone(), base.columns.clone()).unwrap();
    let twin = twin.with_effects(base.effect_columns.clone(), &names);
    writer.put_track_with_targets(&twin, &names).unwrap();
    let segments = commit(&mut writer, &twin, 10, &all[0][..1]).unwrap();
    writer.drop_segments(&segments[..1]).unwrap();
    drop(writer);
    let refused = |tracks: &[&str]| {
        let tracks: Vec<String> = tracks.iter().map(|name| (*name).to_owned()).collect();
        mean(&store, "mean", &tracks, "test", |_| {}).unwrap_err()
    };
    assert!(matches!(refused(&["t0"]), MeanError::Count { found: 1 }));
    assert!(matches!(refused(&["t0", "t1", "t0"]), MeanError::Twice { .. }));
    assert!(matches!(refused(&["t0", "nobody"]), MeanError::Store(_)));
    let error = refused(&["t0", "longer"]).to_string();
    assert!(error.contains("`window` is 600 and 601"), "{error}");
    assert!(refused(&["t0", "others"]).to_string().contains("different targets"));
    assert!(refused(&["lone", "twin"]).to_string().contains("have effects and no scores for 1-"));
    assert!(matches!(refused(&["t0", "lone"]), MeanError::Rows { .. }));
    mean(&store, "mean", &["t0", "t1"].map(str::to_owned), "test", |_| {}).unwrap();
    assert!(matches!(refused(&["mean", "t2"]), MeanError::Kind { .. }));
    assert!(fails(2, "track mean {} x --tracks t0", &[&root]).contains("a mean is of 2 to 64 tracks"));
    assert_eq!(store.writer("test").map(drop).ok(), Some(()), "orphans of what was refused leave");
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}
