//! A frozen store of format version 1, made by the vestore that wrote it: read as it is, continued, upgraded.

use std::fs;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use redb::ReadableTable;
use vestore::Store;
use vestore_schema::Digest;
use vestore_schema::catalog::{META, STORE};

use crate::programs::{fails, ok, said, workspace};

/// SHA-256 of its embeddings as text.
const EMBEDDINGS: &str = "32569cd05bf36483bee8f71191b8520fa3d3bc5a59c791c16ac6aa374018b201";

fn fixture(name: &str) -> PathBuf {
    workspace().join("tests/fixtures/format1").join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A copy of the store whose reference lies where it is here.
fn frozen(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    copy(&fixture("store"), &store);
    let database = redb::Database::open(store.join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(META).unwrap();
        let old = String::from_utf8(table.get(STORE).unwrap().unwrap().value().to_vec()).unwrap();
        let place = serde_json::to_string(&fixture("genome.fa")).unwrap();
        let json = old.split_once('\n').unwrap().0.replace("\"/data/genome.fa\"", &place);
        let sum = crc32fast::hash(format!("{STORE}\n{json}").as_bytes());
        table.insert(STORE, format!("{json}\n{sum:08x}").as_bytes()).unwrap();
    }
    transaction.commit().unwrap();
    store
}

/// The rows that the old program gave of its tracks.
fn check_rows(store: &Path) {
    let wanted = fs::read_to_string(fixture("rows.tsv")).unwrap();
    assert!(ok("query {} --track imported --track scored --format tsv", &[store]) == wanted);
    let wanted = fs::read_to_string(fixture("ablation.tsv")).unwrap();
    assert_eq!(ok("query {} --ablation --format tsv", &[store]), wanted);
    let embeddings = ok("query {} --embeddings --format tsv", &[store]);
    assert_eq!(Digest::of(embeddings.as_bytes()).to_string(), EMBEDDINGS);
    assert_eq!(ok("verify {} --quiet", &[store]), "");
}

/// The physical and logical type of every segment's positions and layers, and the version of its footer.
fn types(store: &Path) -> Vec<(String, String)> {
    let segments = Store::open(store).unwrap().all_segments().unwrap();
    let of = |path: String| {
        let file = SerializedFileReader::new(fs::File::open(store.join(path)).unwrap()).unwrap();
        let metadata = file.metadata().file_metadata();
        let columns = metadata.schema_descr().columns().iter();
        let integers = columns.filter(|column| ["position", "layer"].contains(&column.name()));
        let kinds =
            integers.map(|column| format!("{:?} {:?}", column.physical_type(), column.logical_type_ref()));
        let keys = metadata.key_value_metadata().unwrap();
        let format = keys.iter().find(|key| key.key == "vestore.format").unwrap().value.clone().unwrap();
        (kinds.collect::<Vec<_>>().join(", "), format)
    };
    segments.iter().map(|segment| of(segment.path())).collect()
}

#[test]
fn a_store_of_version_1_is_read_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = frozen(folder.path());
    let catalog = fs::read(store.join("catalog.redb")).unwrap();
    check_rows(&store);
    assert!(ok("info {}", &[&store]).contains("format version 1"));
    assert!(types(&store).iter().all(|(_, format)| format.contains("\"version\":1")));
    // Positions of both versions are the same column to whoever asks.
    let shown = ok("query {} 01:700-1300 --track scored --where position>1199 --format tsv", &[&store]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(fs::read(store.join("catalog.redb")).unwrap() == catalog, "reading changed the catalog");
}

#[test]
fn a_store_of_version_1_is_continued_and_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let store = frozen(folder.path());
    let table = folder.path().join("more.tsv");
    let old = fs::read_to_string(fixture("rows.tsv")).unwrap();
    let lines = old.lines().filter(|line| line.contains("\timported\t"));
    let lines: String =
        lines.map(|line| line.split('\t').take(4).collect::<Vec<_>>().join("\t") + "\t1\n").collect();
    fs::write(&table, format!("contig\tposition\treference\talternate\tone\n{lines}")).unwrap();
    let told = said("import {} --track more {} --columns one --quiet", &[&store, &table]);
    assert!(told.contains("format version 1; the first change raises it to 3"), "{told}");
    check_rows(&store);
    assert!(ok("info {}", &[&store]).contains("format version 3"));
    let (one, two): (Vec<_>, Vec<_>) =
        types(&store).into_iter().partition(|(_, format)| format.contains("\"version\":1"));
    assert_eq!((one.len(), two.len()), (9, 4));
    assert!(two.iter().all(|(kinds, _)| kinds == "INT32 None"), "{two:?}");

    // The run that scored them is older than the record of which run wrote what.
    let told = fails(1, "track remove {} scored --run 1", &[&store]);
    assert!(told.contains("format version 1 did not record"), "{told}");
    let told = said("compact {} --quiet", &[&store]);
    assert!(told.contains("0 segments") && !told.contains("raises it"), "{told}");
    said("compact {} --upgrade --quiet", &[&store]);
    let upgraded = types(&store);
    assert_eq!(upgraded.len(), 13);
    assert!(
        upgraded
            .iter()
            .all(|(kinds, format)| format.contains("\"version\":3") && !kinds.contains("is_signed: false"))
    );
    check_rows(&store);
    let told = fails(1, "track remove {} scored --run 1", &[&store]);
    assert!(told.contains("format version 1 did not record"), "{told}");
    assert!(said("compact {} --upgrade --quiet", &[&store]).contains("0 segments"));
}

#[test]
fn a_track_of_version_1_is_scored_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = frozen(folder.path());
    ok("model add {} small --checkpoint {}", &[&store, &workspace().join("examples/model")]);
    let told = said(
        "score {} --model small --region X:690-720 --window 96 --device cpu --threads 1 --track scored --quiet",
        &[&store],
    );
    assert!(told.contains("91 rows written"), "{told}");
    let rows = ok("query {} --track scored --format tsv", &[&store]);
    // Without the columns of the other track.
    let wanted = fs::read_to_string(fixture("rows.tsv")).unwrap();
    let cells = wanted.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let before: Vec<_> = cells.filter(|cells| cells[5] == "scored").collect();
    let kept =
        |cells: &Vec<&str>| rows.lines().any(|line| line == [&cells[..7], &cells[9..]].concat().join("\t"));
    assert!(before.len() == 12 && before.iter().all(kept));
    assert_eq!(rows.lines().count(), 1 + 12 + 91);
    // Old and new segments of one contig become one.
    said("compact {} --quiet", &[&store]);
    assert!(ok("query {} --track scored --format tsv", &[&store]) == rows);
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
}

#[test]
fn effects_are_written_into_a_store_of_version_1() {
    let folder = tempfile::tempdir().unwrap();
    let root = frozen(folder.path());
    let (store, names) = (Store::open(&root).unwrap(), crate::effects::names(4));
    assert_eq!(ok("query {} --effects --format tsv", &[&root]).lines().count(), 1);
    let track = crate::effects::effect_track("t", &names);
    assert!(store.target_names(&track).is_err(), "the table of names is not there");
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    let mut rows = crate::effects::random_rows(&mut crate::support::Random(1), &track, 0, 9);
    rows.retain(|(row, _)| row.variant.position.zero_based() < 2000);
    crate::effects::commit(&mut writer, &track, 99, &rows).unwrap();
    drop(writer);
    assert_eq!(store.target_names(&track).unwrap(), names);
    assert!(ok("query {} --effects --format tsv", &[&root]).lines().count() > 5);
    check_rows(&root);
}
