//! A script of everything that changes a store, cut at every system call.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore::{
    Damage, ImportOptions, Reference, Request, ScoreRow, Store, StoreError, Study, StudyRun, Writer, import,
    score_batch,
};
use vestore_schema::{Position, Status, StoreRecord, Table, Track, Variant};

use crate::support::ScoreKind;

use crate::medium::{MemoryDisk, State};
use crate::store::{Answer, answer};
use crate::study::{NUMBERS, study};
use crate::support::{Random, run, track, write};

/// Where the store lies in the memory disk.
pub(crate) const ROOT: &str = "/disk/store";
const NOW: u64 = 1_700_000_000;

/// A disk without a store.
pub(crate) fn empty_disk() -> MemoryDisk {
    MemoryDisk::new(State::new(Path::new("/disk")), NOW)
}

pub(crate) fn open(disk: &MemoryDisk) -> Result<Store, StoreError> {
    Store::open_on(Path::new(ROOT), Arc::new(disk.clone()))
}

/// What the script needs of this machine's disk: a reference, and scores over it to import.
pub(crate) struct Ground {
    folder: tempfile::TempDir,
    bases: Vec<u8>,
    record: StoreRecord,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fasta = folder.path().join("genome.fa");
        let bases = crate::programs::genome(&fasta);
        let assembly = Reference::open(&fasta).unwrap().survey().unwrap();
        let record = StoreRecord { reference: fasta.to_str().unwrap().to_owned(), copied: false, assembly };
        Self { folder, bases, record }
    }

    pub(crate) fn create(&self, disk: &MemoryDisk) -> Result<Store, StoreError> {
        Store::create(Path::new(ROOT), Arc::new(disk.clone()), self.record.clone())
    }

    /// A table of one gene.
    pub(crate) fn genes(&self) -> PathBuf {
        let path = self.folder.path().join("genes.gtf");
        let exon = "1\tx\texon\t101\t150\t.\t-\t.\tgene_id \"G\"; transcript_id \"T\";\n";
        std::fs::write(&path, exon).unwrap();
        path
    }

    /// A VCF with the rsIDs of three bases.
    pub(crate) fn ids(&self) -> PathBuf {
        let path = self.folder.path().join("ids.vcf");
        let line = |position: usize| {
            let reference = self.bases[position] as char;
            let alternate = if reference == 'A' { 'C' } else { 'A' };
            format!("chr1\t{}\trs{position}\t{reference}\t{alternate}\n", position + 1)
        };
        std::fs::write(&path, [100, 101, 102].map(line).concat()).unwrap();
        path
    }

    /// A table of scores for `rows` bases from `start` on.
    pub(crate) fn table(&self, start: u32, rows: u32) -> PathBuf {
        let path = self.folder.path().join(format!("{start}-{rows}.tsv"));
        let line = |position: u32| {
            let reference = self.bases[position as usize] as char;
            let alternate = if reference == 'A' { 'C' } else { 'A' };
            format!("chr1\t{}\t{reference}\t{alternate}\t{}\n", position + 1, f64::from(position) / 8.0)
        };
        let lines: String = (start..start + rows).map(line).collect();
        std::fs::write(&path, format!("chrom\tpos\tref\talt\tscore\n{lines}")).unwrap();
        path
    }
}

/// A unit of seeded rows, apart from those of every other number.
pub(crate) fn unit(number: u64, contig: u32, track: &Track, count: u32) -> Vec<ScoreRow> {
    let mut random = Random(number);
    let row = |place: u32| {
        let scored = random.below(10) > 0;
        let score = |random: &mut Random| scored.then(|| random.below(2_000_000) as f32 / 1e5 - 10.0);
        ScoreRow {
            variant: Variant {
                contig,
                position: Position::new((number as u32 % 8) * 100 + place),
                reference: "A".into(),
                alternate: "C".into(),
            },
            values: track.columns.iter().map(|_| score(&mut random)).collect(),
            status: if scored { Status::Scored } else { Status::NonAcgt },
        }
    };
    (0..count).map(row).collect()
}

/// Commits a unit as twenty segments, more than are synced one by one.
pub(crate) fn commit_many(
    writer: &mut Writer,
    number: u64,
    contig: u32,
    track: &Track,
) -> Result<(), StoreError> {
    let mut segments = Vec::new();
    for rows in unit(number, contig, track, 40).chunks(2) {
        let batch = score_batch(track, rows);
        segments.extend(writer.write(Table::Scores, track, None, contig, [batch])?);
    }
    writer.commit(&segments, &run(number, track))
}

fn commit(writer: &mut Writer, number: u64, contig: u32, track: &Track) {
    let segment = write(writer, track, &unit(number, contig, track, 40));
    writer.commit(&[segment], &run(number, track)).unwrap();
}

/// All rows, with the scores that they have: a new track adds columns to all answers.
pub(crate) fn rows(store: &Store) -> Answer {
    let mut rows = answer(store, &Request::default());
    for (_, _, scores, _) in &mut rows {
        scores.retain(Option::is_some);
    }
    rows
}

/// What a store holds.
type Held = (Answer, Vec<(Study, Vec<StudyRun>)>);

fn held(store: &Store) -> Held {
    let studies = store.studies().unwrap().into_iter();
    let with_runs = |study: Study| (study.clone(), store.study_runs(&study.name).unwrap());
    (rows(store), studies.map(with_runs).collect())
}

/// After so many calls, the store held this, and nothing was going on.
type Rest = (usize, Held);

/// Does everything that changes a store, and notes what it held after each step.
fn script(ground: &Ground, disk: &MemoryDisk) -> Vec<Rest> {
    let store = ground.create(disk).unwrap();
    let (first, second) = (track("first", ScoreKind::LlrGrid), track("second", ScoreKind::Llr));
    let mut rests = Vec::new();
    let mut rest = || {
        rests.push((disk.log().len(), held(&store)));
        // Also nothing that only a reader without the catalog would see.
        assert_eq!(store.verify(|_| {}).unwrap(), []);
    };
    let mut writer = store.writer("script").unwrap();
    writer.put_track(&first).unwrap();
    writer.put_track(&second).unwrap();
    rest();
    for (number, track) in [(1, &first), (2, &first), (3, &second), (4, &first)] {
        commit(&mut writer, number, 0, track);
        rest();
    }
    let (study, runs) = study("study", &NUMBERS, 2, 1);
    writer.put_study(&study).unwrap();
    rest();
    writer.put_study_run(&runs[0]).unwrap();
    rest();
    drop(writer);
    store.writer("script").unwrap().compact(|_| {}).unwrap();
    rest();
    let table = ground.table(100, 50);
    import(&store, "others", &table, &ImportOptions::default(), "script", |_| {}).unwrap();
    rest();
    let mut writer = store.writer("script").unwrap();
    commit_many(&mut writer, 7, 1, &first).unwrap();
    rest();
    writer.remove_status("first", Status::NonAcgt).unwrap();
    rest();
    writer.remove_run("first", 7).unwrap();
    rest();
    writer.remove_track("second").unwrap();
    rest();
    writer.remove_study("study").unwrap();
    rest();
    drop(writer);
    disk.advance(700);
    let mut writer = store.writer("script").unwrap();
    rest();
    commit(&mut writer, 5, 1, &first);
    rest();
    rests
}

/// The store on `disk` holds one of `allowed`, and stays so for the next writer, who leaves no orphan; what that
/// one commits survives the loss of power that follows at once.
fn check(disk: &MemoryDisk, allowed: &[Rest], ground: &Ground, place: &str) {
    let store = match open(disk) {
        // The store was never said to be made, and can be made now.
        Err(StoreError::NotAStore { .. }) if allowed.len() < 2 => {
            ground.create(disk).unwrap_or_else(|error| panic!("{place}: {error}"));
            return;
        }
        store => store.unwrap_or_else(|error| panic!("{place}: {error}")),
    };
    let found = held(&store);
    let known = allowed.is_empty() && found.0.is_empty() || allowed.iter().any(|rest| rest.1 == found);
    assert!(known, "{place}: {} rows, {} studies", found.0.len(), found.1.len());
    let damage = store.verify(|_| {}).unwrap();
    assert!(!damage.iter().any(Damage::is_loss), "{place}: {damage:?}");
    let mut writer = store.writer("next").unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(held(&store) == found, "{place}: the next writer changed the rows");
    assert_eq!(store.verify(|_| {}).unwrap(), [], "{place}");
    let track = track("first", ScoreKind::LlrGrid);
    writer.put_track(&track).unwrap();
    commit(&mut writer, 6, 0, &track);
    drop(writer);
    let lost = MemoryDisk::new(disk.state().after_power_loss(|| false), disk.time());
    let later = rows(&open(&lost).unwrap());
    assert_eq!(later.len(), found.0.len() + 40, "{place}: a commit after the crash was lost");
}

#[test]
fn a_script_cut_at_every_call_leaves_a_prefix_of_what_was_committed() {
    let ground = Ground::new();
    let disk = empty_disk();
    let rests = script(&ground, &disk);
    let log = disk.log();
    assert!(log.len() > 200, "{} calls", log.len());
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (ground, rests, log) = (&ground, &rests, &log);
            scope.spawn(move || {
                let mut state = State::new(Path::new("/disk"));
                let mut random = Random(7);
                for (number, call) in log.iter().enumerate() {
                    state.apply(call).unwrap();
                    if number % threads != thread {
                        continue;
                    }
                    let done = rests.partition_point(|(calls, _)| *calls <= number + 1);
                    let allowed = &rests[done.saturating_sub(1)..(done + 1).min(rests.len())];
                    // Before the first rest, nothing that is in it needs to be there.
                    let allowed = if done == 0 { &[] } else { allowed };
                    // Time goes on, but no grace period ends by it.
                    let at = |state| MemoryDisk::new(state, NOW + 701);
                    let place = |how: &str| format!("call {number}, {}, {how}", call.name());
                    check(&at(state.clone()), allowed, ground, &place("killed"));
                    check(&at(state.after_power_loss(|| false)), allowed, ground, &place("nothing survived"));
                    check(&at(state.after_power_loss(|| true)), allowed, ground, &place("all survived"));
                    let some = state.after_power_loss(|| random.below(2) == 0);
                    check(&at(some), allowed, ground, &place("half survived"));
                }
            });
        }
    });
}
