//! One device's part of a run: units come prepared, their batches are launched, and the writer reads the
//! numbers back while the next unit is under way.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::ablation::{Ablation, LaunchedUnit};
use super::{Job, PipelineError, Prepared};
use crate::model::Model;
use crate::model::error::ModelError;
use crate::score::{self, Launched, Outputs, Work};

/// A model on its device.
pub(super) struct Engine<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) model: Model,
    /// Threads of its arithmetic on a CPU.
    pub(super) threads: i32,
}

/// A unit on its way to the store.
pub(super) struct Computed {
    pub(super) prepared: Prepared,
    pub(super) launched: LaunchedBatches,
}

/// The batches of a unit, perhaps not computed yet.
pub(super) enum LaunchedBatches {
    Scores(Vec<Launched>),
    Ablation(LaunchedUnit),
}

/// What the batches of a unit gave.
pub(super) struct Numbers {
    pub(super) outputs: Vec<Outputs>,
    pub(super) ablation: Option<Ablation>,
}

/// What an engine tells at its end.
pub(super) struct Worked {
    /// How long the model was busy.
    pub(super) busy: Duration,
    /// Whether it gave the same numbers for the same windows twice.
    pub(super) repeats: bool,
}

impl LaunchedBatches {
    /// Waits for all of them.
    pub(super) fn read(self, work: &Work) -> Result<Numbers, ModelError> {
        match self {
            Self::Scores(batches) => {
                let outputs = batches.into_iter().map(|batch| batch.read(work));
                Ok(Numbers { outputs: outputs.collect::<Result<_, _>>()?, ablation: None })
            }
            Self::Ablation(unit) => {
                let (outputs, ablation) = unit.read(work)?;
                Ok(Numbers { outputs, ablation: Some(ablation) })
            }
        }
    }
}

impl Engine<'_> {
    /// Runs units until no more come or none is wanted. The first windows are run twice, to see whether the
    /// model's numbers repeat.
    pub(super) fn run(
        &self,
        from_planner: &Receiver<Prepared>,
        to_writer: &SyncSender<Computed>,
    ) -> Result<Worked, PipelineError> {
        // libtorch counts threads for each thread that calls it.
        tch::set_num_threads(self.threads);
        let mut worked = Worked { busy: Duration::ZERO, repeats: true };
        let mut checked = false;
        while let Ok(prepared) = from_planner.recv() {
            if self.job.interrupted.is_set() {
                break;
            }
            let started = Instant::now();
            if !checked && prepared.work.batches() > 0 {
                worked.repeats = score::repeats(&self.model, &prepared.work)?;
                checked = true;
            }
            let launched = self.launch(&prepared.work)?;
            worked.busy += started.elapsed();
            let Some(launched) = launched else { break };
            if to_writer.send(Computed { prepared, launched }).is_err() {
                break;
            }
        }
        Ok(worked)
    }

    /// Starts the batches of a unit; `None` when the user wants to stop and does not wait for the rest of it.
    fn launch(&self, work: &Work) -> Result<Option<LaunchedBatches>, ModelError> {
        if self.job.ablation {
            let (part, tokens) = (self.job.track.recipe.part, self.job.recipe.batch_tokens);
            let launch = |batch| score::launch_ablation(&self.model, work, batch, part, tokens);
            let batches = self.each_batch(work, launch)?;
            let depth = self.model.depth();
            return Ok(batches.map(|batches| LaunchedBatches::Ablation(LaunchedUnit { batches, depth })));
        }
        let batches = self.each_batch(work, |batch| score::launch(&self.model, work, batch))?;
        Ok(batches.map(LaunchedBatches::Scores))
    }

    fn each_batch<T>(
        &self,
        work: &Work,
        mut launch: impl FnMut(usize) -> Result<T, ModelError>,
    ) -> Result<Option<Vec<T>>, ModelError> {
        let mut batches = Vec::with_capacity(work.batches());
        for batch in 0..work.batches() {
            if self.job.interrupted.is_overdue() {
                return Ok(None);
            }
            batches.push(launch(batch)?);
        }
        Ok(Some(batches))
    }
}
