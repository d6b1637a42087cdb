//! Fine-tuning of a model with a head on labelled windows: all weights, the head alone, or an adapter. It can be
//! interrupted at any moment and continues to the same weights.

mod head;
mod metrics;
mod objective;
mod plan;
mod published;
mod record;
mod start;
mod tokens;
mod tuned;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::Device;

use self::metrics::figures;
pub use self::metrics::{TuningFigure, tuning_metrics};
use self::objective::TuningObjective;
pub use self::plan::{TuningInput, TuningMethod, TuningPlan};
pub use self::record::tuned_record;
pub(crate) use self::tuned::TunedModel;
use super::error::TrainError;
use super::leaves::Trainable;
use super::memory;
use super::run_directory::{RunDirectory, io_error};
use super::state::LossPoint;
use super::trainer::{Saving, Trainer, TrainerOptions};
use crate::checkpoint::ModelSource;
use crate::convert::single;
use crate::dataset::{Example, LabelledWindows, TuningTask};
use crate::encoder::model::describe;
use crate::progress::Progress;
use vestore_schema::hexadecimal;

/// What is learned from.
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

impl<'a> TuningData<'a> {
    /// The training and validation rows of `windows`.
    #[must_use]
    pub fn of(windows: &'a LabelledWindows) -> Self {
        let LabelledWindows { task, training, validation, identity, .. } = windows;
        Self { task: *task, training, validation, identity: identity.clone() }
    }
}

/// Where and how a fine-tuning runs.
pub struct Finetuning<'a> {
    /// The model to tune.
    pub source: &'a ModelSource,
    /// Names of the classes, for the configuration that is written.
    pub classes: &'a [String],
    /// Examples that nothing is chosen by.
    pub test: &'a [Example],
    /// Folder that the model is written to; without one nothing is kept.
    pub output: Option<&'a Path>,
    /// What computes.
    pub device: Device,
    /// Steps between two states on disk, in the folder.
    pub save_every: u64,
    /// Set by whoever wants it to stop after the current step.
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
    /// Seconds of one step, without evaluations.
    pub seconds_per_step: f64,
    /// Peak memory of the process during the run that ended it, in bytes, where the system reports it.
    pub peak_memory: Option<u64>,
}

/// The result of a whole fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetuned {
    /// How it went.
    #[serde(flatten)]
    pub tuning: TuningResult,
    /// Figures of the validation examples.
    pub validation_figures: Vec<TuningFigure>,
    /// Figures of the test examples; none without such.
    pub test_figures: Vec<TuningFigure>,
    /// Seconds that the validation and test examples took, of the run that ended it.
    pub evaluation_seconds: f64,
}

/// Tunes a model by `plan` and writes it. Where the folder holds the state of the same tuning it continues from there,
/// to the same weights as if it had never stopped (on a CPU, with as many threads). `None` when it was interrupted.
///
/// # Errors
/// When the plan makes no sense for the data or the model, files cannot be read or written, or the loss diverges.
pub fn finetune(
    plan: &TuningPlan,
    data: &TuningData<'_>,
    run: &Finetuning<'_>,
) -> Result<Option<Finetuned>, TrainError> {
    plan.check()?;
    check(plan, data)?;
    let Some(output) = run.output else {
        let folder = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
        return Ok(tune(plan, data, run, folder.path(), None)?.map(|(_, result)| result));
    };
    let id = hexadecimal(&describe(run.source)?.id);
    let record = json!({ "plan": plan, "task": data.task, "data": data.identity, "model": id });
    let directory = RunDirectory::open_apart(output, &run.source.checkpoint)?;
    if let Some(result) = directory.finished(&record)? {
        return Ok(Some(result));
    }
    let saving = Saving { file: directory.state(), record: &record, every: run.save_every };
    let Some((model, result)) = tune(plan, data, run, directory.working(), Some(saving))? else {
        return Ok(None);
    };
    directory.draw_losses(&result.tuning.losses, &result.tuning.validation)?;
    published::write(&model, run.source, run.classes, &directory)?;
    directory.finish(&record, &result)?;
    Ok(Some(result))
}

/// Tunes and measures; `None` when it was interrupted. An adapter's first tensors are written into `working`.
fn tune(
    plan: &TuningPlan,
    data: &TuningData<'_>,
    run: &Finetuning<'_>,
    working: &Path,
    saving: Option<Saving<'_>>,
) -> Result<Option<(TunedModel, Finetuned)>, TrainError> {
    memory::reset_peak();
    let started = Instant::now();
    let network = start::open(run.source, plan, data.task, working, run.device)?;
    let every = plan.evaluate_every.unwrap_or(plan.course().per_epoch(data.training.len()));
    let options = TrainerOptions {
        schedule: plan.course().schedule(data.training.len()),
        optimizer: plan.optimizer,
        unit: "tokens",
        record_every: every,
        evaluate_every: every,
        patience: plan.patience,
        keep_best: true,
        saving,
        interrupted: run.interrupted,
        progress: run.progress,
    };
    let mut trainer = Trainer::open(network, options)?;
    let mut objective = TuningObjective::new(plan, data);
    if !trainer.run(&mut objective)? {
        return Ok(None);
    }
    let best = trainer.restore_best()?;
    let tuning = TuningResult {
        parameters: trainer.network.leaves().parameters(),
        trained_parameters: trainer.network.leaves().trained_parameters(),
        steps: trainer.steps(),
        best,
        losses: trainer.history().losses.clone(),
        validation: trainer.history().held_out.clone(),
        seconds: started.elapsed().as_secs_f64(),
        seconds_per_step: trainer.seconds_per_step(),
        peak_memory: memory::peak().filter(|_| !run.device.is_cuda()),
    };
    let model = TunedModel { network: trainer.network, objective: objective.into_head() };
    let result = measured(&model, data, run.test, tuning)?;
    Ok(Some((model, result)))
}

/// Whether there are examples, each with the windows that the input needs.
fn check(plan: &TuningPlan, data: &TuningData<'_>) -> Result<(), TrainError> {
    for (which, examples) in [("training", data.training), ("validation", data.validation)] {
        if examples.is_empty() {
            return Err(TrainError::NoExamples { which });
        }
        let alone = examples.iter().position(|example| example.reference.is_none());
        if let (TuningInput::Difference, Some(place)) = (plan.input, alone) {
            return Err(TrainError::NoReference { place });
        }
    }
    Ok(())
}

/// The figures of a tuned model.
fn measured(
    model: &TunedModel,
    data: &TuningData<'_>,
    test: &[Example],
    tuning: TuningResult,
) -> Result<Finetuned, TrainError> {
    let started = Instant::now();
    let predicted = |examples: &[Example]| -> Result<Vec<Vec<f64>>, TrainError> {
        if examples.is_empty() { Ok(Vec::new()) } else { Ok(model.predict(examples, None)?.values) }
    };
    let (validation, tested) = (predicted(data.validation)?, predicted(test)?);
    // Scores are float32.
    let finite = |row: &Vec<f64>| row.iter().all(|value| single(*value).is_finite());
    if !validation.iter().chain(&tested).all(finite) {
        return Err(TrainError::NotFinite { what: "predictions" });
    }
    let evaluation_seconds = started.elapsed().as_secs_f64();
    let measured = |predictions: &[Vec<f64>], examples: &[Example]| {
        if examples.is_empty() { Vec::new() } else { figures(data.task, predictions, examples) }
    };
    Ok(Finetuned {
        validation_figures: measured(&validation, data.validation),
        test_figures: measured(&tested, test),
        evaluation_seconds,
        tuning,
    })
}
