//! The loop that pretraining and fine-tuning share: steps of the optimizer, evaluations on held-out rows, early
//! stopping, and a state on disk from which an interrupted training continues to the same weights.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::Value;
use tch::{TchError, Tensor};

use super::adamw::{AdamW, AdamWOptions};
use super::error::TrainError;
use super::leaves::Trainable;
use super::schedule::Schedule;
use super::state::{History, LossPoint, State, read_state, write_state};
use crate::progress::Progress;

/// What is learned.
pub(super) trait Objective {
    /// What is trained.
    type Network: Trainable;

    /// Adds the gradients of the mean loss of step `step`, counted from 0, to the weights.
    fn backward(&mut self, network: &Self::Network, step: u64) -> Result<StepLoss, TrainError>;

    /// The mean loss of the held-out rows; `None` without such rows.
    fn evaluate(&self, network: &Self::Network) -> Result<Option<f64>, TrainError>;
}

/// The loss of one step.
pub(super) struct StepLoss {
    /// Weighted sum over the rows.
    pub(super) sum: f64,
    /// Sum of the weights.
    pub(super) weight: f64,
    /// What was computed, in units of [`TrainerOptions::unit`].
    pub(super) computed: u64,
}

/// When the loop does what.
pub(super) struct TrainerOptions<'a> {
    pub(super) schedule: Schedule,
    pub(super) optimizer: AdamWOptions,
    /// What a step's work is counted in, in the plural: tokens, special ones not counted in pretraining, or windows.
    pub(super) unit: &'static str,
    /// Steps between two points of the training loss.
    pub(super) record_every: u64,
    /// Steps between two evaluations.
    pub(super) evaluate_every: u64,
    /// Evaluations without a lower held-out loss after which it stops; 0 for never.
    pub(super) patience: u32,
    /// Whether the weights of the lowest held-out loss are kept.
    pub(super) keep_best: bool,
    /// Where the state is saved; nowhere when `None`.
    pub(super) saving: Option<Saving<'a>>,
    /// Set by whoever wants it to stop after the current step.
    pub(super) interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub(super) progress: &'a dyn Progress,
}

/// Where and how often the state is saved.
pub(super) struct Saving<'a> {
    pub(super) file: PathBuf,
    /// What is trained how: a state of something else is an error.
    pub(super) record: &'a Value,
    /// Steps between two states; one is also saved after each evaluation.
    pub(super) every: u64,
}

/// A training in progress.
pub(super) struct Trainer<'a, N> {
    pub(super) network: N,
    options: TrainerOptions<'a>,
    optimizer: AdamW,
    history: History,
    /// Trained weights of the lowest held-out loss.
    best_weights: BTreeMap<String, Tensor>,
    /// Steps made before this run.
    first: u64,
    /// What this run computed.
    computed: u64,
    started: Instant,
    /// Seconds of this run's steps, without evaluations.
    step_seconds: f64,
}

impl<'a, N: Trainable> Trainer<'a, N> {
    /// A trainer of `network`; it continues from the state on disk if there is one.
    pub(super) fn open(mut network: N, options: TrainerOptions<'a>) -> Result<Self, TrainError> {
        let state = match &options.saving {
            Some(saving) => read_state(&saving.file, saving.record)?.map(|state| (state, &saving.file)),
            None => None,
        };
        let (optimizer, history, best_weights) = match state {
            None => (
                AdamW::new(options.optimizer, network.leaves().weights())?,
                History::default(),
                BTreeMap::new(),
            ),
            Some((State { step, history, weights, means, best_weights }, file)) => {
                let means = network.leaves_mut().restore(&weights, means, file)?;
                (AdamW::restored(options.optimizer, means, step), history, best_weights)
            }
        };
        Ok(Self {
            first: optimizer.steps(),
            network,
            options,
            optimizer,
            history,
            best_weights,
            computed: 0,
            started: Instant::now(),
            step_seconds: 0.0,
        })
    }

    /// Steps made so far, by all runs.
    pub(super) fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Steps that this run made.
    pub(super) fn steps_of_run(&self) -> u64 {
        self.steps() - self.first
    }

    /// What this run computed, in units of [`TrainerOptions::unit`].
    pub(super) fn computed(&self) -> u64 {
        self.computed
    }

    /// Seconds since it was opened.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Mean seconds of this run's steps, without evaluations.
    pub(super) fn seconds_per_step(&self) -> f64 {
        self.step_seconds / self.steps_of_run().max(1) as f64
    }

    /// The losses so far.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Makes all steps that are left; `false` when it was interrupted, with the state on disk.
    pub(super) fn run(&mut self, objective: &mut impl Objective<Network = N>) -> Result<bool, TrainError> {
        let total = self.options.schedule.steps;
        let progress = self.options.progress;
        progress.begin("steps", self.steps(), total);
        let whole = self.remaining_steps(objective, total);
        progress.finish();
        whole
    }

    fn remaining_steps(
        &mut self,
        objective: &mut impl Objective<Network = N>,
        total: u64,
    ) -> Result<bool, TrainError> {
        let progress = self.options.progress;
        while self.steps() < total && !self.is_stale() {
            let loss = self.step(objective)?;
            let (step, last) = (self.steps(), self.steps() == total);
            if last || step.is_multiple_of(self.options.record_every) {
                let [sum, weight] = std::mem::take(&mut self.history.pending);
                self.history.losses.push(LossPoint { step, loss: sum / weight });
            }
            let due = last || step.is_multiple_of(self.options.evaluate_every);
            let evaluated = due && self.evaluate(objective)?;
            progress.note(&self.note(loss));
            progress.advance(1);
            let stop = self.options.interrupted.load(Ordering::Relaxed) && !last;
            if let Some(saving) = &self.options.saving
                && (stop || last || evaluated || step.is_multiple_of(saving.every))
            {
                self.save(saving)?;
            }
            if stop {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the held-out loss has not fallen for long enough.
    fn is_stale(&self) -> bool {
        let Some(best) = self.history.best else { return false };
        let since = self.history.held_out.iter().filter(|point| point.step > best.step).count();
        self.options.patience > 0 && since >= self.options.patience as usize
    }

    /// One step of the optimizer; returns its mean loss.
    fn step(&mut self, objective: &mut impl Objective<Network = N>) -> Result<f64, TrainError> {
        let (step, before) = (self.steps(), Instant::now());
        let StepLoss { sum, weight, computed } = objective.backward(&self.network, step)?;
        let loss = sum / weight;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss, gradient: f64::NAN });
        }
        let rate = self.options.schedule.rate(step);
        let gradient = self.optimizer.step(self.network.leaves().weights(), rate)?;
        if !gradient.is_finite() {
            return Err(TrainError::Diverged { step, loss, gradient });
        }
        let pending = &mut self.history.pending;
        *pending = [pending[0] + sum, pending[1] + weight];
        self.computed += computed;
        self.step_seconds += before.elapsed().as_secs_f64();
        Ok(loss)
    }

    /// Computes the held-out loss, and keeps the weights if it is the lowest so far; `false` without held-out rows.
    fn evaluate(&mut self, objective: &impl Objective<Network = N>) -> Result<bool, TrainError> {
        let step = self.steps();
        let Some(loss) = objective.evaluate(&self.network)? else { return Ok(false) };
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss, gradient: f64::NAN });
        }
        let point = LossPoint { step, loss };
        self.history.held_out.push(point);
        if self.options.keep_best && self.history.best.is_none_or(|best| loss < best.loss) {
            self.history.best = Some(point);
            let copy = |(name, weight): (&String, &Tensor)| {
                let weight = weight.detach();
                let mut copy = weight.f_empty_like()?;
                copy.f_copy_(&weight)?;
                Ok((name.clone(), copy))
            };
            self.best_weights =
                self.network.leaves().weights().iter().map(copy).collect::<Result<_, TchError>>()?;
        }
        Ok(true)
    }

    /// What is shown beside the progress bar.
    fn note(&self, loss: f64) -> String {
        let held_out = self.history.held_out.last();
        let held_out = held_out.map_or(String::new(), |point| format!(", held out {:.4}", point.loss));
        let rate = self.computed as f64 / self.seconds();
        let decimals = if rate < 10.0 { 2 } else { 0 };
        format!("loss {loss:.4}{held_out}, {rate:.decimals$} {}/s", self.options.unit)
    }

    fn save(&self, saving: &Saving<'_>) -> Result<(), TrainError> {
        let shared = |tensors: &BTreeMap<String, Tensor>| {
            tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
        };
        let means = self.optimizer.means().iter();
        let means = means.map(|(name, means)| (name.clone(), means.each_ref().map(Tensor::shallow_clone)));
        let state = State {
            step: self.steps(),
            history: self.history.clone(),
            weights: shared(self.network.leaves().weights()),
            means: means.collect(),
            best_weights: shared(&self.best_weights),
        };
        Ok(write_state(&saving.file, saving.record, &state)?)
    }

    /// Puts the weights of the lowest held-out loss back; returns that loss.
    pub(super) fn restore_best(&mut self) -> Result<LossPoint, TchError> {
        let Some(best) = self.history.best else {
            panic!("the last step evaluates the held-out rows; this is a bug")
        };
        self.network.leaves_mut().replace(&self.best_weights)?;
        Ok(best)
    }
}
