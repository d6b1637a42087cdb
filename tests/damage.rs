//! Flipped bits and truncation anywhere in any file of a store.

mod catalog;

use std::path::Path;

use vestore::{Damage, ImportOptions, QueryPlan, Request, Store, StoreError, import};
use vestore_schema::Region;

use crate::support::ScoreKind;

use crate::crash::{Ground, ROOT, empty_disk, open, unit};
use crate::medium::{MemoryDisk, State};
use crate::programs::{fails, ok, run as run_binary, said};
use crate::store::{Answer, rows_of};
use crate::support::{Random, run, track, write};

/// Two tracks of a few segments each, one of more than one block, one imported.
fn start(ground: &Ground) -> MemoryDisk {
    let disk = empty_disk();
    let store = ground.create(&disk).unwrap();
    let (first, second) = (track("first", ScoreKind::LlrGrid), track("second", ScoreKind::Distance));
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&first).unwrap();
    writer.put_track(&second).unwrap();
    for (number, track, count) in [(1, &first, 60), (2, &first, 60), (1, &second, 3000)] {
        let segment = write(&mut writer, track, &unit(number, 0, track, count));
        writer.commit(&[segment], &run(number, track)).unwrap();
    }
    drop(writer);
    let table = ground.table(100, 40);
    import(&store, "others", &table, &ImportOptions::default(), "test", |_| {}).unwrap();
    disk
}

fn ask(disk: &MemoryDisk, request: &Request) -> Result<Answer, StoreError> {
    let store = open(disk)?;
    let plan = QueryPlan::new(&store, request)?;
    let mut rows = Answer::new();
    for batch in plan.rows() {
        rows.extend(rows_of(&store, &batch?));
    }
    Ok(rows)
}

fn verify(disk: &MemoryDisk) -> Result<Vec<Damage>, StoreError> {
    open(disk)?.verify(|_| {})
}

/// Whole answers, and those of a region that needs a part of each file.
fn requests() -> [Request; 2] {
    let region = Region { contig: 0, start: 120, end: 1300 };
    [Request::default(), Request { regions: vec![region], ..Request::default() }]
}

/// Damages a file as `damage` says, and looks what comes of it; gives whether it was told.
fn check(
    state: &State,
    path: &Path,
    answers: &[Answer],
    damage: impl FnOnce(&mut Vec<u8>),
    place: &str,
) -> bool {
    let mut state = state.clone();
    damage(state.content(path));
    let disk = MemoryDisk::new(state, 1_700_000_000);
    let found = verify(&disk);
    let is_catalog = path.extension().is_some_and(|extension| extension == "redb");
    for (request, whole) in requests().iter().zip(answers) {
        match ask(&disk, request) {
            // A catalog that lost a page may hide rows, which `verify` tells; it never alters one.
            Ok(rows) if rows.len() < whole.len() && is_catalog => {
                assert!(rows.iter().all(|row| whole.contains(row)), "{place}: damage became an answer");
                assert!(
                    !matches!(&found, Ok(damage) if damage.is_empty()),
                    "{place}: rows vanished in silence"
                );
            }
            Ok(rows) => assert!(rows == *whole, "{place}: damage became an answer"),
            Err(error) => {
                let told = error.to_string();
                let named = is_catalog
                    || told.contains("track `") && told.contains("chr1:") && told.contains("--drop-damaged");
                assert!(named, "{place}: {told}");
                assert!(
                    !matches!(&found, Ok(damage) if damage.is_empty()),
                    "{place}: a query found what verify did not"
                );
            }
        }
    }
    match found {
        Ok(damage) => damage.iter().any(Damage::is_loss),
        Err(_) => true,
    }
}

#[test]
fn no_flipped_bit_or_cut_of_a_segment_becomes_a_score() {
    let ground = Ground::new();
    let disk = start(&ground);
    let answers = requests().map(|request| ask(&disk, &request).unwrap());
    assert!(answers[1].len() > 1000 && answers[0].len() > 3100);
    let state = disk.state();
    let mut random = Random(3);
    let segments: Vec<_> = state
        .files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .collect();
    assert_eq!(segments.len(), 4);
    for path in &segments {
        let length = state.clone().content(path).len() as u64;
        // The tail is a maze of its own; the rest is pages.
        for _ in 0..60 {
            let (at, bit) = (random.below(length) as usize, random.below(8));
            let place = format!("{}, byte {at} of {length}, bit {bit}", path.display());
            assert!(
                check(&state, path, &answers, |bytes| bytes[at] ^= 1 << bit, &place),
                "{place}: not found"
            );
        }
        for cut in [0, 1, 4, 8, length / 2, length - 1] {
            let place = format!("{}, cut to {cut}", path.display());
            assert!(
                check(&state, path, &answers, |bytes| bytes.truncate(cut as usize), &place),
                "{place}: not found"
            );
        }
        // Another whole segment under its name.
        let other = segments.iter().find(|other| *other != path).unwrap();
        let bytes = state.clone().content(other).clone();
        assert!(check(&state, path, &answers, |own| *own = bytes, "exchanged"), "{}", path.display());
    }
}

#[test]
fn a_damaged_catalog_is_told_and_never_answers_otherwise() {
    let ground = Ground::new();
    let disk = start(&ground);
    let answers = requests().map(|request| ask(&disk, &request).unwrap());
    let state = disk.state();
    let path = Path::new(ROOT).join("catalog.redb");
    let whole = state.clone().content(&path).clone();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut random = Random(5);
    let mut told = 0;
    for _ in 0..300 {
        let (at, bit) = (used[random.below(used.len() as u64) as usize], random.below(8));
        let place = format!("catalog.redb, byte {at}, bit {bit}");
        told += u32::from(check(&state, &path, &answers, |bytes| bytes[at] ^= 1 << bit, &place));
    }
    // Pages that no tree refers to any more hold nothing that could be lost.
    assert!(told > 100, "{told} of 300");
    for cut in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        check(&state, &path, &answers, |bytes| bytes.truncate(cut), &format!("catalog.redb, cut to {cut}"));
    }
}

#[test]
fn damaged_rows_are_dropped_and_made_anew_alone() {
    let ground = Ground::new();
    let disk = start(&ground);
    let whole = ask(&disk, &Request::default()).unwrap();
    let mut state = disk.state();
    let path = state.files().into_iter().find(|path| path.to_str().unwrap().contains("track=first")).unwrap();
    state.content(&path)[200] ^= 1;
    let disk = MemoryDisk::new(state, 1_700_000_000);
    let damage = verify(&disk).unwrap();
    let [Damage::Segment { segment, .. }] = &damage[..] else { panic!("{damage:?}") };
    let told = damage[0].to_string();
    assert!(told.contains("60 rows of track first on chr1:101-160"), "{told}");
    let store: Store = open(&disk).unwrap();
    let mut writer = store.writer("test").unwrap();
    assert_eq!(writer.drop_segments(std::slice::from_ref(segment)).unwrap(), 60);
    assert_eq!(ask(&disk, &Request::default()).unwrap().len(), whole.len() - 60);
    let first = track("first", ScoreKind::LlrGrid);
    let segment = write(&mut writer, &first, &unit(1, 0, &first, 60));
    writer.commit(&[segment], &run(3, &first)).unwrap();
    assert!(ask(&disk, &Request::default()).unwrap() == whole);
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}

/// Through the command line: the damage is named, and the same command that scored recomputes it alone.
#[test]
fn what_verify_drops_the_same_command_scores_anew() {
    const SCORE: &str = "score {} --model small --window 96 --device cpu --track t --region chr1:1001-1800";
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = crate::programs::store(folder.path());
    said(SCORE, &[&store]);
    let wanted = ok("query {} --format tsv", &[&store]);
    let segments = Store::open(&store).unwrap().all_segments().unwrap();
    assert_eq!(segments.len(), 3);
    let path = store.join(segments[1].path());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 2;
    std::fs::write(&path, &bytes).unwrap();
    let range = format!("chr1:{}-{}", segments[1].first.one_based(), segments[1].last.one_based());
    let message = fails(1, "query {} --format tsv", &[&store]);
    assert!(message.contains("track `t`") && message.contains(&range), "{message}");
    let found = run_binary("verify {} --quiet", &[&store]);
    let listed = String::from_utf8(found.stdout).unwrap();
    let remedy = String::from_utf8(found.stderr).unwrap();
    assert!(listed.contains(&range) && listed.contains("1152 rows of track t"), "{listed}");
    assert!(!found.status.success() && remedy.contains("--drop-damaged"), "{remedy}");
    said("verify {} --quiet --drop-damaged", &[&store]);
    let again = said(SCORE, &[&store]);
    assert!(again.contains("1,152 rows written"), "{again}");
    assert!(ok("query {} --format tsv", &[&store]) == wanted);
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
}
