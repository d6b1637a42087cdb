//! Fine-tuning of a model with a classification head on labelled windows: all weights, the head alone, or an
//! adapter. It can be cut off anywhere and goes on to the same weights.

mod error;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, TchError, Tensor};
use vestore_schema::Strands;

pub use self::error::TuningError;
pub use self::plan::{TuningInput, TuningMethod, TuningPlan};
use super::adamw::AdamW;
use super::examples::{Example, TuningTask, order};
use super::network::Network;
use super::objective::Objective;
use super::schedule::Schedule;
use super::state::{LossPoint, State, StateError, read_state, write_state};
use super::{memory, start};
use crate::model::source::ModelSource;
use crate::progress::Progress;
use crate::random::Random;

/// What a stream of random numbers is for.
const ORDER: u64 = 0x0bde;
const STRAND: u64 = 0x57a2;

/// What is learnt from.
pub struct TuningData<'a> {
    /// What the labels are.
    pub task: TuningTask,
    /// What the weights are fitted to.
    pub training: &'a [Example],
    /// What decides when it stops, and which weights are kept.
    pub validation: &'a [Example],
    /// What identifies all of it, for the record.
    pub identity: Value,
}

/// Where and how it runs.
pub(crate) struct TuningRun<'a> {
    /// The model to tune.
    pub source: &'a ModelSource,
    /// Folder of the state and of the adapter's first tensors; it is there.
    pub working: &'a Path,
    /// What computes.
    pub device: Device,
    /// Steps between two states on disk; none are kept when `None`.
    pub save_every: Option<u64>,
    /// Set by who wants it to stop after the step in hand.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub progress: &'a dyn Progress,
}

/// How a tuning went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningResult {
    /// Numbers in the weights, head and adapter included.
    pub parameters: u64,
    /// Those that were trained.
    pub trained_parameters: u64,
    /// Steps made.
    pub steps: u64,
    /// Lowest validation loss and its step: the weights that are kept.
    pub best: LossPoint,
    /// Mean loss of the training examples over the steps, nats or squared standard deviations.
    pub losses: Vec<LossPoint>,
    /// Mean loss of the validation examples.
    pub validation: Vec<LossPoint>,
    /// Seconds, of the run that ended it.
    pub seconds: f64,
    /// Seconds of one step without looks at the validation loss.
    pub seconds_per_step: f64,
    /// Most memory of the process during the run that ended it, bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

/// A tuned network, by the weights of the lowest validation loss.
pub(crate) struct Tuned {
    pub(super) network: Network,
    pub(super) objective: Objective,
    pub(super) result: TuningResult,
}

/// Tunes by `plan`; `None` when it was interrupted, with its state on disk. `record` says what is tuned how: a
/// state of something else is an error.
pub(crate) fn tune(
    plan: &TuningPlan,
    data: &TuningData<'_>,
    run: &TuningRun<'_>,
    record: &Value,
) -> Result<Option<Tuned>, TuningError> {
    plan.check()?;
    for (which, examples) in [("training", data.training), ("validation", data.validation)] {
        if examples.is_empty() {
            return Err(TuningError::NoExamples { which });
        }
        let alone = examples.iter().position(|example| example.reference.is_none());
        if let (TuningInput::Difference, Some(place)) = (plan.input, alone) {
            return Err(TuningError::NoReference { place });
        }
    }
    memory::reset_peak();
    let started = Instant::now();
    let network = start::open(run.source, plan, data.task, run.working, run.device)?;
    let mut tuning = Tuning::open(plan, data, run, network, record)?;
    if tuning.all_steps(record)?.is_some() {
        return Ok(None);
    }
    Ok(Some(tuning.finish(started)?))
}

/// A tuning under way.
struct Tuning<'a> {
    plan: &'a TuningPlan,
    data: &'a TuningData<'a>,
    run: &'a TuningRun<'a>,
    schedule: Schedule,
    objective: Objective,
    network: Network,
    optimizer: AdamW,
    losses: Vec<LossPoint>,
    validation: Vec<LossPoint>,
    best: Option<LossPoint>,
    best_weights: BTreeMap<String, Tensor>,
    /// Sum of the losses since the last point, and of their weights.
    pending: [f64; 2],
    /// The epoch whose order is at hand.
    order: Option<(u64, Vec<usize>)>,
    /// Steps that this run made, and the seconds that they took.
    made: u64,
    seconds: f64,
}

impl<'a> Tuning<'a> {
    fn open(
        plan: &'a TuningPlan,
        data: &'a TuningData<'a>,
        run: &'a TuningRun<'a>,
        mut network: Network,
        record: &Value,
    ) -> Result<Self, TuningError> {
        let file = state_file(run.working);
        let state = if run.save_every.is_some() { read_state(&file, record)? } else { None };
        let labels: Vec<f64> = data.training.iter().map(|example| example.label).collect();
        let mut tuning = Self {
            plan,
            data,
            run,
            schedule: plan.schedule(data.training.len()),
            objective: Objective::new(data.task, plan.strands, plan.input, plan.balanced, &labels),
            optimizer: AdamW::new(plan.optimizer, network.weights())?,
            losses: Vec::new(),
            validation: Vec::new(),
            best: None,
            best_weights: BTreeMap::new(),
            pending: [0.0; 2],
            order: None,
            made: 0,
            seconds: 0.0,
            network,
        };
        if let Some(State { step, losses, held_out, pending, best, best_weights, weights, means }) = state {
            network = tuning.network;
            let means = network.restore(&weights, means, &file)?;
            tuning = Self {
                optimizer: AdamW::restored(plan.optimizer, means, step),
                losses,
                validation: held_out,
                pending,
                best,
                best_weights,
                network,
                ..tuning
            };
        }
        Ok(tuning)
    }

    /// Makes all steps that are left; `Some` with the step when it was interrupted.
    fn all_steps(&mut self, record: &Value) -> Result<Option<u64>, TuningError> {
        let total = self.schedule.steps;
        let every = self.plan.evaluate_every.unwrap_or(self.plan.per_epoch(self.data.training.len()));
        let progress = self.run.progress;
        progress.begin("steps", self.optimizer.steps(), total);
        while self.optimizer.steps() < total && !self.is_stale() {
            let before = Instant::now();
            self.step()?;
            self.seconds += before.elapsed().as_secs_f64();
            self.made += 1;
            let step = self.optimizer.steps();
            let looks = step.is_multiple_of(every) || step == total;
            if looks {
                self.look(step)?;
                if let (Some(loss), Some(validation)) = (self.losses.last(), self.validation.last()) {
                    progress.note(&format!("loss {:.4}, validation {:.4}", loss.loss, validation.loss));
                }
            }
            progress.advance(1);
            let stop = self.run.interrupted.load(Ordering::Relaxed) && step < total;
            if let Some(save_every) = self.run.save_every
                && (stop || looks || step.is_multiple_of(save_every))
            {
                self.save(record)?;
            }
            if stop {
                progress.finish();
                return Ok(Some(step));
            }
        }
        progress.finish();
        Ok(None)
    }

    /// Whether the validation loss has not fallen for long enough.
    fn is_stale(&self) -> bool {
        let Some(best) = self.best else { return false };
        let since = self.validation.iter().filter(|point| point.step > best.step).count();
        self.plan.patience > 0 && since >= self.plan.patience as usize
    }

    fn step(&mut self) -> Result<(), TuningError> {
        let step = self.optimizer.steps();
        let count = self.data.training.len();
        let per_epoch = self.plan.per_epoch(count);
        let (epoch, number) = (step / per_epoch, step % per_epoch);
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.order = Some((epoch, order(count, &[ORDER, self.plan.seed, epoch])));
        }
        let first = (number * u64::from(self.plan.batch)) as usize;
        let last = (first + self.plan.batch as usize).min(count);
        let places: Vec<usize> =
            self.order.as_ref().map(|(_, order)| order[first..last].to_vec()).unwrap_or_default();
        let batch: Vec<&Example> = places.iter().map(|place| &self.data.training[*place]).collect();
        let weight = self.objective.weight(&batch);
        let both = self.plan.strands == Strands::Both;
        let turned = |place: usize| {
            let parts = [STRAND, self.plan.seed, epoch, places[place] as u64];
            both && Random::of(&parts).below(2) == 1
        };
        let size = batch.len().div_ceil(self.plan.parts as usize);
        let mut sum = 0.0;
        for (number, part) in batch.chunks(size).enumerate() {
            let loss = self.objective.loss(&self.network, part, |place| turned(number * size + place))?;
            // Classes weigh 1 in the mean over all examples, so that a rare one keeps its weight in a small batch.
            loss.f_div_scalar(batch.len() as f64)?.f_backward()?;
            sum += loss.f_double_value(&[])?;
        }
        let loss = sum / weight;
        if !loss.is_finite() {
            return Err(TuningError::Diverged { step, loss, gradient: f64::NAN });
        }
        let gradient = self.optimizer.step(self.network.weights(), self.schedule.rate(step))?;
        if !gradient.is_finite() {
            return Err(TuningError::Diverged { step, loss, gradient });
        }
        self.pending = [self.pending[0] + sum, self.pending[1] + weight];
        Ok(())
    }

    /// Looks at the validation loss, and keeps the weights when it is the lowest so far.
    fn look(&mut self, step: u64) -> Result<(), TuningError> {
        self.losses.push(LossPoint { step, loss: self.pending[0] / self.pending[1] });
        self.pending = [0.0; 2];
        let loss = self.objective.say(&self.network, self.data.validation, None)?.loss;
        if !loss.is_finite() {
            return Err(TuningError::Diverged { step, loss, gradient: f64::NAN });
        }
        let point = LossPoint { step, loss };
        self.validation.push(point);
        if self.best.is_none_or(|best| loss < best.loss) {
            self.best = Some(point);
            let copies = self.network.weights().iter();
            let copies = copies.map(|(name, weight)| {
                let weight = weight.detach();
                let mut copy = weight.f_empty_like()?;
                copy.f_copy_(&weight)?;
                Ok((name.clone(), copy))
            });
            self.best_weights = copies.collect::<Result<_, TchError>>()?;
        }
        Ok(())
    }

    fn save(&self, record: &Value) -> Result<(), StateError> {
        let copy = |tensor: &Tensor| tensor.detach();
        let copies = |tensors: &BTreeMap<String, Tensor>| {
            tensors.iter().map(|(name, tensor)| (name.clone(), copy(tensor))).collect()
        };
        let means = self.optimizer.means().iter();
        let means = means.map(|(name, [mean, square])| (name.clone(), [copy(mean), copy(square)]));
        let state = State {
            step: self.optimizer.steps(),
            losses: self.losses.clone(),
            held_out: self.validation.clone(),
            pending: self.pending,
            best: self.best,
            best_weights: copies(&self.best_weights),
            weights: copies(self.network.weights()),
            means: means.collect(),
        };
        write_state(&state_file(self.run.working), record, &state)
    }

    /// The network with its best weights.
    fn finish(mut self, started: Instant) -> Result<Tuned, TuningError> {
        let Some(best) = self.best else {
            panic!("the last step looks at the validation loss; this is a bug")
        };
        self.network.replace(&self.best_weights)?;
        let sum = |tensors: &BTreeMap<String, Tensor>| {
            tensors.values().map(|tensor| tensor.numel() as u64).sum::<u64>()
        };
        let result = TuningResult {
            parameters: sum(self.network.tensors()),
            trained_parameters: sum(self.network.weights()),
            steps: self.optimizer.steps(),
            best,
            losses: self.losses,
            validation: self.validation,
            seconds: started.elapsed().as_secs_f64(),
            seconds_per_step: self.seconds / self.made.max(1) as f64,
            peak_memory: memory::peak().filter(|_| !self.run.device.is_cuda()),
        };
        Ok(Tuned { network: self.network, objective: self.objective, result })
    }
}

/// Where the state is kept.
fn state_file(working: &Path) -> PathBuf {
    working.join("state.safetensors")
}
