//! Runs that are killed at any moment and started again end with the same bytes in every score.

use std::path::Path;
use std::process::{Child, Stdio};

use vestore::Store;
use vestore_schema::Table;

use crate::interrupt::signal;
use crate::programs::{command, fails, ok, said, store};
use crate::splice;
use crate::support::{Random, rounds};

const SCORE: &str = "score {} --model small --window 120 --device cpu --track t --score llr,distance --threads 1 --region chr1:1-2900 --quiet";

const SPLICE: &str = "score {} --model mini --genes genes.gtf --distance 10 --device cpu --track t --threads 1 --region chr1:1-2900 --quiet";

fn stored(store: &Path) -> u64 {
    let segments = Store::open(store).unwrap().all_segments().unwrap();
    segments.iter().filter(|segment| segment.table == Table::Scores).map(|segment| segment.rows).sum()
}

fn start(score: &str, store: &Path) -> Child {
    command(score, &[store]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// All rows of a store's track.
fn rows_of(store: &Path) -> String {
    ok("query {} --format tsv", &[store]) + &ok("query {} --gene-effects --format tsv", &[store])
}

/// Each round waits until a random share of the rows is committed, reads the store as other processes
/// do, kills the run a little later, and reads again before anybody has cleaned up.
fn kill_and_resume(score: &str, fresh: &Path, rounds: u64, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = folder.path().join("undisturbed");
    copy(fresh, &undisturbed);
    said(score, &[&undisturbed]);
    let wanted = rows_of(&undisturbed);
    let total = stored(&undisturbed);
    assert_eq!(total, 2900 * 3);
    let mut random = Random(seed);
    let mut landed = 0;
    for round in 0..rounds {
        let target = folder.path().join(format!("round{round}"));
        copy(fresh, &target);
        let mut child = start(score, &target);
        let share = total * (10 + random.below(80)) / 100;
        let mut seen = 0;
        while seen < share && child.try_wait().unwrap().is_none() {
            let now = stored(&target);
            assert!(now >= seen, "committed rows vanished: {seen}, then {now}");
            seen = now;
        }
        for _ in 0..random.below(60) {
            stored(&target);
        }
        let running = ok("query {} --count", &[&target]).trim().parse::<u64>().unwrap();
        assert!(running >= seen);
        landed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let left = rows_of(&target);
        assert!(left.lines().count() as u64 > running, "rows that were seen must stay");
        assert!(left.lines().all(|line| wanted.contains(line)));
        said(score, &[&target]);
        assert!(rows_of(&target) == wanted, "round {round} ended with other rows");
        assert_eq!(ok("verify {} --quiet", &[&target]), "");
        std::fs::remove_dir_all(&target).unwrap();
    }
    assert!(landed * 2 >= rounds, "only {landed} of {rounds} kills met a run that was still going");
}

/// The lock goes with the process; what it left written there names nobody who holds the store no more.
#[test]
fn a_killed_writer_leaves_the_lock_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    // Long enough to be still going when its first rows are there; then it is held.
    let words = SCORE.replace("chr1:1-2900", "chr1:1-6000");
    let mut child = command(&words, &[&store]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while stored(&store) == 0 && child.try_wait().unwrap().is_none() {}
    signal(&child, "-STOP");
    let killed = format!("process {}", child.id());
    let told = fails(1, "compact {}", &[&store]);
    assert!(told.contains(&killed), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
    let opened = Store::open(&store).unwrap();
    let writer = opened.writer("vestore compact").unwrap();
    let told = fails(1, "track remove {} t", &[&store]);
    assert!(told.contains("vestore compact") && !told.contains(&killed), "{told}");
    drop(writer);
    let told = said("compact {}", &[&store]);
    assert!(!told.contains(&killed), "{told}");
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    // More in the long run.
    let folder = tempfile::tempdir().unwrap();
    let (fresh, _) = store(folder.path());
    kill_and_resume(SCORE, &fresh, rounds("VESTORE_KILLS", 20), 1);
}

#[test]
fn a_killed_splice_run_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, genes, _) = splice::prepare(folder.path());
    ok("genes add {} {}", &[&fresh, &genes]);
    kill_and_resume(SPLICE, &fresh, rounds("VESTORE_KILLS", 4), 2);
}
