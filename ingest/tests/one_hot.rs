//! Nothing above the seam knows tokens, layers of an encoder or names of columns: a family of its own is scored,
//! resumed, ablated, queried and exported.

mod family;

use std::path::Path;
use std::sync::Arc;

use vestore::{
    Disk, EffectRows, Format, Plan, QueryPlan, Reference, Report, Request, Store, TextFormat, write_rows,
    write_text,
};
use vestore_ingest::{
    AblatedPart, Cost, Interrupt, Job, Outcome, Scorer, Strands, new_run, summarize, unit_size,
};
use vestore_schema::{Digest, Dtype, Model, Recipe, Region, StoreRecord, Table, Track};

use crate::support::directory;
use family::{CHANNELS, Convolutions, LENGTH, Outcomes, weight};

const GENOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mitochondrion.fa");
const BLOCKS: usize = 3;

/// What the catalog records of it.
fn record(blocks: u32) -> Model {
    let digest = Digest::of(b"convolutions");
    let record = serde_json::json!({
        "name": "convolutions", "id": digest, "family": "one-hot", "checkpoint": "", "copied": false,
        "weights_digest": digest, "config": {}, "layers": blocks, "kept_layers": (0..blocks).collect::<Vec<u32>>(),
        "hidden": CHANNELS, "parameters": 1, "weight_bytes": 4, "architecture": "one-hot",
        "input_length": LENGTH
    });
    serde_json::from_value(record).expect("a record")
}

/// What a variant takes in a network of `blocks` blocks.
fn cost(blocks: usize) -> Cost {
    let operations = 2.0 * blocks as f64 * f64::from(LENGTH) * (CHANNELS * CHANNELS * 5) as f64;
    Cost { operations, bytes: 2.0 * f64::from(LENGTH), together: 1 }
}

/// A store with the model and an empty track of its scores.
fn store(folder: &Path, scorer: &Outcomes) -> (Store, Track) {
    let mut reference = Reference::open(GENOME).expect("a genome");
    let assembly = reference.survey().expect("contigs");
    let store_record = StoreRecord { reference: GENOME.to_owned(), copied: false, assembly };
    let root = folder.join("store");
    let store = Store::create(&root, Arc::new(Disk::new(&root)), store_record).expect("a store");
    let recipe = Recipe {
        scores: scorer.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        window: LENGTH,
        strands: Strands::Forward,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    };
    let model = record(BLOCKS as u32);
    let track = Track::new("t", &model.name, model.id, recipe, scorer.columns()).expect("a track");
    let track = track.with_effects(scorer.effect_columns(), &scorer.targets());
    let mut writer = store.writer("test").expect("the lock");
    writer.put_model(&model).expect("a model");
    writer.put_track_with_targets(&track, &scorer.targets()).expect("a track");
    drop(writer);
    (store, track)
}

/// Scores or ablates every SNV of the first `bases` bases.
fn run(store: &Store, track: &Track, scorer: &Outcomes, bases: u32, ablation: bool) -> Outcome {
    let reference = Reference::open(GENOME).expect("a genome");
    let mut report = Report::new();
    let regions = vec![Region { contig: 0, start: 0, end: bases }];
    let plan = Plan::saturation(regions, &reference, &mut report).expect("a plan");
    let job = Job {
        store,
        track,
        record: &record(BLOCKS as u32),
        plan: &plan,
        reference: &reference,
        embeddings: false,
        ablation,
        unit: unit_size(cost(BLOCKS), ablation, false).min(18),
        interrupted: &Interrupt::default(),
    };
    let mut run = new_run(&job, "cpu", 1, None).expect("a run");
    let mut writer = store.writer("test").expect("the lock");
    job.run(scorer, vec![Convolutions::new(BLOCKS)], &mut writer, &mut run, &mut report, &()).expect("rows")
}

fn tsv(store: &Store, table: Table) -> String {
    let plan = QueryPlan::new(store, &Request { table, ..Request::default() }).expect("a query");
    let mut text = Vec::new();
    write_text(TextFormat::Tsv, &plan, &mut text).expect("text");
    String::from_utf8(text).expect("UTF-8")
}

/// The cells of the line of a row, with which they begin.
fn cells<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines().find(|line| line.starts_with(start)).expect("a row").split('\t').collect()
}

/// The three outputs of a window in float64, without one of the blocks.
fn by_hand(window: &str, blocks: usize, without: Option<usize>) -> Vec<f64> {
    let channels = CHANNELS as usize;
    // [output, input, width] weights over [input][place] numbers, zeros beyond the ends.
    let convolve = |number: usize, outputs: usize, width: usize, input: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let length = input[0].len();
        let at = |output: usize, place: usize| -> f64 {
            (0..input.len() * width)
                .filter_map(|term| {
                    let (row, offset) = (term / width, term % width);
                    let from = (place + offset).checked_sub(width / 2).filter(|from| *from < length)?;
                    Some(input[row][from] * weight(number, (output * input.len() + row) * width + offset))
                })
                .sum()
        };
        (0..outputs).map(|output| (0..length).map(|place| at(output, place)).collect()).collect()
    };
    let one_hot = |letter: char| window.chars().map(|base| f64::from(u8::from(base == letter))).collect();
    let mut state = convolve(0, channels, 1, &"ACGT".chars().map(one_hot).collect::<Vec<_>>());
    for block in (0..blocks).filter(|block| Some(*block) != without) {
        let inner = convolve(block + 1, channels, 5, &state);
        for (state, inner) in state.iter_mut().flatten().zip(inner.iter().flatten()) {
            *state += inner.tanh();
        }
    }
    convolve(9, 3, 1, &state).iter().map(|places| places.iter().sum()).collect()
}

#[test]
fn a_family_of_its_own_is_scored_resumed_and_exported() {
    let scorer = Outcomes { kinds: vec!["change", "alternate"], memory: 10_000, effects: false };
    let (folder, other) = (directory(), directory());
    let (store, track) = store(folder.path(), &scorer);
    assert_eq!(track.columns[1..4], ["bound_change", "spliced_change", "open_alternate"]);
    let outcome = run(&store, &track, &scorer, 60, false);
    assert_eq!(outcome.rows, 180, "the windows of the first bases are padded, not left out");
    let whole = tsv(&store, Table::Scores);

    let (resumed, track) = self::store(other.path(), &scorer);
    assert_eq!(run(&resumed, &track, &scorer, 24, false).rows, 72);
    assert_eq!(run(&resumed, &track, &scorer, 60, false).rows, 180 - 72);
    assert_eq!(run(&resumed, &track, &scorer, 60, false).rows, 0);
    assert_eq!(tsv(&resumed, Table::Scores), whole);

    let mut reference = Reference::open(GENOME).expect("a genome");
    let start: String = reference
        .fetch(Region { contig: 0, start: 0, end: 30 })
        .expect("bases")
        .iter()
        .map(|base| char::from(*base))
        .collect();
    let changed = format!("{}{}{}", &start[..2], if &start[2..3] == "A" { "C" } else { "A" }, &start[3..]);
    let pad = |bases: &str| format!("{}{}", "N".repeat(18), &bases[..23]);
    let [before, after] = [pad(&start), pad(&changed)].map(|window| by_hand(&window, BLOCKS, None));
    let row = cells(&whole, &format!("MT\t3\t{}\t{}\t", &start[2..3], &changed[2..3]));
    for (place, found) in row[7..10].iter().enumerate() {
        let expected = after[place] - before[place];
        assert!((found.parse::<f64>().expect("a score") - expected).abs() < 1e-4, "{found} {expected}");
    }
}

/// The effects of a store, a line per variant and target.
fn effects(store: &Store) -> String {
    let plan =
        QueryPlan::new(store, &Request { table: Table::Effects, ..Request::default() }).expect("a query");
    let rows = EffectRows::new(&plan, None, None).expect("rows");
    let (schema, mut text) = (Arc::clone(rows.schema()), Vec::new());
    write_rows(Format::Tsv, &schema, rows, &mut text).expect("text");
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn effects_are_committed_with_their_scores_and_completed_alone() {
    let scorer = Outcomes { kinds: vec!["change"], memory: 10_000, effects: true };
    let (folder, other) = (directory(), directory());
    let (store, track) = store(folder.path(), &scorer);
    assert_eq!(run(&store, &track, &scorer, 60, false).rows, 180);
    let (scores, whole) = (tsv(&store, Table::Scores), effects(&store));
    assert_eq!(whole.lines().count(), 1 + 3 * 180);
    // The one kind of effect is the change of each output, as the scores are.
    for line in scores.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let start = cells[..4].join("\t");
        for (column, target) in ["open", "bound", "spliced"].into_iter().enumerate() {
            let row = self::cells(&whole, &format!("{start}\t{target}\t"));
            assert_eq!((row[5..8].to_vec(), row[8]), (cells[4..7].to_vec(), cells[7 + column]));
        }
    }

    let (resumed, track) = self::store(other.path(), &scorer);
    assert_eq!(run(&resumed, &track, &scorer, 24, false).rows, 72);
    assert_eq!(run(&resumed, &track, &scorer, 60, false).rows, 180 - 72);
    assert_eq!(effects(&resumed), whole);
    let files = |store: &Store| {
        let mut segments = store.all_segments().expect("segments");
        segments.sort_by_key(|segment| (segment.table, segment.first));
        segments.into_iter().map(|segment| segment.checksum).collect::<Vec<_>>()
    };
    assert_eq!(files(&resumed), files(&store), "units do not depend on where a run stopped");

    // Effects that are lost are computed again, without a second row of scores.
    let lost: Vec<_> = resumed
        .all_segments()
        .expect("segments")
        .into_iter()
        .filter(|segment| segment.table == Table::Effects)
        .take(3)
        .collect();
    let rows = resumed.writer("test").expect("the lock").drop_segments(&lost).expect("dropped");
    assert_ne!(effects(&resumed), whole);
    assert_eq!(run(&resumed, &track, &scorer, 60, false).rows, rows);
    assert_eq!((tsv(&resumed, Table::Scores), effects(&resumed)), (scores, whole));
    assert_eq!(resumed.verify(|_| {}).expect("verified"), []);
}

#[test]
fn the_command_line_runs_no_model_of_another_architecture() {
    let folder = directory();
    let _made = store(folder.path(), &Outcomes { kinds: vec!["change"], memory: 10_000, effects: false });
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vestore-ingest"))
        .arg("score")
        .arg(folder.path().join("store"))
        .args(["--model", "convolutions", "--region", "MT:1-10", "--device", "cpu"])
        .output()
        .expect("the engine");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not run models of this architecture: `convolutions`"), "{said}");
}

#[test]
fn its_blocks_are_ablated() {
    // Four states fit in memory: branches are stacked, and batches hold four passes.
    let scorer = Outcomes { kinds: vec!["change"], memory: 4 * 4 * 8 * u64::from(LENGTH), effects: false };
    let folder = directory();
    let (store, track) = store(folder.path(), &scorer);
    let outcome = run(&store, &track, &scorer, 30, true);
    assert_eq!((outcome.rows, outcome.evaluations), (90, outcome.batches * (3 + 1 + 2)));
    // 30 reference windows and 90 alternates, less those that two units share.
    assert!((30..=40).contains(&outcome.batches), "four passes a batch: {}", outcome.batches);
    let ablation = tsv(&store, Table::Ablation);
    assert_eq!(ablation.lines().skip(1).count(), 90 * BLOCKS);

    let scores = tsv(&store, Table::Scores);
    let row = cells(&scores, "MT\t3\t");
    let (reference, alternate) = (row[2], row[3]);
    let mut genome = Reference::open(GENOME).expect("a genome");
    let mut bases = genome.fetch(Region { contig: 0, start: 0, end: 23 }).expect("bases").clone();
    let mut window = |base: &str| {
        bases[2] = base.as_bytes()[0];
        format!("{}{}", "N".repeat(18), String::from_utf8_lossy(&bases))
    };
    let windows = [window(reference), window(alternate)];
    let change = |without| {
        let [before, after] = windows.each_ref().map(|window| by_hand(window, BLOCKS, without)[0]);
        after - before
    };
    let summary = summarize(&store, &track, None).expect("a summary");
    assert_eq!(summary.layers.len(), BLOCKS);
    assert!(summary.layers.iter().all(|layer| layer.block_influence.is_none()), "nobody measured movement");
    for block in 0..BLOCKS {
        let row =
            cells(&ablation, &format!("MT\t3\t{reference}\t{alternate}\tconvolutions\tt\tscored\t{block}\t"));
        let found: f64 = row[8].parse().expect("a change");
        let expected = change(Some(block)) - change(None);
        assert!((found - expected).abs() < 1e-4, "block {block}: {found} {expected}");
    }
}
