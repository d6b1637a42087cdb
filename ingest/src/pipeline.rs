//! From a plan to committed rows. The one place of the engine that owns threads: one plans, cuts and
//! tokenizes, one a device runs the model, one reads results back, writes and commits. Between two of them
//! at most one unit waits, so memory does not grow with the number of variants.

mod compute;
mod cost;
mod estimate;
mod group;
mod interrupt;
mod unit;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use vestore::{
    AblationRow, EffectRow, EmbeddingRow, GeneEffectRow, Plan, PlanError, Reference, ReferenceError, Report,
    ReportError, ScoreRow, Store, StoreError, Writer, ablation_batch, effect_batches, embedding_batch,
    gene_effect_batch, score_batch,
};
use vestore_schema::{Digest, Model as ModelRecord, Run, Status, Table, Targets, Track, Variant};

use crate::ablation;
use crate::error::ModelError;
use crate::progress::Progress;
use crate::seam::{Network, ScoreError, Scorer};
use crate::work::{GeneRow, Row, Work};

#[cfg(test)]
pub(crate) use cost::ABLATION_UNIT;
pub use cost::{UNIT, unit_size};
pub use estimate::{Estimate, estimate};
pub use interrupt::Interrupt;

use compute::{Computed, Engine, Numbers};
use group::Group;
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
    /// Whether rows also carry pooled embeddings.
    pub embeddings: bool,
    /// Whether every layer is left out in turn, as the track's recipe says.
    pub ablation: bool,
    /// Variants of one unit, from [`unit_size`].
    pub unit: usize,
    /// Set when the user wants to stop.
    pub interrupted: &'a Interrupt,
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
    /// Of an ablation: layers run, each on one batch or a branch of it.
    pub evaluations: u64,
    /// Of an ablation: batches.
    pub batches: u64,
    /// What took the time.
    pub stages: Stages,
}

/// How long each stage was busy, waiting for other stages not counted. They overlap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// Cutting and tokenizing windows.
    pub planning: Duration,
    /// Running the model, summed over devices; on a GPU, giving it work.
    pub model: Duration,
    /// Waiting for results: on a GPU, for the model.
    pub reading: Duration,
    /// Writing and committing.
    pub writing: Duration,
}

/// Reading a unit's numbers that takes longer makes the ones before it durable first.
const LONG_READ: Duration = Duration::from_millis(500);

/// What a run's record says after memory ran out.
const DIVIDED: &str =
    "memory ran out and batches were halved: last bits may differ from a run with more memory";

/// What it says of a model whose numbers do not repeat.
const UNSTEADY: &str =
    "the model gave different numbers for the same windows twice: scoring again will not give these scores";

/// A unit on its way to the model: what to run, and what each of its rows waits for.
struct Prepared<P, O> {
    unit: Unit,
    /// For each row of the unit, its status, or that it takes the next row of the work.
    statuses: Vec<Option<Status>>,
    work: Work<P, O>,
}

/// A prepared unit of a network.
type PreparedFor<N> = Prepared<<N as Network>::Pass, <N as Network>::Output>;

/// Rows that each table lacks.
#[derive(Default)]
struct Rows {
    scores: Vec<ScoreRow>,
    embeddings: Vec<EmbeddingRow>,
    ablation: Vec<AblationRow>,
    genes: Vec<GeneEffectRow>,
    effects: Vec<EffectRow>,
    statuses: Vec<Status>,
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

    /// Scores what is pending with `scorer` and copies of one model, one a device; commits unit by unit, and keeps
    /// `run` up to date in the catalog. Units are dealt to the devices in turn. Rows that turn out to carry
    /// no score are listed in `report`. `progress`, which the caller began, counts variants.
    ///
    /// # Errors
    /// When any stage fails; units committed before stay.
    ///
    /// # Panics
    /// When the track's columns are not the scorer's, or `models` is empty.
    pub fn run<S, N>(
        &self,
        scorer: &S,
        models: Vec<N>,
        writer: &mut Writer,
        run: &mut Run,
        report: &mut Report,
        progress: &dyn Progress,
    ) -> Result<Outcome, PipelineError>
    where
        S: Scorer,
        N: Network<Pass = S::Pass, Output = S::Output>,
    {
        assert_eq!(self.track.columns, scorer.columns(), "a track has its scorer's columns; this is a bug");
        assert_eq!(self.track.gene_columns, scorer.gene_columns(), "and its gene columns; this is a bug");
        assert_eq!(
            self.track.effect_columns,
            scorer.effect_columns(),
            "and its kinds of effects; this is a bug"
        );
        let names = scorer.targets();
        let targets = (!names.is_empty()).then(|| Targets::of(&names));
        assert_eq!(self.track.targets, targets, "and its targets; this is a bug");
        assert!(!models.is_empty(), "a run has a model; this is a bug");
        writer.put_run(run)?;
        let outcome = thread::scope(|scope| {
            let (mut to_engines, mut from_engines, mut engines) = (Vec::new(), Vec::new(), Vec::new());
            let threads = tch::get_num_threads();
            for model in models {
                let (to_engine, from_planner) = sync_channel::<PreparedFor<N>>(1);
                let (to_writer, from_engine) = sync_channel::<Computed<N>>(1);
                to_engines.push(to_engine);
                from_engines.push(from_engine);
                let engine = Engine { job: self, model, threads, progress };
                engines.push(scope.spawn(move || engine.run(&from_planner, &to_writer)));
            }
            let planner = scope.spawn(move || self.plan_units(scorer, &to_engines));
            // Which stages failed shows when they are joined; each ends when a neighbour does.
            let committed = self.commit_units(&from_engines, writer, run, report);
            drop(from_engines);
            let computed: Vec<_> = engines.into_iter().map(join).collect();
            let planned = join(planner);
            let mut outcome = committed?;
            let (busy, whole) = planned?;
            outcome.stages.planning = busy;
            outcome.interrupted = !whole;
            let mut repeats = true;
            for computed in computed {
                let worked = computed?;
                outcome.stages.model += worked.busy;
                outcome.interrupted |= worked.stopped;
                repeats &= worked.repeats;
            }
            if !repeats {
                run.remarks.push(UNSTEADY.to_owned());
            }
            Ok::<_, PipelineError>(outcome)
        })?;
        run.finished = (!outcome.interrupted).then(|| self.store.now());
        writer.put_run(run)?;
        Ok(outcome)
    }

    /// Prepares units for the engines in turn; how long that took, and whether there are no more.
    fn plan_units<S: Scorer>(
        &self,
        scorer: &S,
        to_engines: &[SyncSender<Prepared<S::Pass, S::Output>>],
    ) -> Result<(Duration, bool), PipelineError> {
        let mut reference = self.reference.reopen()?;
        let (mut units, mut busy) = (Units::new(self)?, Duration::ZERO);
        for to_engine in to_engines.iter().cycle() {
            let started = Instant::now();
            if self.interrupted.is_set() {
                break;
            }
            let Some(unit) = units.next() else { return Ok((busy, true)) };
            let prepared = self.prepare(unit?, scorer, &mut reference)?;
            busy += started.elapsed();
            if to_engine.send(prepared).is_err() {
                break;
            }
        }
        Ok((busy, false))
    }

    fn prepare<S: Scorer>(
        &self,
        unit: Unit,
        scorer: &S,
        reference: &mut Reference,
    ) -> Result<Prepared<S::Pass, S::Output>, PipelineError> {
        let mut statuses = Vec::with_capacity(unit.rows.len());
        let mut windows = Vec::with_capacity(unit.rows.len());
        for row in &unit.rows {
            let status = match row.planned.status {
                Some(status) => Some(status),
                None => match scorer.cut(&row.planned.variant, reference, self.store.assembly())? {
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
        let work = scorer.plan(&windows, unit.wants_outputs() || self.ablation)?;
        Ok(Prepared { unit, statuses, work })
    }

    fn commit_units<N: Network>(
        &self,
        from_engines: &[Receiver<Computed<N>>],
        writer: &mut Writer,
        run: &mut Run,
        report: &mut Report,
    ) -> Result<Outcome, PipelineError> {
        let mut group = Group::default();
        let outcome = self.write_units(from_engines, &mut group, writer, run, report);
        // Whole units, also when a later one failed.
        let committed = group.commit(writer, run);
        let outcome = outcome?;
        committed?;
        Ok(outcome)
    }

    fn write_units<N: Network>(
        &self,
        from_engines: &[Receiver<Computed<N>>],
        group: &mut Group,
        writer: &mut Writer,
        run: &mut Run,
        report: &mut Report,
    ) -> Result<Outcome, PipelineError> {
        let mut outcome = Outcome::default();
        let mut reading = Duration::ZERO;
        // Taken in turn as they were dealt, so that rows are committed in the order of the plan.
        for from_engine in from_engines.iter().cycle() {
            let waited = group.left().map(|left| from_engine.recv_timeout(left));
            let computed = match waited {
                Some(Ok(computed)) => Ok(computed),
                Some(Err(RecvTimeoutError::Disconnected)) => break,
                Some(Err(RecvTimeoutError::Timeout)) => {
                    group.commit(writer, run)?;
                    from_engine.recv()
                }
                None => from_engine.recv(),
            };
            let Ok(Computed { prepared, launched }) = computed else { break };
            let started = Instant::now();
            let Prepared { unit, statuses, work } = prepared;
            // On a GPU reading waits for what is computed; what is written does not wait with it.
            if reading > LONG_READ {
                group.commit(writer, run)?;
            }
            let read = Instant::now();
            let Numbers { outputs, mut ablation } = launched.read(&work)?;
            reading = read.elapsed();
            outcome.stages.reading += reading;
            if outputs.iter().any(|output| output.divided) && run.remarks.is_empty() {
                run.remarks.push(DIVIDED.to_owned());
            }
            let (count, contig) = (unit.rows.len() as u64, unit.contig);
            // The plan listed what it knew to be unscorable; the rest shows only now.
            let planned: Vec<(Variant, bool)> = unit
                .rows
                .iter()
                .map(|row| (row.planned.variant.clone(), row.planned.status.is_some()))
                .collect();
            let without = ablation.as_mut().map(|ablation| ablation.finish(&work)).unwrap_or_default();
            let outputs = outputs.into_iter().map(|output| output.outputs).collect();
            let rows = self.rows(unit, statuses, work.finish(outputs), &without);
            for ((variant, known), status) in planned.iter().zip(&rows.statuses) {
                *outcome.statuses.entry(*status).or_default() += 1;
                if !known && *status != Status::Scored {
                    report.unscored(variant, self.store.assembly(), *status)?;
                }
            }
            if let Some(ablation) = ablation {
                ablation.record(&self.record.kept_layers, run);
                outcome.evaluations += ablation.evaluations;
                outcome.batches += ablation.batches;
            }
            outcome.rows += count;
            run.committed += 1;
            run.rows += count.max(rows.ablation.len() as u64);
            let mut segments = Vec::with_capacity(2);
            let mut write = |table, batch: Result<_, StoreError>| -> Result<(), StoreError> {
                segments.extend(writer.write(table, self.track, Some(self.record), contig, [batch])?);
                Ok(())
            };
            if !rows.scores.is_empty() {
                write(Table::Scores, score_batch(self.track, &rows.scores))?;
            }
            if !rows.embeddings.is_empty() {
                write(Table::Embeddings, embedding_batch(self.record.embedding_width(), &rows.embeddings))?;
            }
            if !rows.genes.is_empty() {
                write(Table::GeneEffects, gene_effect_batch(self.track, &rows.genes))?;
            }
            if !rows.ablation.is_empty() {
                write(Table::Ablation, ablation_batch(self.track, &rows.ablation))?;
            }
            if !rows.effects.is_empty() {
                let batches = effect_batches(self.track, &rows.effects);
                segments.extend(writer.write(
                    Table::Effects,
                    self.track,
                    Some(self.record),
                    contig,
                    batches,
                )?);
            }
            group.push(segments, writer, run)?;
            outcome.stages.writing += started.elapsed().saturating_sub(reading);
        }
        Ok(outcome)
    }

    /// The rows of a unit that each table lacks, from those of the full model and, by layer, those without it.
    fn rows(
        &self,
        unit: Unit,
        statuses: Vec<Option<Status>>,
        computed: Vec<Row>,
        without: &[Vec<Row>],
    ) -> Rows {
        let mut rows = Rows::default();
        let mut computed = computed.into_iter().enumerate();
        for (pending, status) in unit.rows.into_iter().zip(statuses) {
            let (place, row) = if let Some(status) = status {
                let values = vec![None; self.track.columns.len()];
                (None, Row::of_values(values, status))
            } else {
                let (place, row) = computed.next().expect("a row for every window; this is a bug");
                (Some(place), row)
            };
            let variant = pending.planned.variant;
            rows.statuses.push(row.status);
            if pending.ablation {
                let without = without.iter().map(|rows| place.and_then(|place| rows.get(place)));
                rows.ablation.extend(ablation::rows(&variant, &self.record.kept_layers, &row, without));
            }
            if pending.embedding {
                let status = if row.embedding.is_some() { Status::Scored } else { row.status };
                let embedding = row.embedding.map(|embedding| [embedding.reference, embedding.delta]);
                rows.embeddings.push(EmbeddingRow { variant: variant.clone(), embedding, status });
            }
            if pending.genes {
                rows.genes.extend(gene_effects(&variant, row.genes, row.status));
            }
            if pending.effects {
                rows.effects.push(EffectRow::new(variant.clone(), row.effects, row.status));
            }
            if pending.scores {
                rows.scores.push(ScoreRow { variant, values: row.values, status: row.status });
            }
        }
        rows
    }
}

/// The rows of a variant's genes, in the order of their table; one row with its status where it has none.
fn gene_effects(variant: &Variant, mut genes: Vec<GeneRow>, status: Status) -> Vec<GeneEffectRow> {
    if genes.is_empty() {
        // Of a variant that has scores beside gene effects.
        let status = if status == Status::Scored { Status::NoGene } else { status };
        return vec![GeneEffectRow {
            variant: variant.clone(),
            gene: String::new(),
            values: Vec::new(),
            effects: Vec::new(),
            status,
        }];
    }
    genes.sort_by(|a, b| a.gene.cmp(&b.gene));
    let row = |gene: GeneRow| {
        let status = gene.status();
        let GeneRow { gene, values, effects } = gene;
        let effects = if status == Status::Scored { effects } else { Vec::new() };
        GeneEffectRow { variant: variant.clone(), gene, values, effects, status }
    };
    genes.into_iter().map(row).collect()
}

/// The record of a run that starts now; `batch_tokens` are the most tokens of one batch, of a model that reads tokens.
///
/// # Errors
/// When the catalog cannot be read.
pub fn new_run(
    job: &Job<'_>,
    device: &str,
    threads: u32,
    batch_tokens: Option<u32>,
) -> Result<Run, StoreError> {
    Ok(Run {
        number: job.store.runs()?.last().map_or(1, |run| run.number + 1),
        track: job.track.name.clone(),
        table: if job.ablation { Table::Ablation } else { Table::Scores },
        plan: Digest::from(job.plan.digest()),
        shard: job.plan.shard(),
        embeddings: job.embeddings,
        variants: Some(job.plan.len()),
        merged: None,
        program: concat!("vestore-ingest ", env!("CARGO_PKG_VERSION")).to_owned(),
        device: device.to_owned(),
        threads,
        batch_tokens,
        started: job.store.now(),
        finished: None,
        units: job.plan.len().div_ceil(job.unit as u64),
        committed: 0,
        rows: 0,
        remarks: Vec::new(),
        layers: Vec::new(),
    })
}

/// Waits for a stage; a stage that panicked panics here.
fn join<T>(stage: thread::ScopedJoinHandle<'_, T>) -> T {
    stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
