//! One device's part of a run: units come prepared, their batches are launched, and the writer reads the
//! numbers back while the next unit is under way.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::{Job, PipelineError, PreparedFor};
use crate::ablation::{Ablation, LaunchedUnit, launch_ablation};
use crate::error::ModelError;
use crate::forward::{self, Launched, Outputs};
use crate::progress::Progress;
use crate::seam::Network;
use crate::work::Work;

/// A model on its device.
pub(super) struct Engine<'a, N> {
    pub(super) job: &'a Job<'a>,
    pub(super) model: N,
    /// Threads of its arithmetic on a CPU.
    pub(super) threads: i32,
    /// Moves with every batch.
    pub(super) progress: &'a dyn Progress,
}

/// A unit on its way to the store.
pub(super) struct Computed<N: Network> {
    pub(super) prepared: PreparedFor<N>,
    pub(super) launched: LaunchedBatches<N>,
}

/// The batches of a unit, perhaps not computed yet.
pub(super) enum LaunchedBatches<N: Network> {
    Scores(Vec<Launched<N>>),
    Ablation(LaunchedUnit<N>),
}

/// What the batches of a unit gave.
pub(super) struct Numbers<O> {
    pub(super) outputs: Vec<Outputs<O>>,
    pub(super) ablation: Option<Ablation<O>>,
}

/// What an engine tells at its end.
pub(super) struct Worked {
    /// How long the model was busy.
    pub(super) busy: Duration,
    /// Whether it gave the same numbers for the same windows twice.
    pub(super) repeats: bool,
    /// Whether it left a unit undone because the user wants to stop.
    pub(super) stopped: bool,
}

impl<N: Network> LaunchedBatches<N> {
    /// Waits for all of them.
    pub(super) fn read(self, work: &Work<N::Pass, N::Output>) -> Result<Numbers<N::Output>, ModelError> {
        match self {
            Self::Scores(batches) => {
                let outputs = batches.into_iter().map(|batch| batch.read(work));
                Ok(Numbers { outputs: outputs.collect::<Result<_, _>>()?, ablation: None })
            }
            Self::Ablation(unit) => {
                let mut ablation = unit.read(work)?;
                Ok(Numbers { outputs: std::mem::take(&mut ablation.full), ablation: Some(ablation) })
            }
        }
    }
}

impl<N: Network> Engine<'_, N> {
    /// Runs units until no more come or none is wanted. The first windows are run twice, to see whether the
    /// model's numbers repeat.
    pub(super) fn run(
        &self,
        from_planner: &Receiver<PreparedFor<N>>,
        to_writer: &SyncSender<Computed<N>>,
    ) -> Result<Worked, PipelineError> {
        // libtorch counts threads for each thread that calls it.
        tch::set_num_threads(self.threads);
        let mut worked = Worked { busy: Duration::ZERO, repeats: true, stopped: false };
        let mut checked = false;
        while let Ok(prepared) = from_planner.recv() {
            if self.job.interrupted.is_set() {
                worked.stopped = true;
                break;
            }
            let started = Instant::now();
            if !checked && prepared.work.batches() > 0 {
                worked.repeats = match forward::repeats(&self.model, &prepared.work, self.job.interrupted) {
                    Err(ModelError::Interrupted) => {
                        worked.stopped = true;
                        break;
                    }
                    repeats => repeats?,
                };
                checked = true;
            }
            let launched = self.launch(&prepared)?;
            worked.busy += started.elapsed();
            let Some(launched) = launched else {
                worked.stopped = true;
                break;
            };
            if to_writer.send(Computed { prepared, launched }).is_err() {
                break;
            }
        }
        Ok(worked)
    }

    /// Starts the batches of a unit; `None` when the user wants to stop and does not wait for the rest of it.
    fn launch(&self, prepared: &PreparedFor<N>) -> Result<Option<LaunchedBatches<N>>, ModelError> {
        let work = &prepared.work;
        if self.job.ablation {
            let part = &self.job.track.recipe.part;
            let launch = |batch| launch_ablation(&self.model, work, batch, part, self.job.interrupted);
            let batches = self.each_batch(prepared, launch)?;
            let depth = self.model.depth();
            return Ok(batches.map(|batches| LaunchedBatches::Ablation(LaunchedUnit { batches, depth })));
        }
        let batches = self
            .each_batch(prepared, |batch| forward::launch(&self.model, work, batch, self.job.interrupted))?;
        Ok(batches.map(LaunchedBatches::Scores))
    }

    fn each_batch<T>(
        &self,
        prepared: &PreparedFor<N>,
        mut launch: impl FnMut(usize) -> Result<T, ModelError>,
    ) -> Result<Option<Vec<T>>, ModelError> {
        let count = prepared.work.batches();
        // Rows of the unit for which so many batches count.
        let rows = |batches: usize| (prepared.unit.rows.len() * batches / count.max(1)) as u64;
        let mut batches = Vec::with_capacity(count);
        for batch in 0..count {
            match launch(batch) {
                Err(ModelError::Interrupted) => return Ok(None),
                launched => batches.push(launched?),
            }
            self.progress.advance(rows(batch + 1) - rows(batch));
            // A unit of few variants and many batches would not move the count for long.
            if count > prepared.unit.rows.len() {
                self.progress.note(&format!("batch {} of {count}", batch + 1));
            }
        }
        self.progress.note("");
        if count == 0 {
            self.progress.advance(prepared.unit.rows.len() as u64);
        }
        Ok(Some(batches))
    }
}
