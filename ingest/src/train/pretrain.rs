//! Pretraining of a masked language model, from random weights or from a checkpoint. It can be interrupted at any
//! moment and continues to the same weights.

mod alleles;
mod initial;
mod masking;
mod objective;
mod plan;
mod start;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

pub use self::alleles::{AlleleCounts, Alleles, AllelesError};
pub use self::masking::Masked;
use self::objective::MaskedObjective;
pub use self::objective::training_batch;
pub use self::plan::PretrainingPlan;
use self::start::Start;
pub use self::windows::WindowsError;
use super::error::TrainError;
use super::leaves::Trainable;
use super::network::Network;
use super::run_directory::RunDirectory;
use super::state::{LossPoint, write_tensors};
use super::trainer::{Saving, Trainer, TrainerOptions};
use crate::genome::{Genome, KnownRegions};
use crate::progress::Progress;

/// Points of the loss curve.
const POINTS: u64 = 400;

/// What is trained on.
pub struct PretrainingData<'a> {
    /// The DNA.
    pub genome: &'a Genome,
    /// Where windows are drawn.
    pub training: &'a KnownRegions,
    /// Where the loss is watched.
    pub held_out: &'a KnownRegions,
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
    /// Set by whoever wants it to stop after the current step.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub progress: &'a dyn Progress,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Pretrained {
    /// All steps are made and the model is written.
    Whole(PretrainingResult),
    /// It was interrupted; the state is on disk.
    Interrupted {
        /// Steps made.
        step: u64,
    },
}

/// The result of a whole training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainingResult {
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

/// Trains by `plan`. Where `run.output` holds the state of the same training it continues from there, to the same
/// weights as if it had never stopped (on a CPU, with as many threads).
///
/// # Errors
/// When the plan makes no sense, the data are too short, files cannot be read or written, or the loss diverges.
pub fn pretrain(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    run: &PretrainingRun<'_>,
) -> Result<Pretrained, TrainError> {
    plan.check()?;
    let start = Start::read(run.start)?;
    let record = json!({ "plan": plan, "data": data.identity, "start": start.digest() });
    let directory = RunDirectory::open(run.output)?;
    if let Some(result) = directory.finished(&record)? {
        return Ok(Pretrained::Whole(result));
    }
    let checkpoint = start.write(directory.working(), plan.seed)?;
    let kind = if plan.bf16 { Kind::BFloat16 } else { Kind::Float };
    let network = Network::open(&checkpoint, run.device, kind)?;
    let mut objective = MaskedObjective::new(plan, data, &network)?;
    let record_every = plan.schedule.steps.div_ceil(POINTS).max(1);
    let saving = Saving { file: directory.state(), record: &record, every: run.save_every };
    let options = TrainerOptions {
        schedule: plan.schedule,
        optimizer: plan.optimizer,
        unit: "tokens",
        record_every,
        evaluate_every: record_every * 10,
        patience: 0,
        keep_best: false,
        saving: Some(saving),
        interrupted: run.interrupted,
        progress: run.progress,
    };
    let mut trainer = Trainer::open(network, options)?;
    if !trainer.run(&mut objective)? {
        return Ok(Pretrained::Interrupted { step: trainer.steps() });
    }
    let result = PretrainingResult {
        parameters: trainer.network.leaves().parameters(),
        tokens: trainer.computed(),
        seconds: trainer.seconds(),
        steps: trainer.steps_of_run(),
        losses: trainer.history().losses.clone(),
        held_out: trainer.history().held_out.clone(),
    };
    start::copy(directory.working(), directory.output())?;
    let weights = trainer.network.leaves().weights().iter();
    let weights: BTreeMap<String, &Tensor> =
        weights.map(|(name, weight)| (trainer.network.published(name), weight)).collect();
    // transformers refuses files that do not say whose tensors they are.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_tensors(&directory.output().join("model.safetensors"), &weights, metadata)?;
    directory.draw_losses(&result.losses, &result.held_out)?;
    directory.finish(&record, &result)?;
    Ok(Pretrained::Whole(result))
}
