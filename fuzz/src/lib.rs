//! What the fuzz targets share: a folder of the process for what is handed in as files, and a small store.

mod segment;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use vestore::{
    Disk, ImportOptions, KeyColumns, LabelledRow, LabelledRows, QueryPlan, Record, Reference, ReferenceError, Request,
    Store, Study, VariantSource, read_fasta,
};
use vestore_schema::catalog::{
    FORMAT, META, MODELS, NEXT_SEGMENT, REPORTS, RUNS, SEGMENTS, STORE as STORE_RECORD, TRACKS,
};
use vestore_schema::{Assembly, Contig, Digest, StoreRecord};

pub use segment::use_segment;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    // A panic that the program catches, of a library over a damaged file, is not a finding; libFuzzer's own hook would
    // end the process before it is caught. One that nobody catches still ends it.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    tempfile::tempdir().expect("a folder")
});

/// A file of that name with `bytes` in it; the next one of the name replaces it.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    fs::write(&path, bytes).expect("written");
    path
}

/// The contigs that loci are looked up in.
pub static ASSEMBLY: LazyLock<Assembly> = LazyLock::new(|| {
    let contig = |name: &str| Contig { name: name.to_owned(), length: 100_000, digest: format!("SQ.{name}") };
    Assembly {
        name: None,
        contigs: ["chr1", "chr10", "HLA-A*01:01", "HLA-A*01:01:02", "M"].map(contig).into(),
    }
});

/// Reads all records of a variant file, or finds why not.
pub fn read_variants(path: &Path) {
    let mut record = Record::default();
    let Ok(mut source) = VariantSource::open(path) else { return };
    while let Ok(true) = source.read(&mut record) {
        record.alternates().for_each(drop);
    }
}

/// Reads all labelled rows of a file, or finds why not.
pub fn read_labels(path: &Path) {
    let mut row = LabelledRow::default();
    let Ok(mut rows) = LabelledRows::open(path, &KeyColumns::default(), &[]) else { return };
    while let Ok(true) = rows.read(&mut row) {}
}

/// Reads every contig of a reference, as a stream and with an index, or finds why not.
pub fn read_reference(path: &Path) {
    drop(read_fasta(path, |_| Ok::<_, ReferenceError>(())));
    let Ok(mut reference) = Reference::open(path) else { return };
    let Ok(assembly) = reference.survey() else { return };
    for contig in 0..assembly.contigs.len() as u32 {
        let whole = assembly.whole(contig);
        if let Ok(bases) = reference.fetch(whole) {
            assert_eq!(bases.len() as u32, whole.len());
        }
    }
}

/// A store of one contig of 200 bases that repeat `ACGT`, with one imported track.
pub static STORE: LazyLock<Store> = LazyLock::new(|| {
    let fasta = file("genome.fa", format!(">chr1\n{}\n", "ACGT".repeat(50)).as_bytes());
    let assembly = Reference::open(&fasta).and_then(|mut reference| reference.survey()).expect("a genome");
    let record = StoreRecord { reference: fasta.display().to_string(), copied: false, assembly };
    let store = Store::create(&FOLDER.path().join("store"), Arc::new(Disk::new(&FOLDER.path().join("store"))), record).expect("a store");
    let table = file("base.tsv", b"chrom\tpos\tref\talt\tscore\nchr1\t101\tA\tC\t0.5\nchr1\t102\tC\tT\t-1\n");
    vestore::import(&store, "base", &table, &ImportOptions::default(), "fuzz", |_| {}).expect("imported");
    // Runs are looked at in a study that is whole.
    store.writer("fuzz").and_then(|mut writer| writer.put_study(&study())).expect("a study");
    store
});

/// A study of one metric and two layers without runs.
fn study() -> Study {
    Study {
        name: "s".to_owned(),
        model: "m".to_owned(),
        model_id: Digest::of(b"m"),
        plan: Default::default(),
        plan_digest: Digest::of(b"null"),
        program: "fuzz".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        metrics: vec!["auroc".to_owned()],
        higher_is_better: vec![true],
        layers: vec![0, 1],
        started: 0,
        finished: None,
        result: None,
    }
}

/// Imports a table and takes it out again; a refused one leaves nothing.
pub fn take(path: &Path) {
    let store = &*STORE;
    if vestore::import(store, "fuzzed", path, &ImportOptions::default(), "fuzz", |_| {}).is_ok() {
        store.writer("fuzz").and_then(|mut writer| writer.remove_track("fuzzed")).expect("removed");
    }
    let tracks = store.snapshot().expect("a snapshot").tracks;
    assert!(tracks.iter().all(|track| track.name != "fuzzed"));
}

/// Puts `json` into the catalog of [`STORE`] as one of its records, and does everything with the store that
/// reads records.
pub fn use_record(which: u8, json: &[u8]) {
    renew();
    put_record(which, json);
    use_store();
}

/// The catalog of [`STORE`] and its one segment, as they were.
static WHOLE: LazyLock<[(PathBuf, Vec<u8>); 2]> = LazyLock::new(|| {
    let segment = STORE.all_segments().expect("segments").remove(0).path();
    ["catalog.redb", &segment].map(|name| {
        let path = STORE.root().join(name);
        let bytes = fs::read(&path).expect("read");
        (path, bytes)
    })
});

fn renew() {
    for (path, bytes) in &*WHOLE {
        fs::write(path, bytes).expect("written");
    }
}

/// Everything that reads records and rows of [`STORE`], and what writes after them.
fn use_store() {
    let Ok(store) = Store::open(STORE.root()) else { return };
    drop((store.snapshot(), store.runs()));
    if let (Ok(study), Ok(runs)) = (store.study("s"), store.study_runs("s")) {
        let _ = vestore::study_report(&study, &runs);
    }
    if let Ok(plan) = QueryPlan::new(&store, &Request::default()) {
        plan.rows().take_while(Result::is_ok).for_each(drop);
    }
    drop(store.verify(|_| {}));
    if let Ok(mut writer) = store.writer("fuzz") {
        drop(writer.compact(|_| {}));
        drop(writer.remove_track("base"));
        drop(writer.remove_study("s"));
    }
}

fn put_record(which: u8, json: &[u8]) {
    let database = redb::Database::open(&WHOLE[0].0).expect("a catalog");
    let mut transaction = database.begin_write().expect("a transaction");
    transaction.set_durability(redb::Durability::None).expect("allowed");
    let record = |key: &str| {
        let sum = crc32fast::hash(&[key.as_bytes(), b"\n", json].concat());
        [json, format!("\n{sum:08x}").as_bytes()].concat()
    };
    let text = |table, key| {
        let mut table = transaction.open_table(table).expect("a table");
        table.insert(key, record(key).as_slice()).expect("inserted");
    };
    match which % 9 {
        0 => text(META, FORMAT),
        1 => text(META, STORE_RECORD),
        2 => text(META, NEXT_SEGMENT),
        3 => text(MODELS, "m"),
        4 => text(TRACKS, "base"),
        5 => {
            let mut table = transaction.open_table(SEGMENTS).expect("a table");
            let record = record("scores/base/0/100/1");
            table.insert(("scores", "base", 0, 100, 1), record.as_slice()).expect("inserted");
        }
        6 => {
            let mut table = transaction.open_table(RUNS).expect("a table");
            table.insert(1, record("1").as_slice()).expect("inserted");
        }
        _ => {
            let part = if which % 9 == 7 { "" } else { "baseline/1" };
            let mut table = transaction.open_table(REPORTS).expect("a table");
            let record = record(&format!("layer-study/s/{part}"));
            table.insert(("layer-study", "s", part), record.as_slice()).expect("inserted");
        }
    }
    transaction.commit().expect("committed");
}

/// Annotates a file with the track of [`STORE`].
pub fn annotate(path: &Path) {
    static PLAN: LazyLock<QueryPlan> =
        LazyLock::new(|| QueryPlan::new(&STORE, &Request::default()).expect("a plan"));
    drop(vestore::annotate(&PLAN, path, None, vestore::RefMismatch::Skip, Vec::new()));
}

/// A small model of the given family in a folder of its own.
#[cfg(feature = "engine")]
pub fn checkpoint(family: vestore_ingest::synthetic::SyntheticFamily) -> PathBuf {
    let folder = FOLDER.path().join("model");
    let shape = vestore_ingest::synthetic::SyntheticShape::tiny(family);
    vestore_ingest::synthetic::write_checkpoint(&folder, &shape, 7).expect("written");
    folder
}

/// A small model whose file `name` is `bytes`, described or refused.
#[cfg(feature = "engine")]
pub fn describe(family: vestore_ingest::synthetic::SyntheticFamily, name: &str, bytes: &[u8]) {
    static MODEL: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let folder = checkpoint(family);
        if name.ends_with(".bin") {
            fs::remove_file(folder.join("model.safetensors")).expect("removed");
        }
        folder
    });
    fs::write(model.join(name), bytes).expect("written");
    drop(vestore_ingest::describe(&vestore_ingest::ModelSource::new(model)));
}
