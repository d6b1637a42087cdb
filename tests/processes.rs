//! Many processes on one store: readers beside a writer, two writers, killed writers, media that cannot be
//! written or are full.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use vestore::{Access, Disk, FileSystem, Guard, Lock, Medium, MediumFile, Store, score_batch};
use vestore_schema::{Position, Table};

use crate::support::ScoreKind;

use crate::crash::unit;
use crate::programs::{fails, ok, said, store, vestore};
use crate::support::{new_store, rounds, run, track};

const UNIT: u32 = 30;

/// Rows by track.
fn counts(tsv: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in tsv.lines().skip(1) {
        *counts.entry(line.split('\t').nth(5).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Eight processes read while a writer commits, compacts, and takes a track out.
#[test]
fn eight_readers_see_whole_commits_beside_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1", "2", "3", "4"]);
    let (first, second) = (track("first", ScoreKind::LlrGrid), track("second", ScoreKind::Llr));
    let mut writer = store.writer("test").unwrap();
    let mut number = 0;
    let mut commit = |writer: &mut vestore::Writer, track: &vestore_schema::Track, place: u64| {
        number += 1;
        let (unit_number, contig) = (place % 8, (place / 8 % 4) as u32);
        let mut rows = unit(unit_number, contig, track, UNIT);
        // A unit's rows lie in the first 800 bases.
        for row in &mut rows {
            let shifted = row.variant.position.zero_based() + (place / 32) as u32 * 800;
            row.variant.position = Position::new(shifted);
        }
        let batch = score_batch(track, &rows);
        let segment = writer.write(Table::Scores, track, None, contig, [batch]).unwrap().unwrap();
        writer.commit(&[segment], &run(number, track)).unwrap();
    };
    writer.put_track(&first).unwrap();
    commit(&mut writer, &first, 0);
    writer.put_track(&second).unwrap();
    commit(&mut writer, &second, 0);
    let done = AtomicBool::new(false);
    // Longer in the long run; there is room for 4000 units.
    let (least, units) = (3, 24..4000);
    let time = Duration::from_secs(rounds("VESTORE_READ_SECONDS", 2));
    let ends = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut gone, mut asked) = (0, false, 0_u64);
                    while asked < least || !done.load(Ordering::Relaxed) {
                        let found = counts(&ok("query {} --format tsv", &[store.root()]));
                        let rows = found.get("first").copied().unwrap_or_default();
                        assert!(rows >= seen && rows.is_multiple_of(u64::from(UNIT)), "{seen}, then {rows}");
                        let others = found.get("second").copied().unwrap_or_default();
                        assert!(
                            others == if gone { 0 } else { others } && [0, u64::from(UNIT)].contains(&others)
                        );
                        (seen, gone, asked) = (rows, others == 0, asked + 1);
                    }
                    asked
                })
            })
            .collect();
        let start = Instant::now();
        for place in 1..units.end {
            if place >= units.start && start.elapsed() > time {
                break;
            }
            std::thread::sleep(Duration::from_millis(15));
            commit(&mut writer, &first, place);
            if place % 5 == 0 {
                writer.compact(|_| {}).unwrap();
            }
            if place == 12 {
                writer.remove_track("second").unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(ends.iter().all(|asked| *asked >= least), "{ends:?}");
    assert_eq!(counts(&ok("query {} --format tsv", &[store.root()])).len(), 1);
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}

#[test]
fn a_second_process_that_writes_is_told_who_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let writer = store.writer("vestore score s --model nt").unwrap();
    for verb in ["compact {}", "track remove {} t", "verify {} --drop-damaged"] {
        let told = fails(1, verb, &[store.root()]);
        let process = std::process::id().to_string();
        assert!(told.contains("vestore score s --model nt") && told.contains(&process), "{verb}: {told}");
    }
    drop(writer);
    said("compact {}", &[store.root()]);
}

/// This machine's disk, on which writing the note of a writer takes long.
#[derive(Debug)]
struct SlowNote {
    disk: Disk,
    written: SyncSender<()>,
}

impl Medium for SlowNote {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        if access == Access::Create && path.ends_with("writer.lock") {
            self.written.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        self.disk.open(path, access)
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>> {
        self.disk.lock(path, lock)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(path)
    }

    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn FileSystem>>> {
        self.disk.watch(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        self.disk.list(path)
    }

    fn now(&self) -> u64 {
        self.disk.now()
    }
}

#[test]
fn the_note_of_a_dead_writer_is_not_taken_for_the_holders() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    // A killed writer leaves its note.
    std::fs::write(store.root().join("writer.lock"), "`dead`, process 1").unwrap();
    let (sender, receiver) = sync_channel(0);
    let slow =
        Store::open_on(store.root(), Arc::new(SlowNote { disk: Disk::new(store.root()), written: sender }))
            .unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| slow.writer("living").unwrap());
        receiver.recv().unwrap();
        let told = store.writer("second").unwrap_err().to_string();
        assert!(told.contains("`living`"), "{told}");
        drop(first.join().unwrap());
    });
}

/// Runs a script with a file system of its own, `$1`…; `None` where the system does not allow that.
fn with_mounts(script: &str, paths: &[&Path]) -> Option<Output> {
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", script, "sh"]).args(paths);
        command.output().ok()
    };
    if !isolated("mount -t tmpfs tmpfs /mnt").is_some_and(|tried| tried.status.success()) {
        #[expect(clippy::print_stderr, reason = "who reads the log should know what was not tried")]
        {
            eprintln!("skipped: this system lets nobody mount");
        }
        return None;
    }
    isolated(script)
}

/// What a writer leaves that was killed while it held the catalog open.
fn leave_unclean(store: &Path) {
    let path = store.join("catalog.redb");
    let database = redb::Database::open(&path).unwrap();
    database.begin_write().unwrap().commit().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    drop(database);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_queried_also_after_a_killed_writer() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    said("score {} --model small --window 96 --device cpu --track t --region chr1:101-140", &[&store]);
    let wanted = ok("query {} --format tsv", &[&store]);
    leave_unclean(&store);
    for locks in ["catalog.lock", "catalog.turnstile", "writer.lock"] {
        std::fs::remove_file(store.join(locks)).unwrap();
    }
    let script = "mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"; \
        if touch \"$1/x\" 2>/dev/null; then exit 9; fi; \
        \"$2\" query \"$1\" --format tsv; \"$2\" verify \"$1\" --quiet; \
        if \"$2\" compact \"$1\"; then exit 8; fi";
    let Some(output) = with_mounts(script, &[&store, &vestore()]) else { return };
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{} {told}", output.status);
    assert!(output.stdout == wanted.as_bytes(), "{told}");
    assert!(told.contains("copy it to modify it"), "{told}");
}

#[test]
fn a_full_disk_stops_a_run_that_goes_on_when_there_is_room() {
    const SCORE: &str = "score {} --model small --window 120 --device cpu --track t --score llr,distance --threads 1 --region chr1:1-2900 --quiet";
    let folder = tempfile::tempdir().unwrap();
    let (fresh, _) = store(folder.path());
    let copy = folder.path().join("undisturbed");
    assert!(Command::new("cp").arg("-r").args([&fresh, &copy]).status().unwrap().success());
    said(SCORE, &[&copy]);
    let wanted = ok("query {} --format tsv", &[&copy]);
    // Room for the store and two or three of its eight units.
    let script = "m=\"$3\"; mkdir \"$m\"; mount -t tmpfs -o size=64m tmpfs \"$m\"; cp -r \"$1\" \"$m/store\"; \
        used=$(du -sk \"$m\" | cut -f 1); mount -o remount,size=$((used + 200))k \"$m\"; \
        v=\"$2\"; score() { \"$v\" score \"$m/store\" --model small --window 120 --device cpu --track t --score llr,distance \
            --threads 1 --region chr1:1-2900 --quiet; }; \
        if score; then exit 9; fi; \"$2\" query \"$m/store\" --count >&2; \"$2\" verify \"$m/store\" --quiet >&2; \
        mount -o remount,size=64m \"$m\"; score; \"$2\" verify \"$m/store\" --quiet >&2; \
        \"$2\" query \"$m/store\" --format tsv";
    let mount = folder.path().join("mount");
    let Some(output) = with_mounts(script, &[&fresh, &vestore(), &mount]) else { return };
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{} {told}", output.status);
    assert!(told.contains("make room") && told.contains("continues from there"), "{told}");
    assert!(output.stdout == wanted.as_bytes(), "another answer than undisturbed: {told}");
    assert!(Store::open(&fresh).is_ok());
}
