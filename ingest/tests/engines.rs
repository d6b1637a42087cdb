//! Several devices share a run: units are dealt to them in turn, and rows come as from one.

use std::path::Path;
use std::sync::Arc;

use crate::support::{Scoring, checkpoint, directory, load, recipe};
use arrow::array::RecordBatch;
use vestore::{Disk, Plan, QueryPlan, Reference, Report, Request, Store};
use vestore_ingest::synthetic::SyntheticFamily;
use vestore_ingest::{
    Interrupt, Job, ModelSource, Outcome, Scorer, UNIT, describe, encoder_cost, new_run, record_of, unit_size,
};
use vestore_schema::{Region, StoreRecord, Table, Track};

const GENOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mitochondrion.fa");

/// Scores or ablates every SNV of the first `bases` bases on so many devices; all rows of both tables.
fn run(folder: &Path, devices: usize, bases: u32, ablation: bool) -> (Outcome, Vec<Vec<RecordBatch>>) {
    let source = ModelSource::new(checkpoint(folder, SyntheticFamily::NucleotideTransformerV2, None));
    let mut reference = Reference::open(GENOME).expect("a genome");
    let record = StoreRecord {
        reference: GENOME.to_owned(),
        copied: false,
        assembly: reference.survey().expect("contigs"),
    };
    let store = Store::create(&folder.join("store"), Arc::new(Disk::new(&folder.join("store"))), record)
        .expect("a store");
    let path = source.checkpoint.to_str().expect("UTF-8").to_owned();
    let record = record_of("nt", describe(&source).expect("a model"), path, None);
    let scoring = Scoring { batch_tokens: 512, ..recipe(&["llr", "distance"]) };
    let track_recipe = scoring.recipe(60);
    let model = load(&source);
    let scorer = scoring.scorer(&model).expect("a scorer");
    let cost = encoder_cost(&record, &track_recipe, false, ablation).expect("a cost");
    let track = Track::new("t", "nt", record.id, track_recipe, scorer.columns()).expect("a track");
    let mut writer = store.writer("test").expect("the lock");
    writer.put_model(&record).expect("a model");
    writer.put_track(&track).expect("a track");
    let mut report = Report::new();
    let regions = vec![Region { contig: 0, start: 0, end: bases }];
    let plan = Plan::saturation(regions, &reference, &mut report).expect("a plan");
    let job = Job {
        store: &store,
        track: &track,
        record: &record,
        plan: &plan,
        reference: &reference,
        embeddings: false,
        ablation,
        unit: unit_size(cost, ablation, false),
        interrupted: &Interrupt::default(),
    };
    let models = (0..devices).map(|_| load(&source)).collect();
    let mut run = new_run(&job, "cpu", 1, Some(512)).expect("a run");
    let outcome = job.run(&scorer, models, &mut writer, &mut run, &mut report, &()).expect("rows");
    drop(writer);
    let rows = |table| {
        let plan = QueryPlan::new(&store, &Request { table, ..Request::default() }).expect("a query");
        plan.rows().map(|batch| batch.expect("rows")).collect()
    };
    (outcome, [Table::Scores, Table::Ablation].map(rows).into())
}

#[test]
fn three_devices_give_the_rows_of_one() {
    let bases = UNIT as u32 * 5 / 3 + 7;
    let (folder, other) = (directory(), directory());
    let (outcome, one) = run(folder.path(), 1, bases, false);
    assert_eq!(outcome.rows, u64::from(bases) * 3);
    assert!(one.iter().flatten().map(RecordBatch::num_rows).sum::<usize>() as u64 == outcome.rows);
    let (outcome, three) = run(other.path(), 3, bases, false);
    assert_eq!((one, outcome.rows), (three, u64::from(bases) * 3));
    assert!(!outcome.stages.model.is_zero() && !outcome.stages.writing.is_zero());
}

#[test]
fn an_ablation_on_two_devices_too() {
    let (folder, other) = (directory(), directory());
    let (one, two) = (run(folder.path(), 1, 150, true), run(other.path(), 2, 150, true));
    assert_eq!(one.0.evaluations, two.0.evaluations);
    assert_eq!(one.1, two.1);
    assert_eq!(one.1[1].iter().map(RecordBatch::num_rows).sum::<usize>(), 150 * 3 * 4);
}
