//! The store's promises, checked on its library.

use std::collections::BTreeMap;
use std::fs;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use vestore::{AnswerRows, Format, QueryPlan, Request, ScoreRow, Store, StoreError, write_rows};
use vestore_schema::{Architecture, Region, Table, TokenizerKind, Track, Variant};

use crate::support::ScoreKind;

use crate::support::{Random, model, new_store, random_row, run, track, write};

/// What a query gives, row by row: variant, track, scores, status.
pub(crate) type Answer = Vec<(Variant, String, Vec<Option<f32>>, String)>;

pub(crate) fn rows_of(store: &Store, batch: &RecordBatch) -> Answer {
    let rows = AnswerRows::of(batch);
    (0..batch.num_rows())
        .map(|row| {
            let variant = rows.variant(store, row).unwrap();
            let scores = batch.columns()[7..]
                .iter()
                .map(|column| column.as_primitive::<Float32Type>())
                .map(|column| column.is_valid(row).then(|| column.value(row)))
                .collect();
            (variant, rows.track(row).to_owned(), scores, rows.status(row).to_owned())
        })
        .collect()
}

pub(crate) fn answer(store: &Store, request: &Request) -> Answer {
    let plan = QueryPlan::new(store, request).unwrap();
    plan.rows().flat_map(|batch| rows_of(store, &batch.unwrap())).collect()
}

/// A store of two tracks with overlapping segments, and a plain map of what is in it.
pub(crate) fn random_store(
    root: &std::path::Path,
    seed: u64,
) -> (Store, Vec<Track>, BTreeMap<(Variant, usize), ScoreRow>) {
    let store = new_store(root, &["1", "HLA-A*01:01", "2"]);
    let tracks = vec![track("first", ScoreKind::Llr), track("second.d", ScoreKind::Distance)];
    let mut model = BTreeMap::new();
    let mut random = Random(seed);
    let mut writer = store.writer("test").unwrap();
    for track in &tracks {
        writer.put_track(track).unwrap();
    }
    for number in 0..12 {
        let which = random.below(2) as usize;
        let contig = random.below(3) as u32;
        let count = 1 + random.below(if number == 0 { 30_000 } else { 3000 });
        let mut rows: BTreeMap<Variant, ScoreRow> = BTreeMap::new();
        for _ in 0..count {
            let row = random_row(&mut random, &tracks[which], contig, 20_000);
            if !model.contains_key(&(row.variant.clone(), which)) {
                rows.insert(row.variant.clone(), row);
            }
        }
        let rows: Vec<ScoreRow> = rows.into_values().collect();
        let segment = write(&mut writer, &tracks[which], &rows);
        writer.commit(&[segment], &run(number, &tracks[which])).unwrap();
        model.extend(rows.into_iter().map(|row| ((row.variant.clone(), which), row)));
    }
    (store, tracks, model)
}

fn expected(
    tracks: &[Track],
    model: &BTreeMap<(Variant, usize), ScoreRow>,
    wanted: impl Fn(&Variant, usize) -> bool,
) -> Answer {
    model
        .iter()
        .filter(|((variant, track), _)| wanted(variant, *track))
        .map(|((variant, track), row)| {
            // Columns of both tracks stand side by side: three of the first, eight of the second.
            let mut scores = vec![None; 11];
            let from = if *track == 0 { 0 } else { 3 };
            scores[from..from + row.values.len()].clone_from_slice(&row.values);
            (variant.clone(), tracks[*track].name.clone(), scores, row.status.as_str().to_owned())
        })
        .collect()
}

#[test]
fn queries_equal_a_plain_map() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 11);
    assert_eq!(answer(&store, &Request::default()), expected(&tracks, &model, |_, _| true));
    let mut random = Random(5);
    for _ in 0..60 {
        let mut regions = Vec::new();
        for _ in 0..random.below(4) {
            let start = random.below(21_000) as u32;
            let longest = if random.below(2) == 0 { 10 } else { 5000 };
            let end = start + 1 + random.below(longest) as u32;
            regions.push(Region { contig: random.below(3) as u32, start, end });
        }
        let mut variants: Vec<Variant> = Vec::new();
        for _ in 0..random.below(5) {
            let nth = random.below(model.len() as u64) as usize;
            variants.extend(model.keys().nth(nth).map(|(variant, _)| variant.clone()));
        }
        if regions.is_empty() && variants.is_empty() {
            continue;
        }
        let request =
            Request { regions: regions.clone(), variants: variants.clone().into(), ..Request::default() };
        let wanted = expected(&tracks, &model, |variant, _| {
            variants.contains(variant)
                || regions
                    .iter()
                    .any(|region| region.contig == variant.contig && region.contains(variant.position))
        });
        assert_eq!(answer(&store, &request), wanted, "{request:?}");
    }
}

/// An Arrow file holds one dictionary a field, whatever was merged into its batches.
#[test]
fn merged_rows_go_into_one_arrow_file() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 21);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    for format in [Format::ArrowFile, Format::ArrowStream, Format::Parquet] {
        let mut bytes = Vec::new();
        let count = write_rows(format, plan.schema(), plan.rows(), &mut bytes).unwrap();
        assert_eq!(count, model.len() as u64);
    }
    let mut bytes = Vec::new();
    write_rows(Format::ArrowFile, plan.schema(), plan.rows(), &mut bytes).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    let read: Answer = reader.flat_map(|batch| rows_of(&store, &batch.unwrap())).collect();
    assert_eq!(read, answer(&store, &Request::default()));
}

#[test]
fn one_track_is_read_without_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 3);
    let request = Request { tracks: vec!["first".to_owned()], ..Request::default() };
    let mut wanted = expected(&tracks, &model, |_, track| track == 0);
    for row in &mut wanted {
        row.2.truncate(3);
    }
    assert_eq!(answer(&store, &request), wanted);
    let unknown = Request { tracks: vec!["third".to_owned()], ..Request::default() };
    let message = QueryPlan::new(&store, &unknown).unwrap_err().to_string();
    assert!(message.contains("third") && message.contains("first, second.d"), "{message}");
}

#[test]
fn a_snapshot_stays_readable_while_a_run_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 4);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let mut rows = plan.rows();
    let mut seen = rows_of(&store, &rows.next().unwrap().unwrap());
    let mut writer = store.writer("test").unwrap();
    let mut random = Random(9);
    let row = random_row(&mut random, &tracks[0], 2, 90_000);
    let segment = write(&mut writer, &tracks[0], std::slice::from_ref(&row));
    writer.commit(&[segment], &run(99, &tracks[0])).unwrap();
    drop(writer);
    seen.extend(rows.flat_map(|batch| rows_of(&store, &batch.unwrap())));
    assert_eq!(seen, expected(&tracks, &model, |_, _| true));
    assert_eq!(answer(&store, &Request::default()).len(), model.len() + 1);
}

#[test]
fn a_second_writer_is_told_who_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let writer = store.writer("vestore score s --model nt").unwrap();
    let error = store.writer("another").unwrap_err();
    assert!(matches!(&error, StoreError::Locked { holder, .. }
        if holder.contains("vestore score s --model nt") && holder.contains(&std::process::id().to_string())));
    drop(writer);
    store.writer("another").unwrap();
}

#[test]
fn names_and_identities_of_tracks_are_one_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let mut writer = store.writer("test").unwrap();
    let first = track("first", ScoreKind::Llr);
    writer.put_track(&first).unwrap();
    writer.put_track(&first).unwrap();
    let renamed = Track { name: "renamed".to_owned(), ..first.clone() };
    assert!(writer.put_track(&renamed).unwrap_err().to_string().contains("`first`"));
    let other = Track { name: "first".to_owned(), ..track("second", ScoreKind::Llr) };
    assert!(matches!(writer.put_track(&other), Err(StoreError::Conflict { .. })));
    assert_eq!(store.snapshot().unwrap().tracks, [first]);
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let mut writer = store.writer("test").unwrap();
    // As the record of a model with three positions, two of which are padding and its own start.
    let mut small = model("small");
    if let Architecture::Encoder(encoder) = &mut small.architecture {
        encoder.max_tokens = Some(1);
    }
    writer.put_model(&small).unwrap();
    let mut wordless = model("wordless");
    if let Architecture::Encoder(encoder) = &mut wordless.architecture {
        encoder.tokenizer = TokenizerKind::Kmer(0);
    }
    assert!(matches!(writer.put_model(&wordless), Err(StoreError::Conflict { .. })));
    let mut positions = track("t", ScoreKind::Llr);
    positions.columns[1] = "position".to_owned();
    assert!(matches!(writer.put_track(&positions), Err(StoreError::Conflict { .. })));
    // A name that no answer has is a score's, as imports of earlier versions may have it.
    let mut layer = track("layer", ScoreKind::Llr);
    layer.columns[1] = "layer".to_owned();
    writer.put_track(&layer).unwrap();
    drop(writer);
    let found = store.snapshot().unwrap();
    assert_eq!((found.models, found.tracks), (vec![small], vec![layer]));
    assert!(store.verify(|_| {}).unwrap().is_empty());
}

#[test]
fn orphans_are_reported_and_removed_by_the_next_writer() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 8);
    let mut writer = store.writer("test").unwrap();
    let mut random = Random(1);
    let row = random_row(&mut random, &tracks[0], 0, 50_000);
    let segment = write(&mut writer, &tracks[0], &[row]); // written, never committed
    drop(writer);
    let orphan = store.root().join(segment.path());
    let partial = orphan.with_extension("parquet.partial");
    // As a writer that is killed in the midst of a commit leaves it.
    fs::rename(&partial, &orphan).unwrap();
    fs::write(&partial, b"half").unwrap();
    let foreign = orphan.with_file_name("notes.txt");
    fs::write(&foreign, b"mine").unwrap();
    assert_eq!(answer(&store, &Request::default()).len(), model.len());
    assert_eq!(store.verify(|_| {}).unwrap().len(), 2);
    drop(store.writer("test").unwrap());
    assert!(!orphan.exists() && !partial.exists() && foreign.exists());
    assert!(store.verify(|_| {}).unwrap().is_empty());
}

#[test]
fn damage_is_found_and_never_returned_as_a_score() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 6);
    let segment = store.all_segments().unwrap().into_iter().max_by_key(|segment| segment.bytes).unwrap();
    let path = store.root().join(segment.path());
    let whole = fs::read(&path).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 4;
    fs::write(&path, &flipped).unwrap();
    let damage = store.verify(|_| {}).unwrap();
    assert_eq!(damage.len(), 1);
    assert!(damage[0].to_string().contains("checksum"), "{}", damage[0]);

    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    assert!(store.verify(|_| {}).unwrap()[0].to_string().contains("bytes long"));
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let failed = plan.rows().find_map(Result::err).unwrap();
    assert!(matches!(&failed, StoreError::Damaged { track, .. } if *track == segment.track), "{failed}");

    fs::remove_file(&path).unwrap();
    assert!(store.verify(|_| {}).unwrap()[0].to_string().contains("missing"));
    fs::write(&path, &whole).unwrap();
    assert!(store.verify(|_| {}).unwrap().is_empty());
}

#[test]
fn a_store_of_a_later_format_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    {
        use vestore_schema::catalog::{FORMAT, META};
        let database = redb::Database::open(store.root().join("catalog.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        let later = r#"{"version": 7, "features": []}"#;
        let later = format!("{later}\n{:08x}", crc32fast::hash(format!("format\n{later}").as_bytes()));
        transaction.open_table(META).unwrap().insert(FORMAT, later.as_bytes()).unwrap();
        transaction.commit().unwrap();
    }
    let message = Store::open(store.root()).unwrap_err().to_string();
    assert!(message.contains("version 7") && message.contains("versions 1 to 3"), "{message}");
    assert!(store.writer("test").is_err());
}

#[test]
fn what_is_no_store_is_said_to_be_none_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    assert!(matches!(Store::open(&nothing), Err(StoreError::NotAStore { .. })));
    assert!(!nothing.exists());
    assert!(matches!(Store::open(folder.path()), Err(StoreError::NotAStore { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A reader needs no right to write, and repairs in memory what a killed writer left unclean.
#[test]
fn an_unclean_catalog_is_read_without_writing_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 2);
    // redb marks the file when it opens it and unmarks it when it closes: a copy taken between is what
    // a killed writer leaves.
    let unclean = {
        let path = store.root().join("catalog.redb");
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.commit().unwrap();
        fs::read(&path).unwrap()
    };
    let path = store.root().join("catalog.redb");
    fs::write(&path, &unclean).unwrap();
    assert!(redb::ReadOnlyDatabase::open(&path).is_err(), "the copy should need repair");
    assert_eq!(answer(&store, &Request::default()).len(), model.len());
    assert_eq!(fs::read(&path).unwrap(), unclean);
    drop(store.writer("test").unwrap());
    assert_eq!(answer(&store, &Request::default()).len(), model.len());
}

#[test]
fn a_failed_write_stops_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let first = track("first", ScoreKind::Llr);
    let mut writer = store.writer("test").unwrap();
    let failing = [Err(StoreError::NotAStore { path: "x".into() })];
    assert!(writer.write(Table::Scores, &first, None, 0, failing).is_err());
    assert!(matches!(writer.put_run(&run(1, &first)), Err(StoreError::Poisoned { .. })));
    drop(writer);
    store.writer("test").unwrap().put_run(&run(1, &first)).unwrap();
}

#[test]
fn text_formats_are_exact_and_missing_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 12);
    let plan =
        QueryPlan::new(&store, &Request { tracks: vec!["first".into()], ..Request::default() }).unwrap();
    let mut text = Vec::new();
    let count = write_rows(Format::Tsv, plan.schema(), plan.rows(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    let header =
        "contig\tposition\treference\talternate\tmodel\ttrack\tstatus\tllr\tllr_forward\tllr_reverse";
    assert_eq!(lines.next(), Some(header));
    let rows: Vec<&ScoreRow> =
        model.iter().filter(|((_, track), _)| *track == 0).map(|(_, row)| row).collect();
    assert_eq!(count, rows.len() as u64);
    for (line, row) in lines.zip(rows) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells[1], row.variant.position.one_based().to_string());
        assert_eq!(cells[6], row.status.as_str());
        for (cell, value) in cells[7..].iter().zip(&row.values) {
            assert_eq!(cell.parse::<f32>().ok(), *value, "{line}");
        }
    }
    let mut json = Vec::new();
    write_rows(Format::Json, plan.schema(), plan.rows(), &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len() as u64, count);
    assert!(json.as_array().unwrap().iter().any(|row| row["llr"].is_null()));
}
