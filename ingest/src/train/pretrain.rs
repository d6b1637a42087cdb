//! Pretraining of a masked language model, from nothing or from a checkpoint, that can be cut off anywhere
//! and goes on to the same weights.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Device, Kind, TchError, Tensor};
use thiserror::Error;

use super::adamw::{AdamW, AdamWOptions};
use super::alleles::Alleles;
use super::files::{Files, FilesError};
use super::genome::Genome;
use super::masking::{Masked, Masking};
use super::network::Network;
use super::schedule::{LengthWarmup, Schedule};
use super::state::{LossPoint, State, StateError, read_state, write_state};
use super::stretches::Stretches;
use super::windows::{Windows, WindowsError};
use crate::model::error::ModelError;
use crate::progress::Progress;
use crate::random::Random;
use crate::tokenize::Tokenizer;

/// Points of the loss curve.
const POINTS: u64 = 400;

/// Held-out windows whose loss is watched.
const WATCHED: u64 = 64;

/// What a stream of random numbers is for.
const TRAINING: u64 = 1;
const WATCHING: u64 = 2;

/// Everything that decides the weights, besides the data and the first weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainingPlan {
    /// Where all random numbers start.
    pub seed: u64,
    /// Tokens that one step of the optimizer sees.
    pub batch_tokens: u32,
    /// In how many parts a step is computed, for less memory.
    pub parts: u32,
    /// Share of the tokens that is hidden.
    pub mask_rate: f64,
    /// What a soft-masked base counts for in the loss: 0 leaves repeats out.
    pub repeat_weight: f32,
    /// Tokens of a window.
    pub lengths: LengthWarmup,
    /// Learning rate.
    pub schedule: Schedule,
    /// The optimizer.
    pub optimizer: AdamWOptions,
    /// Whether products are computed in bfloat16; weights and optimizer stay float32.
    pub bf16: bool,
}

/// What is trained on.
pub struct PretrainingData<'a> {
    /// The DNA.
    pub genome: &'a Genome,
    /// Where windows are drawn.
    pub training: &'a Stretches,
    /// Where the loss is watched.
    pub held_out: &'a Stretches,
    /// Alleles to put into windows.
    pub alleles: Option<&'a Alleles>,
    /// What identifies all of it, for the plan's record.
    pub identity: Value,
}

/// Where and how it runs.
pub struct PretrainingRun<'a> {
    /// Folder with config.json and the tokenizer's files; with weights, too, if these are to be trained on.
    pub start: &'a Path,
    /// Folder that the model is written to.
    pub output: &'a Path,
    /// What computes.
    pub device: Device,
    /// Steps between two states on disk.
    pub save_every: u64,
    /// Set by who wants it to stop after the step in hand.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub progress: &'a dyn Progress,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Pretrained {
    /// All steps are made and the model is written.
    Whole(TrainingResult),
    /// It was interrupted; the state is on disk.
    Interrupted {
        /// Steps made.
        step: u64,
    },
}

/// What a whole training gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingResult {
    /// Numbers in the weights.
    pub parameters: u64,
    /// Tokens seen, by the run that ended it.
    pub tokens: u64,
    /// Seconds, of the run that ended it.
    pub seconds: f64,
    /// Steps made by the run that ended it.
    pub steps: u64,
    /// Loss of the training windows over the steps, nats a token.
    pub losses: Vec<LossPoint>,
    /// Loss of the watched held-out windows.
    pub held_out: Vec<LossPoint>,
}

/// Why a training cannot begin or go on.
#[derive(Debug, Error)]
pub enum PretrainError {
    /// A number that makes no sense.
    #[error("the {setting} is {found}; {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The tokenizer has no token that hides another.
    #[error("the tokenizer has no mask token; add `<mask>` or `[MASK]` to its vocabulary")]
    NoMask,
    /// The loss is no number any more.
    #[error(
        "at step {step} the loss is {loss} and the gradient {gradient}; use a lower --learning-rate or a longer \
         --warmup, with another --output"
    )]
    Diverged {
        /// Steps made.
        step: u64,
        /// The loss, nats a token.
        loss: f64,
        /// The gradient's length.
        gradient: f64,
    },
    /// The model cannot be opened or computed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No window can be drawn.
    #[error(transparent)]
    Windows(#[from] WindowsError),
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The model's folder cannot be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Trains by `plan`. Where `run.output` holds the state of the same training it goes on from there, and gives
/// the same weights as if it had never stopped (on a CPU, with as many threads).
///
/// # Errors
/// When the plan makes no sense, the data are too short, files cannot be read or written, or the loss diverges.
pub fn pretrain(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    run: &PretrainingRun<'_>,
) -> Result<Pretrained, PretrainError> {
    check(plan)?;
    let files = Files::prepare(run.start, run.output, plan.seed)?;
    let record = json!({ "plan": plan, "data": data.identity, "start": files.digest() });
    if let Some(result) = files.finished(&record)? {
        return Ok(Pretrained::Whole(result));
    }
    let kind = if plan.bf16 { Kind::BFloat16 } else { Kind::Float };
    let network = Network::open(files.checkpoint(), run.device, kind)?;
    let mut training = Training::open(plan, data, run, network, &files.state(), &record)?;
    if let Some(step) = training.all_steps(&files.state(), &record)? {
        return Ok(Pretrained::Interrupted { step });
    }
    let result = training.result();
    files.finish(&training.network, &record, &result)?;
    Ok(Pretrained::Whole(result))
}

fn check(plan: &PretrainingPlan) -> Result<(), PretrainError> {
    let setting = |setting, found: &dyn std::fmt::Display, expected: &str| {
        Err(PretrainError::Setting { setting, found: found.to_string(), expected: expected.to_owned() })
    };
    let Schedule { steps, warmup, peak, .. } = plan.schedule;
    if steps == 0 {
        return setting("number of steps", &steps, "it is 1 or more");
    }
    if warmup > steps {
        return setting("warm-up in steps", &warmup, "it is not more than the number of steps");
    }
    if !(peak.is_finite() && peak > 0.0) {
        return setting("learning rate", &peak, "it is more than 0");
    }
    if !(plan.mask_rate > 0.0 && plan.mask_rate < 1.0) {
        return setting("share of hidden tokens", &plan.mask_rate, "it lies between 0 and 1");
    }
    if !(0.0..=1.0).contains(&plan.repeat_weight) {
        return setting("weight of soft-masked bases", &plan.repeat_weight, "it lies from 0 to 1");
    }
    if plan.lengths.first == 0 || plan.lengths.last == 0 {
        return setting("window length in tokens", &plan.lengths.last, "windows have tokens");
    }
    if plan.optimizer.clip.is_nan() || plan.optimizer.clip <= 0.0 {
        return setting("maximum gradient norm", &plan.optimizer.clip, "it is more than 0");
    }
    if plan.parts == 0 {
        return setting("number of parts", &plan.parts, "it is 1 or more");
    }
    Ok(())
}

/// The windows of one step, as the model sees them: what [`pretrain`] trains on, for who wants to compare.
///
/// # Errors
/// When the data are too short, or the tokenizer has no mask.
pub fn training_batch(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    tokenizer: &Tokenizer,
    step: u64,
) -> Result<Vec<Masked>, PretrainError> {
    let tokens = plan.lengths.tokens(step);
    let windows = windows(plan, data, data.training, tokenizer, tokens)?;
    let masking = masking(plan, tokenizer)?;
    let draw = |index| {
        let mut random = Random::of(&[TRAINING, plan.seed, step, index]);
        Ok(masking.apply(windows.draw(&mut random)?, &mut random))
    };
    (0..u64::from((plan.batch_tokens / tokens).max(1))).into_par_iter().map(draw).collect()
}

fn windows<'a>(
    plan: &PretrainingPlan,
    data: &PretrainingData<'a>,
    stretches: &'a Stretches,
    tokenizer: &'a Tokenizer,
    tokens: u32,
) -> Result<Windows<'a>, WindowsError> {
    let alleles = data.alleles.filter(|_| std::ptr::eq(stretches, data.training));
    Windows::new(data.genome, stretches, alleles, tokenizer, tokens, plan.repeat_weight)
}

fn masking(plan: &PretrainingPlan, tokenizer: &Tokenizer) -> Result<Masking, PretrainError> {
    let mask = tokenizer.mask_id().ok_or(PretrainError::NoMask)?;
    Ok(Masking { rate: plan.mask_rate, mask, words: tokenizer.words() })
}

/// A training under way.
struct Training<'a> {
    plan: &'a PretrainingPlan,
    data: &'a PretrainingData<'a>,
    run: &'a PretrainingRun<'a>,
    network: Network,
    tokenizer: Tokenizer,
    optimizer: AdamW,
    watched: Vec<Masked>,
    losses: Vec<LossPoint>,
    held_out: Vec<LossPoint>,
    /// Sum of the losses since the last point, and of their weights.
    pending: [f64; 2],
    tokens: u64,
    first: u64,
    started: Instant,
}

impl<'a> Training<'a> {
    fn open(
        plan: &'a PretrainingPlan,
        data: &'a PretrainingData<'a>,
        run: &'a PretrainingRun<'a>,
        mut network: Network,
        state: &Path,
        record: &Value,
    ) -> Result<Self, PretrainError> {
        let tokenizer = network.tokenizer().clone();
        let (optimizer, losses, held_out, pending) = match read_state(state, record)? {
            None => (AdamW::new(plan.optimizer, network.weights())?, Vec::new(), Vec::new(), [0.0; 2]),
            Some(State { step, losses, held_out, pending, weights, means, .. }) => {
                let means = network.restore(&weights, means, state)?;
                (AdamW::restored(plan.optimizer, means, step), losses, held_out, pending)
            }
        };
        let mut training = Self {
            plan,
            data,
            run,
            tokenizer,
            first: optimizer.steps(),
            optimizer,
            watched: Vec::new(),
            losses,
            held_out,
            pending,
            tokens: 0,
            started: Instant::now(),
            network,
        };
        training.check_lengths()?;
        training.watched = training.watched()?;
        Ok(training)
    }

    /// The longest windows must fit the model and the data, which is better known at once than after a day.
    fn check_lengths(&self) -> Result<(), PretrainError> {
        let tokens = self.plan.lengths.last;
        let windows = windows(self.plan, self.data, self.data.training, &self.tokenizer, tokens)?;
        let longest = windows.draw(&mut Random::new(0))?.ids.len();
        match self.network.max_tokens() {
            Some(limit) if longest > limit as usize => Err(PretrainError::Setting {
                setting: "window length in tokens",
                found: format!("{tokens} ({longest} with special tokens)"),
                expected: format!("the model takes {limit}"),
            }),
            _ => Ok(()),
        }
    }

    /// Held-out windows with their masks, the same at every step.
    fn watched(&self) -> Result<Vec<Masked>, PretrainError> {
        if self.data.held_out.bases() == 0 {
            return Ok(Vec::new());
        }
        let tokens = self.plan.lengths.last;
        let windows = windows(self.plan, self.data, self.data.held_out, &self.tokenizer, tokens)?;
        let masking = masking(self.plan, &self.tokenizer)?;
        let draw = |index| {
            let mut random = Random::of(&[WATCHING, index]);
            Ok(masking.apply(windows.draw(&mut random)?, &mut random))
        };
        (0..WATCHED).map(draw).collect()
    }

    /// Makes all steps that are left; `Some` with the step when it was interrupted.
    fn all_steps(&mut self, state: &Path, record: &Value) -> Result<Option<u64>, PretrainError> {
        let total = self.plan.schedule.steps;
        let every = total.div_ceil(POINTS).max(1);
        let progress = self.run.progress;
        progress.begin("steps", self.first, total);
        while self.optimizer.steps() < total {
            let [sum, weight] = self.step()?;
            let step = self.optimizer.steps();
            self.pending = [self.pending[0] + sum, self.pending[1] + weight];
            if step.is_multiple_of(every) || step == total {
                self.losses.push(LossPoint { step, loss: self.pending[0] / self.pending[1] });
                self.pending = [0.0; 2];
            }
            if step.is_multiple_of(every * 10) || step == total {
                self.watch(step)?;
            }
            let rate = self.tokens as f64 / self.started.elapsed().as_secs_f64();
            let held_out =
                self.held_out.last().map_or(String::new(), |point| format!(", held out {:.4}", point.loss));
            progress.note(&format!("loss {:.4}{held_out}, {rate:.0} tokens/s", sum / weight));
            progress.advance(1);
            let stop = self.run.interrupted.load(Ordering::Relaxed) && step < total;
            if stop || step.is_multiple_of(self.run.save_every) || step == total {
                self.save(state, record)?;
            }
            if stop {
                progress.finish();
                return Ok(Some(step));
            }
        }
        progress.finish();
        Ok(None)
    }

    /// One step of the optimizer; gives the weighted sum of the losses and the sum of the weights.
    fn step(&mut self) -> Result<[f64; 2], PretrainError> {
        let step = self.optimizer.steps();
        let batch = training_batch(self.plan, self.data, &self.tokenizer, step)?;
        let weight: f64 =
            batch.iter().flat_map(|window| &window.weights).map(|weight| f64::from(*weight)).sum();
        let mut sum = 0.0;
        for part in batch.chunks(batch.len().div_ceil(self.plan.parts as usize)) {
            let loss = self.network.masked_loss(part)?;
            loss.f_div_scalar(weight)?.f_backward()?;
            sum += loss.f_double_value(&[])?;
        }
        let diverged = |gradient| PretrainError::Diverged { step, loss: sum / weight, gradient };
        if !sum.is_finite() {
            return Err(diverged(f64::NAN));
        }
        let gradient = self.optimizer.step(self.network.weights(), self.plan.schedule.rate(step))?;
        if !gradient.is_finite() {
            return Err(diverged(gradient));
        }
        self.tokens += batch.len() as u64 * u64::from(self.plan.lengths.tokens(step));
        Ok([sum, weight])
    }

    /// Takes the loss of the watched windows.
    fn watch(&mut self, step: u64) -> Result<(), PretrainError> {
        if self.watched.is_empty() {
            return Ok(());
        }
        let mut sum = 0.0;
        for part in self.watched.chunks(16) {
            let loss: Tensor = tch::no_grad(|| self.network.masked_loss(part))?;
            sum += loss.f_double_value(&[])?;
        }
        if !sum.is_finite() {
            return Err(PretrainError::Diverged { step, loss: sum, gradient: f64::NAN });
        }
        let weight: f64 =
            self.watched.iter().flat_map(|window| &window.weights).map(|weight| f64::from(*weight)).sum();
        self.held_out.push(LossPoint { step, loss: sum / weight });
        Ok(())
    }

    fn save(&self, file: &Path, record: &Value) -> Result<(), StateError> {
        let copy = |tensor: &Tensor| tensor.detach();
        let weights = self.network.weights().iter().map(|(name, weight)| (name.clone(), copy(weight)));
        let means = self.optimizer.means().iter();
        let means = means.map(|(name, [mean, square])| (name.clone(), [copy(mean), copy(square)]));
        let state = State {
            step: self.optimizer.steps(),
            losses: self.losses.clone(),
            held_out: self.held_out.clone(),
            pending: self.pending,
            best: None,
            best_weights: BTreeMap::new(),
            weights: weights.collect(),
            means: means.collect(),
        };
        write_state(file, record, &state)
    }

    fn result(&self) -> TrainingResult {
        TrainingResult {
            parameters: self.network.parameters(),
            tokens: self.tokens,
            seconds: self.started.elapsed().as_secs_f64(),
            steps: self.optimizer.steps() - self.first,
            losses: self.losses.clone(),
            held_out: self.held_out.clone(),
        }
    }
}
