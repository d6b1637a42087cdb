//! From a plan to committed rows. The one place of the engine that owns threads: one plans, cuts and
//! tokenizes, the caller's runs the model, one writes and commits. Between them at most one unit waits,
//! so memory does not grow with the number of variants.

mod estimate;
mod progress;
mod unit;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;
use vestore::{
    EmbeddingRow, Plan, PlanError, Reference, ReferenceError, Report, ReportError, ScoreRow, Store,
    StoreError, Writer, embedding_batch, score_batch,
};
use vestore_schema::{Digest, Model as ModelRecord, Run, Status, Table, Track, Variant};

use crate::model::Model;
use crate::model::error::ModelError;
use crate::score::{self, Outputs, Recipe, ScoreError, WindowPair, Work};
use crate::tokenize::{Tokenizer, reverse_complement};
use crate::window::WindowCutter;

pub use estimate::{Estimate, estimate};
pub use progress::Progress;
pub use unit::UNIT;

use unit::{Unit, Units};

/// Why scoring stopped. What was committed before is whole and stays.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The variants could not be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The reference could not be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The report of what carries no score cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Scores could not be computed.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// What is to be scored, and with what.
pub struct Job<'a> {
    /// The store.
    pub store: &'a Store,
    /// The track that gets the rows.
    pub track: &'a Track,
    /// The model as the catalog records it.
    pub record: &'a ModelRecord,
    /// Every variant, in order.
    pub plan: &'a Plan,
    /// Where windows are cut from.
    pub reference: &'a Reference,
    /// How windows become scores, and in which batches.
    pub recipe: &'a Recipe,
    /// Cuts windows.
    pub cutter: WindowCutter,
    /// Set when the user wants to stop.
    pub interrupted: &'a AtomicBool,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Rows written.
    pub rows: u64,
    /// Rows per status, of those written.
    pub statuses: std::collections::BTreeMap<Status, u64>,
    /// Whether the user stopped it before its end.
    pub interrupted: bool,
}

/// What a run's record says after memory ran out.
const DIVIDED: &str =
    "memory ran out and batches were halved: last bits may differ from a run with more memory";

/// A unit on its way to the model: what to run, and what each of its rows waits for.
struct Prepared {
    unit: Unit,
    /// For each row of the unit, its status, or that it takes the next row of the work.
    statuses: Vec<Option<Status>>,
    work: Work,
}

/// A unit on its way to the store.
struct Computed {
    prepared: Prepared,
    outputs: Vec<Outputs>,
}

impl Job<'_> {
    /// Variants of the plan that have no row yet.
    ///
    /// # Errors
    /// When the plan or the store cannot be read.
    pub fn pending(&self) -> Result<u64, PipelineError> {
        if self.store.all_segments()?.iter().all(|segment| segment.track != self.track.name) {
            return Ok(self.plan.len());
        }
        let mut pending = 0;
        for unit in Units::new(self)? {
            pending += unit?.rows.len() as u64;
        }
        Ok(pending)
    }

    /// Scores what is pending, commits unit by unit, and keeps `run` up to date in the catalog. Rows that
    /// turn out to carry no score are listed in `report`.
    ///
    /// # Errors
    /// When any stage fails; units committed before stay.
    pub fn run(
        &self,
        model: &Model,
        writer: &mut Writer,
        run: &mut Run,
        report: &mut Report,
        progress: &Progress,
    ) -> Result<Outcome, PipelineError> {
        writer.put_run(run)?;
        let (to_model, from_planner) = sync_channel::<Prepared>(1);
        let (to_writer, from_model) = sync_channel::<Computed>(1);
        let mut outcome = thread::scope(|scope| {
            // Tensors stay on this thread; the others get what they need of the model.
            let tokenizer = model.tokenizer();
            let max_tokens = model.description().max_tokens;
            let planner = scope.spawn(move || self.plan_units(tokenizer, max_tokens, &to_model));
            let (writer, run, report) = (&mut *writer, &mut *run, &mut *report);
            let committer =
                scope.spawn(move || self.commit_units(&from_model, writer, run, report, progress));
            let computed = self.compute_units(model, &from_planner, &to_writer);
            // Closing both ends lets the neighbours see that nothing more comes, or is wanted.
            drop(from_planner);
            drop(to_writer);
            let planned = join(planner);
            let committed = join(committer);
            // The stage that failed explains why the others stopped.
            let outcome = committed?;
            computed?;
            planned?;
            Ok::<_, PipelineError>(outcome)
        })?;
        outcome.interrupted = self.interrupted.load(Ordering::Relaxed);
        run.finished = (!outcome.interrupted).then(now);
        writer.put_run(run)?;
        Ok(outcome)
    }

    fn plan_units(
        &self,
        tokenizer: &Tokenizer,
        max_tokens: Option<u32>,
        to_model: &SyncSender<Prepared>,
    ) -> Result<(), PipelineError> {
        let mut reference = self.reference.reopen()?;
        for unit in Units::new(self)? {
            let prepared = self.prepare(unit?, tokenizer, max_tokens, &mut reference)?;
            if to_model.send(prepared).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn prepare(
        &self,
        unit: Unit,
        tokenizer: &Tokenizer,
        max_tokens: Option<u32>,
        reference: &mut Reference,
    ) -> Result<Prepared, PipelineError> {
        let mut statuses = Vec::with_capacity(unit.rows.len());
        let mut windows = Vec::with_capacity(unit.rows.len());
        for row in &unit.rows {
            let status = match row.planned.status {
                Some(status) => Some(status),
                None => match self.cutter.cut(&row.planned.variant, reference, self.store.assembly())? {
                    Ok(window) if !fits(tokenizer, max_tokens, &window)? => Some(Status::NonAcgt),
                    Ok(window) => {
                        windows.push(window);
                        None
                    }
                    Err(status) => Some(status),
                },
            };
            statuses.push(status);
        }
        // A unit that only lacks embeddings runs no forward for scores.
        let kinds = if unit.wants_scores() { self.recipe.kinds.clone() } else { Vec::new() };
        let recipe = Recipe { kinds, ..self.recipe.clone() };
        let work = score::prepare(tokenizer, &recipe, max_tokens, &windows)?;
        Ok(Prepared { unit, statuses, work })
    }

    fn compute_units(
        &self,
        model: &Model,
        from_planner: &Receiver<Prepared>,
        to_writer: &SyncSender<Computed>,
    ) -> Result<(), PipelineError> {
        while let Ok(prepared) = from_planner.recv() {
            if self.interrupted.load(Ordering::Relaxed) {
                break;
            }
            let batches = 0..prepared.work.batches();
            let outputs =
                batches.map(|batch| score::run(model, &prepared.work, batch)).collect::<Result<_, _>>()?;
            if to_writer.send(Computed { prepared, outputs }).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn commit_units(
        &self,
        from_model: &Receiver<Computed>,
        writer: &mut Writer,
        run: &mut Run,
        report: &mut Report,
        progress: &Progress,
    ) -> Result<Outcome, PipelineError> {
        let mut outcome = Outcome::default();
        while let Ok(Computed { prepared, outputs }) = from_model.recv() {
            let Prepared { unit, statuses, work } = prepared;
            if outputs.iter().any(|output| output.divided) && run.remarks.is_empty() {
                run.remarks.push(DIVIDED.to_owned());
            }
            let (count, contig) = (unit.rows.len() as u64, unit.contig);
            // The plan listed what it knew to be unscorable; the rest shows only now.
            let known: HashSet<Variant> = unit
                .rows
                .iter()
                .filter(|row| row.planned.status.is_some())
                .map(|row| row.planned.variant.clone())
                .collect();
            let (scores, embeddings) = self.rows(unit, statuses, score::finish(&work, outputs));
            for row in
                scores.iter().filter(|row| row.status != Status::Scored && !known.contains(&row.variant))
            {
                report.unscored(&row.variant, self.store.assembly(), row.status)?;
            }
            for status in scores.iter().map(|row| row.status) {
                *outcome.statuses.entry(status).or_default() += 1;
            }
            outcome.rows += count;
            run.committed += 1;
            run.rows += count;
            let mut segments = Vec::with_capacity(2);
            if !scores.is_empty() {
                let batch = [score_batch(self.track, &scores)];
                segments.extend(writer.write(Table::Scores, self.track, Some(self.record), contig, batch)?);
            }
            if !embeddings.is_empty() {
                let batch = [embedding_batch(self.record.hidden, &embeddings)];
                segments.extend(writer.write(
                    Table::Embeddings,
                    self.track,
                    Some(self.record),
                    contig,
                    batch,
                )?);
            }
            writer.commit(&segments, run)?;
            progress.advance(count);
        }
        Ok(outcome)
    }

    /// The rows of a unit that each table lacks.
    fn rows(
        &self,
        unit: Unit,
        statuses: Vec<Option<Status>>,
        computed: Vec<score::Row>,
    ) -> (Vec<ScoreRow>, Vec<EmbeddingRow>) {
        let mut computed = computed.into_iter();
        let (mut scores, mut embeddings) = (Vec::new(), Vec::new());
        for (pending, status) in unit.rows.into_iter().zip(statuses) {
            let row = match status {
                Some(status) => {
                    score::Row { values: vec![None; self.track.columns.len()], status, embedding: None }
                }
                None => computed.next().expect("a row for every window; this is a bug"),
            };
            let variant = pending.planned.variant;
            if pending.embedding {
                let status = if row.embedding.is_some() { Status::Scored } else { row.status };
                let embedding = row.embedding.map(|embedding| [embedding.reference, embedding.delta]);
                embeddings.push(EmbeddingRow { variant: variant.clone(), embedding, status });
            }
            if pending.scores {
                scores.push(ScoreRow { variant, values: row.values, status: row.status });
            }
        }
        (scores, embeddings)
    }
}

/// Whether a window has no more tokens than the model takes. The window's length fits, but the bases of a
/// word with an N become a token each.
fn fits(tokenizer: &Tokenizer, max_tokens: Option<u32>, pair: &WindowPair) -> Result<bool, ScoreError> {
    let Some(limit) = max_tokens else { return Ok(true) };
    let grid = pair.grid.as_ref().map(|grid| &grid.bases);
    for window in [&pair.reference, &pair.alternate].into_iter().chain(grid) {
        if window.contains(&b'N') {
            let forward = tokenizer.encode(window)?.ids.len();
            let reverse = tokenizer.encode(&reverse_complement(window))?.ids.len();
            if forward.max(reverse) > limit as usize {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The record of a run that starts now.
///
/// # Errors
/// When the catalog cannot be read.
pub fn new_run(
    store: &Store,
    track: &Track,
    plan: &Plan,
    device: &str,
    threads: u32,
    batch_tokens: u32,
) -> Result<Run, StoreError> {
    Ok(Run {
        number: store.runs()?.last().map_or(1, |run| run.number + 1),
        track: track.name.clone(),
        table: Table::Scores,
        plan: Digest::from(plan.digest()),
        program: concat!("vestore-ingest ", env!("CARGO_PKG_VERSION")).to_owned(),
        device: device.to_owned(),
        threads,
        batch_tokens,
        started: now(),
        finished: None,
        units: plan.len().div_ceil(UNIT as u64),
        committed: 0,
        rows: 0,
        remarks: Vec::new(),
        layers: Vec::new(),
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Waits for a stage; a stage that panicked panics here.
fn join<T>(stage: thread::ScopedJoinHandle<'_, T>) -> T {
    stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
