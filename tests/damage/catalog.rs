//! Writing to a store whose catalog is damaged, and records without checksums.

use std::path::Path;

use crate::support::ScoreKind;
use redb::{Database, ReadableTable};
use vestore::{Request, Store, StoreError};
use vestore_schema::catalog::SEGMENTS;

use super::{ask, start};
use crate::crash::{Ground, ROOT, open, unit};
use crate::medium::MemoryDisk;
use crate::programs::fails;
use crate::store::Answer;
use crate::support::{Random, new_store, rounds, run, track, write};

/// Adds a segment at a place that nothing else has.
fn add(disk: &MemoryDisk) -> Result<(), StoreError> {
    let mut writer = open(disk)?.writer("test")?;
    let track = track("first", ScoreKind::LlrGrid);
    let segment = write(&mut writer, &track, &unit(7, 0, &track, 10));
    writer.commit(&[segment], &run(9, &track))
}

/// Whoever writes into a damaged catalog would make a good backup of it worthless, and what the damage hides
/// would be removed as orphans.
#[test]
fn a_damaged_catalog_is_not_written() {
    let ground = Ground::new();
    let disk = start(&ground);
    let state = disk.state();
    add(&disk).unwrap();
    let wanted: Answer = ask(&disk, &Request::default()).unwrap();
    let path = Path::new(ROOT).join("catalog.redb");
    let whole = state.clone().content(&path).clone();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut random = Random(11);
    let mut refused = 0;
    let mut check = |place: &str, damage: &dyn Fn(&mut Vec<u8>)| {
        let mut state = state.clone();
        damage(state.content(&path));
        let (before, damaged) = (state.files(), state.content(&path).clone());
        let disk = MemoryDisk::new(state, 1_700_000_000);
        match add(&disk) {
            Ok(()) => assert!(ask(&disk, &Request::default()).unwrap() == wanted, "{place}: rows lost"),
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("catalog.redb") && told.contains("backup"), "{place}: {told}");
                let mut after = disk.state();
                assert_eq!(after.files(), before, "{place}");
                assert!(*after.content(&path) == damaged, "{place}: written");
                refused += 1;
            }
        }
    };
    for _ in 0..rounds("VESTORE_FLIPS", 300) {
        let (at, bit) = (used[random.below(used.len() as u64) as usize], random.below(8));
        check(&format!("byte {at}, bit {bit}"), &|bytes| bytes[at] ^= 1 << bit);
    }
    for page in (0..whole.len()).step_by(4096) {
        check(&format!("page at {page}"), &|bytes| bytes[page..page + 4096].fill(0xa5));
    }
    for cut in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        check(&format!("cut to {cut}"), &|bytes| bytes.truncate(cut));
    }
    assert!(refused > 100, "{refused}");
}

/// Changes the JSON of the one segment's record, and gives it a checksum or none.
fn rewrite(store: &Store, with_checksum: bool, change: impl FnOnce(&str) -> String) {
    let database = Database::open(store.root().join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(SEGMENTS).unwrap();
        let old = table.first().unwrap().map(|(_, value)| value.value().to_vec()).unwrap();
        let json = change(String::from_utf8(old).unwrap().split_once('\n').unwrap().0);
        let sum = crc32fast::hash(format!("scores/t/0/0/1\n{json}").as_bytes());
        let record = if with_checksum { format!("{json}\n{sum:08x}") } else { json };
        table.insert(("scores", "t", 0, 0, 1), record.as_bytes()).unwrap();
    }
    transaction.commit().unwrap();
}

/// What is said, whether the record has a checksum, and what is done to its JSON.
type Case = (&'static str, bool, fn(&str) -> String);

#[test]
fn records_that_lack_something_or_lie_are_refused() {
    let cases: [Case; 3] = [
        ("it has no checksum", false, str::to_owned),
        ("missing field `tail`", true, |json| {
            let (before, tail) = json.split_once(r#","tail":{"#).unwrap();
            format!("{before}{}", tail.split_once('}').unwrap().1)
        }),
        ("last `4294967295`: not a position on its contig", true, |json| {
            json.replace(r#""last":9"#, r#""last":4294967295"#)
        }),
    ];
    for (reason, with_checksum, change) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = one_segment(folder.path());
        rewrite(&store, with_checksum, change);
        let told = fails(1, "query {} --format tsv", &[store.root()]);
        assert!(told.contains("catalog.redb") && told.contains("scores/t/0/0/1"), "{told}");
        assert!(told.contains(reason) && told.contains("backup"), "{told}");
    }
}

#[test]
fn a_segment_of_another_reference_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = one_segment(folder.path());
    rewrite(&store, true, |json| json.replace(r#""contig":"1""#, r#""contig":"9""#));
    let told = fails(1, "track remove {} t", &[store.root()]);
    assert!(
        told.contains("contig `9`: not the reference's contig of its key") && told.contains("backup"),
        "{told}"
    );
}

#[test]
fn a_segment_without_checksums_in_its_footer_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = one_segment(folder.path());
    let segment = store.all_segments().unwrap().remove(0);
    let path = store.root().join(segment.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let key = memchr::memmem::find(&bytes, b"vestore.blocks").unwrap();
    bytes[key] = b'V';
    std::fs::write(&path, &bytes).unwrap();
    let tail = crc32fast::hash(&bytes[segment.tail.start as usize..]);
    rewrite(&store, true, |json| json.replace(&segment.tail.crc32.to_string(), &tail.to_string()));
    let told = fails(1, "query {} --format tsv", &[store.root()]);
    assert!(told.contains("no checksums that fit") && told.contains("--drop-damaged"), "{told}");
}

/// A store of one segment.
fn one_segment(folder: &Path) -> Store {
    let store = new_store(&folder.join("s"), &["1"]);
    let track = track("t", ScoreKind::Llr);
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    let segment = write(&mut writer, &track, &unit(0, 0, &track, 10));
    writer.commit(&[segment], &run(1, &track)).unwrap();
    store
}
