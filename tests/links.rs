//! Stores of somebody else's making: what in them is not a plain file or folder is never followed, opened, emptied or
//! removed.

use std::fs::{self, FileType};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::ScoreKind;
use vestore::{Store, StoreError};

use crate::programs::{fails, ok};
use crate::support::{Random, new_store, random_row, run, track, write};

/// A store with one track of one segment.
fn filled(root: &Path) -> Store {
    let store = new_store(root, &["1"]);
    let mut writer = store.writer("test").unwrap();
    let track = track("t", ScoreKind::Llr);
    let mut random = Random(7);
    let mut rows: Vec<_> = (0..50).map(|_| random_row(&mut random, &track, 0, 1000)).collect();
    rows.sort_by(|a, b| a.variant.cmp(&b.variant));
    rows.dedup_by(|a, b| a.variant == b.variant);
    writer.put_track(&track).unwrap();
    let segment = write(&mut writer, &track, &rows);
    writer.commit(&[segment], &run(1, &track)).unwrap();
    store
}

/// Everything below a folder: paths, what they are, and their content.
fn contents(folder: &Path) -> Vec<(PathBuf, FileType, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            found.push((
                path.clone(),
                kind,
                if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() },
            ));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Opens a store and does all that readers and writers do; whether any of it was refused because of `kind`.
fn tries(root: &Path, kind: &str) -> bool {
    let told = |error: StoreError| error.to_string().contains(kind);
    let store = match Store::open(root) {
        Ok(store) => store,
        Err(error) => return told(error),
    };
    let read = store.verify(|_| {});
    let refused = match &read {
        Ok(damage) => damage.iter().any(|damage| damage.to_string().contains(kind)),
        Err(error) => error.to_string().contains(kind),
    };
    let mut writer = match store.writer("test") {
        Ok(writer) => writer,
        Err(error) => return told(error) || refused,
    };
    let compacted = writer.compact_to(10, false, |_| {}).is_err_and(told);
    let removed = writer.remove_track("t").is_err_and(told);
    refused || compacted || removed
}

#[test]
fn links_in_a_store_are_never_followed() {
    for linked in [
        "scores",
        "scores/track=t",
        "scores/track=t/contig=1",
        "scores/track=t/contig=1/000000000001.parquet",
        "catalog.redb",
        "catalog.lock",
        "catalog.turnstile",
        "writer.lock",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (victim, evil) = (folder.path().join("victim"), folder.path().join("evil"));
        drop(filled(&victim));
        drop(filled(&evil));
        let place = evil.join(linked);
        if place.is_dir() {
            fs::remove_dir_all(&place).unwrap();
        } else {
            fs::remove_file(&place).unwrap();
        }
        symlink(victim.join(linked), &place).unwrap();
        let before = contents(&victim);
        assert!(tries(&evil, "symbolic link"), "{linked} was followed");
        assert_eq!(contents(&victim), before, "{linked} led out of the store");
        // The link itself is somebody's, and stays, if only among retired files.
        let links = contents(&evil).iter().filter(|(_, kind, _)| kind.is_symlink()).count();
        assert_eq!(links, 1, "{linked} was removed");
    }
}

#[test]
fn a_dangling_link_makes_no_file_outside() {
    for linked in ["catalog.lock", "catalog.turnstile", "writer.lock"] {
        let folder = tempfile::tempdir().unwrap();
        let (outside, evil) = (folder.path().join("outside"), folder.path().join("evil"));
        drop(filled(&evil));
        fs::remove_file(evil.join(linked)).unwrap();
        symlink(&outside, evil.join(linked)).unwrap();
        assert!(tries(&evil, "symbolic link"), "{linked} was followed");
        assert!(!outside.exists(), "{linked}");
    }
}

#[test]
fn a_second_name_of_a_file_is_not_written_through() {
    for linked in ["catalog.redb", "writer.lock"] {
        let folder = tempfile::tempdir().unwrap();
        let (victim, store) = (folder.path().join("victim"), folder.path().join("store"));
        drop(filled(&store));
        fs::hard_link(store.join(linked), &victim).unwrap();
        let before = fs::read(&victim).unwrap();
        assert!(tries(&store, "hard link"), "{linked} was written");
        assert_eq!(fs::read(&victim).unwrap(), before, "{linked}");
        // Backups by hard links can still be read.
        assert!(Store::open(&store).unwrap().verify(|_| {}).is_ok());
    }
}

#[test]
fn what_is_no_plain_file_is_refused_without_waiting() {
    let places =
        ["scores/track=t/contig=1/000000000001.parquet", "catalog.redb", "catalog.lock", "writer.lock"];
    for place in places {
        for kind in ["a FIFO", "a folder"] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("store");
            drop(filled(&root));
            fs::remove_file(root.join(place)).unwrap();
            if kind == "a folder" {
                fs::create_dir(root.join(place)).unwrap();
            } else {
                assert!(Command::new("mkfifo").arg(root.join(place)).status().unwrap().success());
            }
            assert!(tries(&root, kind), "{kind} at {place}");
        }
    }
}

#[test]
fn the_path_of_a_store_may_be_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (root, link) = (folder.path().join("store"), folder.path().join("link"));
    drop(filled(&root));
    symlink(&root, &link).unwrap();
    let store = Store::open(&link).unwrap();
    assert_eq!(store.verify(|_| {}).unwrap(), []);
    store.writer("test").unwrap().remove_track("t").unwrap();
    assert!(Store::open(&root).unwrap().snapshot().unwrap().tracks.is_empty());
}

#[test]
fn a_writer_whose_lock_was_taken_away_commits_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = filled(&root);
    let mut writer = store.writer("first").unwrap();
    fs::remove_file(root.join("writer.lock")).unwrap();
    // Nobody can keep another command out now.
    let mut second = store.writer("second").unwrap();
    assert!(matches!(writer.remove_track("t"), Err(StoreError::LockLost { .. })));
    second.remove_track("t").unwrap();
}

#[test]
fn a_store_that_was_exchanged_during_a_run_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (root, other) = (folder.path().join("store"), folder.path().join("other"));
    let store = filled(&root);
    drop(filled(&other));
    let mut writer = store.writer("first").unwrap();
    fs::rename(&root, folder.path().join("moved")).unwrap();
    fs::rename(&other, &root).unwrap();
    assert!(matches!(writer.remove_track("t"), Err(StoreError::LockLost { .. })));
    assert_eq!(Store::open(&root).unwrap().snapshot().unwrap().tracks.len(), 1);
}

#[test]
fn a_commit_that_does_not_end_is_told_and_can_be_read_around() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = filled(&root);
    let writer = store.writer("vestore compact somewhere").unwrap();
    let before = ok("query {} --format tsv", &[&root]);
    let lock = fs::File::open(root.join("catalog.lock")).unwrap();
    lock.lock().unwrap();
    let told = fails(1, "query {} --format tsv", &[&root]);
    assert!(told.contains("vestore compact somewhere") && told.contains("--last-committed"), "{told}");
    for words in ["info {} --last-committed", "query {} --count --last-committed"] {
        ok(words, &[&root]);
    }
    assert_eq!(ok("query {} --format tsv --last-committed", &[&root]), before);
    drop(lock);
    drop(writer);
    assert_eq!(ok("query {} --format tsv", &[&root]), before);
}
