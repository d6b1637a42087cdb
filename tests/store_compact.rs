//! Compaction and removal, beside readers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use vestore::{QueryPlan, Request, Store};
use vestore_schema::retired_path;

use crate::store::{answer, random_store, rows_of};

#[test]
fn compaction_keeps_every_row_and_older_snapshots_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 51);
    let before = answer(&store, &Request::default());
    let segments = store.all_segments().unwrap();
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let mut older = plan.rows();
    let mut seen = rows_of(&store, &older.next().unwrap().unwrap());

    let done = store.writer("test").unwrap().compact(|_| {}).unwrap();
    assert!(done.before > done.after && done.rows > 0, "{done:?}");
    let after = store.all_segments().unwrap();
    // At most one for each track and contig.
    assert!(after.len() <= 6 && after.len() < segments.len(), "{} segments", after.len());
    assert_eq!(
        after.iter().map(|segment| segment.rows).sum::<u64>(),
        segments.iter().map(|segment| segment.rows).sum::<u64>()
    );
    assert!(answer(&store, &Request::default()) == before);
    assert!(store.verify(|_| {}).unwrap().is_empty());

    // Another writer within the grace period leaves the merged files alone.
    drop(store.writer("test").unwrap());
    seen.extend(older.flat_map(|batch| rows_of(&store, &batch.unwrap())));
    assert!(seen == before);
    assert_eq!(store.writer("test").unwrap().compact(|_| {}).unwrap().before, 0, "nothing is left to do");
}

#[test]
fn large_segments_are_cut_without_losing_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 54);
    let before = answer(&store, &Request::default());
    store.writer("test").unwrap().compact_to(1234, false, |_| {}).unwrap();
    let segments = store.all_segments().unwrap();
    assert!(segments.len() > 20 && segments.iter().all(|segment| segment.rows <= 1234));
    assert!(answer(&store, &Request::default()) == before);
    assert!(store.verify(|_| {}).unwrap().is_empty());
}

/// The files that programs without the catalog read.
fn files(store: &Store) -> BTreeSet<PathBuf> {
    let (mut folders, mut found) = (vec![store.root().join("scores")], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

/// Makes everything that was retired look as if that had been `seconds` ago.
fn age(store: &Store, seconds: u64) {
    use redb::ReadableTable;
    use vestore_schema::catalog::RETIRED;
    let database = redb::Database::open(store.root().join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(RETIRED).unwrap();
        let entries: Vec<(String, u64)> = table
            .iter()
            .unwrap()
            .map(|entry| entry.map(|(path, since)| (path.value().to_owned(), since.value())).unwrap())
            .collect();
        assert!(!entries.is_empty());
        for (path, since) in entries {
            table.insert(path.as_str(), since - seconds).unwrap();
        }
    }
    transaction.commit().unwrap();
}

#[test]
fn retired_files_go_after_the_grace_period_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 52);
    let before = answer(&store, &Request::default());
    let old = store.all_segments().unwrap();
    store.writer("test").unwrap().compact(|_| {}).unwrap();
    let new = store.all_segments().unwrap();
    let merged = old.iter().filter(|segment| !new.contains(segment));
    let merged: Vec<_> = merged.map(|segment| store.root().join(retired_path(&segment.path()))).collect();
    assert!(files(&store) == new.iter().map(|segment| store.root().join(segment.path())).collect());
    assert_eq!(store.retired().unwrap(), merged.len() as u64);
    age(&store, 500);
    drop(store.writer("test").unwrap());
    assert!(merged.iter().all(|path| path.exists()));
    age(&store, 200);
    drop(store.writer("test").unwrap());
    assert!(!merged.iter().any(|path| path.exists()));
    assert!(answer(&store, &Request::default()) == before);
    assert!(store.verify(|_| {}).unwrap().is_empty());
}

#[test]
fn a_removed_track_is_gone_and_its_name_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 53);
    let rows = model.keys().filter(|(_, track)| *track == 0).count() as u64;
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let mut writer = store.writer("test").unwrap();
    assert!(writer.remove_track("nope").unwrap_err().to_string().contains("first, second.d"));
    assert_eq!(writer.remove_track("first").unwrap(), rows);
    assert_eq!(store.snapshot().unwrap().tracks, [tracks[1].clone()]);
    assert_eq!(answer(&store, &Request::default()).len() as u64, model.len() as u64 - rows);
    writer.put_track(&tracks[0]).unwrap();
    drop(writer);
    assert_eq!(plan.rows().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), model.len());
    assert!(store.verify(|_| {}).unwrap().is_empty());
}
