//! Compaction and removal, beside readers, and cut short at every system call.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use vestore::{Access, Damage, Disk, Guard, Lock, Medium, MediumFile, QueryPlan, Request, Store};
use vestore_schema::ScoreKind;

use crate::store::{answer, random_store, rows_of};
use crate::support::{Random, new_store, random_row, run, track, write};

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
    store.writer("test").unwrap().compact_to(1234, |_| {}).unwrap();
    let segments = store.all_segments().unwrap();
    assert!(segments.len() > 20 && segments.iter().all(|segment| segment.rows <= 1234));
    assert!(answer(&store, &Request::default()) == before);
    assert!(store.verify(|_| {}).unwrap().is_empty());
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
    let merged: Vec<_> = old
        .iter()
        .filter(|segment| !new.contains(segment))
        .map(|segment| store.root().join(segment.path()))
        .collect();
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

/// A disk on which every call that changes something fails from the `left`-th on.
#[derive(Debug)]
struct Failing {
    left: Arc<AtomicI64>,
}

impl Failing {
    fn spend(left: &AtomicI64) -> io::Result<()> {
        if left.fetch_sub(1, Ordering::SeqCst) > 0 {
            Ok(())
        } else {
            Err(io::Error::other("the disk is gone"))
        }
    }
}

#[derive(Debug)]
struct FailingFile(Box<dyn MediumFile>, Arc<AtomicI64>);

impl MediumFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Failing::spend(&self.1)?;
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Failing::spend(&self.1)?;
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        Failing::spend(&self.1)?;
        self.0.sync()
    }
}

impl Medium for Failing {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        if access == Access::Create {
            Self::spend(&self.left)?;
        }
        Ok(Box::new(FailingFile(Disk.open(path, access)?, Arc::clone(&self.left))))
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>> {
        Disk.lock(path, lock)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::spend(&self.left)?;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::spend(&self.left)?;
        Disk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Self::spend(&self.left)?;
        Disk.remove_folder(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Self::spend(&self.left)?;
        Disk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Self::spend(&self.left)?;
        Disk.sync_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        Disk.list(path)
    }
}

/// A store of six small segments of one track.
fn small_store(root: &Path) -> Store {
    let store = new_store(root, &["1", "2"]);
    let track = track("first", ScoreKind::LlrGrid);
    let mut random = Random(4);
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    let mut taken = BTreeSet::new();
    for number in 0..6 {
        let mut rows: Vec<_> =
            (0..40).map(|_| random_row(&mut random, &track, number as u32 % 2, 5000)).collect();
        rows.retain(|row| taken.insert(row.variant.clone()));
        rows.sort_by(|a, b| a.variant.cmp(&b.variant));
        let segment = write(&mut writer, &track, &rows);
        writer.commit(&[segment], &run(number, &track)).unwrap();
    }
    store
}

#[test]
fn a_compaction_that_fails_at_any_call_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut failed, mut calls) = (0, 0);
    loop {
        let root = folder.path().join(calls.to_string());
        let store = small_store(&root);
        let before = answer(&store, &Request::default());
        let left = Arc::new(AtomicI64::new(calls));
        let compacted = Store::open_on(&root, Arc::new(Failing { left: Arc::clone(&left) }))
            .and_then(|store| store.writer("test")?.compact(|_| {}));
        assert!(answer(&store, &Request::default()) == before, "after {calls} calls");
        let damage = store.verify(|_| {}).unwrap();
        assert!(!damage.iter().any(Damage::is_loss), "after {calls} calls: {damage:?}");
        // The next writer clears up and ends the work.
        store.writer("test").unwrap().compact(|_| {}).unwrap();
        assert_eq!(store.all_segments().unwrap().len(), 2);
        assert!(answer(&store, &Request::default()) == before, "compacted after {calls} calls");
        assert!(store.verify(|_| {}).unwrap().is_empty());
        if compacted.is_ok() {
            break;
        }
        failed += 1;
        calls += 1;
    }
    assert!(failed > 40, "{failed} calls");
}
