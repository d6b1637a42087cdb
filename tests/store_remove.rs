//! Rows of one run, or of one status, are taken out of a track and scored again.

use vestore::{Request, Store, StoreError};
use vestore_schema::{Status, Table};

use crate::support::ScoreKind;

use crate::crash::unit;
use crate::programs::{fails, ok, said, vcf};
use crate::store::answer;
use crate::support::{new_store, run, track, write};

const SCORE: &str = "score {} --model small --window 96 --device cpu --track t --quiet";

fn statuses(store: &Store, table: Table) -> Vec<(Status, u64)> {
    let segments = store.all_segments().unwrap();
    let counts =
        segments.iter().filter(|segment| segment.table == table).flat_map(|segment| &segment.statuses);
    let mut sums = std::collections::BTreeMap::new();
    for (status, count) in counts {
        *sums.entry(*status).or_insert(0) += count;
    }
    sums.into_iter().collect()
}

#[test]
fn rows_of_a_run_go_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (place, _) = crate::programs::store(folder.path());
    said(&format!("{SCORE} --region chr1:1001-1400"), &[&place]);
    said(&format!("{SCORE} --region chr1:1001-1900"), &[&place]);
    said(
        "score {} --model small --window 48 --device cpu --track u --quiet --region chr1:1001-1010",
        &[&place],
    );
    let whole = ok("query {} --track t --format tsv", &[&place]);
    let store = Store::open(&place).unwrap();
    let runs: Vec<_> = store.all_segments().unwrap().iter().map(|segment| segment.runs.clone()).collect();
    assert_eq!(runs, [vec![1], vec![1], vec![2], vec![2], vec![3]]);
    let told = said("track remove {} t --run 2", &[&place]);
    assert!(told.contains("rows of run 2 removed from track t: 1500"), "{told}");
    let left = ok("query {} --track t --format tsv", &[&place]);
    assert_eq!(left.lines().count(), 1201);
    assert_eq!(ok("verify {} --quiet", &[&place]), "");
    assert!(store.runs().unwrap()[1].remarks.contains(&"its rows were removed".to_owned()));
    let again = said(&format!("{SCORE} --region chr1:1001-1900"), &[&place]);
    assert!(again.contains("1,500 rows written"), "{again}");
    assert!(ok("query {} --track t --format tsv", &[&place]) == whole);

    for (words, reason) in [
        ("track remove {} t --run 9", "track `t` has no run 9; expected run 1, run 2, run 4"),
        (
            "track remove {} t --run 3",
            "track `t` has no run 3, which wrote track `u`; expected run 1, run 2, run 4",
        ),
        ("track remove {} nothing --run 3", "the store has no track `nothing`; it has t, u"),
        (
            "track remove {} t --status non_finite",
            "track `t` has no row of status `non_finite`; it has scored",
        ),
    ] {
        let told = fails(1, words, &[&place]);
        assert!(told.contains(reason), "{told}");
    }
    let told = fails(2, "track remove {} t --status nan", &[&place]);
    assert!(
        told.contains("invalid value 'nan'") && told.contains("[possible values: scored, ref_mismatch"),
        "{told}"
    );
    fails(2, "track remove {} t --status scored --run 1", &[&place]);
    assert!(said("track remove {} t --run 2", &[&place]).contains("removed from track t: 0"));

    // Merged rows cannot be told apart any more.
    said("compact {} --quiet", &[&place]);
    let told = fails(1, "track remove {} t --run 4", &[&place]);
    assert!(told.contains("together with those of run 1") && told.contains("--status"), "{told}");
    assert!(ok("query {} --track t --format tsv", &[&place]) == whole);
}

#[test]
fn rows_of_a_status_go_from_every_table_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (place, bases) = crate::programs::store(folder.path());
    let variants = folder.path().join("v.vcf");
    let record = |number: u32| {
        let reference = char::from(bases[1000 + number as usize]);
        let alternate = if reference == 'A' { "C" } else { "A" };
        let alternate = if number.is_multiple_of(5) { "<DEL>" } else { alternate };
        ("chr1", 1001 + number, reference.to_string(), alternate.to_owned())
    };
    vcf(&variants, &(0..60).map(record).collect::<Vec<_>>());
    let score = format!("{SCORE} --embeddings pooled --variants {{}}");
    said(&score, &[&place, &variants]);
    let (whole, embeddings) =
        (ok("query {} --format tsv", &[&place]), ok("query {} --embeddings --format tsv", &[&place]));
    let store = Store::open(&place).unwrap();
    let before = [Table::Scores, Table::Embeddings].map(|table| statuses(&store, table));
    let (status, count) = *before[0].iter().find(|(status, _)| *status != Status::Scored).unwrap();
    let runs = store.all_segments().unwrap()[0].runs.clone();
    let told = said(&format!("track remove {{}} t --status {status}"), &[&place]);
    let removed: u64 = before.iter().flatten().filter(|(of, _)| *of == status).map(|(_, count)| count).sum();
    assert!(removed >= count && told.contains(&format!("track t: {removed};")), "{removed}: {told}");
    let after = [Table::Scores, Table::Embeddings].map(|table| statuses(&store, table));
    for (before, after) in before.iter().zip(&after) {
        assert!(before.iter().filter(|(of, _)| *of != status).eq(after));
    }
    assert!(store.all_segments().unwrap().iter().all(|segment| segment.runs == runs));
    assert_eq!(ok("verify {} --quiet", &[&place]), "");
    said(&score, &[&place, &variants]);
    assert!(ok("query {} --format tsv", &[&place]) == whole);
    assert!(ok("query {} --embeddings --format tsv", &[&place]) == embeddings);
    // Nothing is left of a status that all rows have; the track stays.
    said("track remove {} t --status scored", &[&place]);
    assert!(ok("track list {}", &[&place]).contains("\nt "));
}

#[test]
fn a_compacted_segment_names_the_runs_of_its_rows_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1", "2"]);
    let track = track("t", ScoreKind::Llr);
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    for (number, contig) in [(1, 0), (2, 0), (3, 0), (4, 1)] {
        let segment = write(&mut writer, &track, &unit(number, contig, &track, 40));
        writer.commit(&[segment], &run(number, &track)).unwrap();
    }
    writer.compact_to(80, false, |_| {}).unwrap();
    let runs: Vec<_> = store.all_segments().unwrap().iter().map(|segment| segment.runs.clone()).collect();
    assert_eq!(runs, [vec![1, 2], vec![3], vec![4]]);
    let error = writer.remove_run("t", 1).unwrap_err();
    assert!(matches!(&error, StoreError::SharedRun { with, .. } if *with == [2]), "{error}");
    assert_eq!(writer.remove_run("t", 4).unwrap(), 40);
    assert_eq!(answer(&store, &Request::default()).len(), 120);
}
