//! Assemblies of many contigs, each with few rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use vestore::{ImportOptions, Reference, Request, Store, import};
use vestore_schema::StoreRecord;

use crate::crash::{ROOT, empty_disk};
use crate::medium::Call;
use crate::programs::{ok, said};
use crate::store::answer;
use crate::support::Random;

/// Writes contigs of 100 bases, and a score for each.
fn scaffolds(folder: &Path, count: u64) -> StoreRecord {
    let mut random = Random(14);
    let (mut fasta, mut table) =
        (String::new(), "contig\tposition\treference\talternate\tscore\n".to_owned());
    for number in 0..count {
        let bases: String = (0..100).map(|_| b"ACGT"[random.below(4) as usize] as char).collect();
        let (reference, alternate) = (&bases[49..50], if &bases[49..50] == "A" { "C" } else { "A" });
        writeln!(fasta, ">scaffold_{number}\n{bases}").unwrap();
        writeln!(table, "scaffold_{number}\t50\t{reference}\t{alternate}\t{number}").unwrap();
    }
    let place = folder.join("genome.fa");
    std::fs::write(&place, fasta).unwrap();
    std::fs::write(folder.join("scores.tsv"), table).unwrap();
    let assembly = Reference::open(&place).unwrap().survey().unwrap();
    StoreRecord { reference: place.to_str().unwrap().to_owned(), copied: false, assembly }
}

/// How often each kind of call changes something when so many contigs are imported, compacted and removed.
fn calls(count: u64) -> BTreeMap<&'static str, usize> {
    let folder = tempfile::tempdir().unwrap();
    let record = scaffolds(folder.path(), count);
    let disk = empty_disk();
    let store = Store::create(Path::new(ROOT), Arc::new(disk.clone()), record).unwrap();
    let table = folder.path().join("scores.tsv");
    import(&store, "t", &table, &ImportOptions::default(), "test", |_| {}).unwrap();
    assert_eq!(answer(&store, &Request::default()).len() as u64, count);
    store.writer("test").unwrap().remove_track("t").unwrap();
    let mut counts = BTreeMap::new();
    for call in disk.log() {
        let kind = match call {
            Call::Sync(_) => "sync",
            Call::SyncFolder(_) => "sync folder",
            Call::SyncAll => "sync all",
            Call::CreateFolder(_) => "folder",
            Call::Rename(..) => "rename",
            _ => continue,
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    counts
}

#[test]
fn the_number_of_syncs_does_not_grow_with_the_contigs() {
    let (few, many) = (calls(40), calls(80));
    assert_eq!(few["sync folder"], many["sync folder"], "{few:?}, {many:?}");
    // Of the catalog, which grows.
    assert!(many["sync"] <= few["sync"] + 2, "{few:?}, {many:?}");
    assert_eq!((few["sync all"], many["sync all"]), (3, 3), "two for the import, one for the removal");
    // In the table's folder and among the retired ones.
    assert_eq!((many["folder"] - few["folder"], many["rename"] - few["rename"]), (80, 80));
}

#[test]
fn scoring_many_contigs_commits_them_together_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    scaffolds(folder.path(), 60);
    let (store, model) = (folder.path().join("store"), folder.path().join("model"));
    crate::programs::checkpoint(
        &model,
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 5",
    );
    ok("init {} --reference {}", &[&store, &folder.path().join("genome.fa")]);
    ok("model add {} small --checkpoint {}", &[&store, &model]);
    let bed = folder.path().join("some.bed");
    let lines = |range: std::ops::Range<u32>| {
        let lines: Vec<String> = range.map(|number| format!("scaffold_{number}\t48\t52")).collect();
        lines.join("\n") + "\n"
    };
    std::fs::write(&bed, lines(20..30)).unwrap();
    let score = "score {} --model small --window 60 --device cpu --track t --quiet --bed {}";
    said(score, &[&store, &bed]);
    std::fs::write(&bed, lines(0..60)).unwrap();
    let told = said(score, &[&store, &bed]);
    assert!(told.contains("600 rows written"), "{told}");
    let opened = Store::open(&store).unwrap();
    let (segments, runs) = (opened.all_segments().unwrap(), opened.runs().unwrap());
    assert_eq!((segments.len(), runs[1].committed, runs[1].rows), (60, 50, 600));
    assert!(segments.iter().all(|segment| segment.rows == 12));
    said(score, &[&store, &bed]);
    assert_eq!(opened.all_segments().unwrap(), segments);
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
}
