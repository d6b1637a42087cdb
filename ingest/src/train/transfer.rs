//! Transfer of a regulatory model to new coverage: a new head, and all weights, none beside it, or an adapter. It can be
//! interrupted at any moment and continues to the same weights.

mod figures;
mod loss;
mod network;
mod objective;
mod plan;
mod published;
mod record;
mod start;
#[cfg(test)]
mod tests;
mod windows;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Device, Tensor};
use vestore::{GeneTable, Reference};

pub use self::figures::{TransferFigures, transfer_metrics};
pub(crate) use self::figures::{coverage_figures, coverage_loss};
use self::network::TransferNetwork;
use self::objective::TransferObjective;
pub use self::plan::{TransferMethod, TransferPlan};
pub use self::record::{transfer_record, transfer_settings};
pub use self::windows::TransferData;
use super::error::TrainError;
use super::finetune::{Finetuned, TuningResult};
use super::leaves::Trainable;
use super::memory;
use super::run_directory::{MERGED, RunDirectory, TARGETS, copy_file, io_error};
use super::trainer::{Saving, Trainer, TrainerOptions};
use crate::checkpoint::ModelSource;
use crate::coverage::{CoverageError, CoverageInput};
use crate::dataset::Split;
use crate::progress::Progress;
use crate::regulatory::{TargetTable, regulatory_record};

/// What undoes the transform of targets that coverage was given.
pub(crate) const UNTRANSFORM: &str = "new";

/// Where and how a transfer runs.
#[derive(Clone, Copy)]
pub struct TransferRun<'a> {
    /// The model to transfer.
    pub source: &'a ModelSource,
    /// The table of targets.
    pub targets: &'a Path,
    /// Whether the whole checkpoint is written beside an adapter, with the adapter merged: into `merged/` of the folder.
    pub merge: bool,
    /// Genes whose expression is compared on the held-out windows.
    pub genes: Option<&'a GeneTable>,
    /// What computes.
    pub device: Device,
    /// Steps between two states on disk, in the folder.
    pub save_every: u64,
    /// Set by whoever wants it to stop after the current step.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub progress: &'a dyn Progress,
}

/// The result of a whole transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transferred {
    /// How it went, with the means over targets.
    #[serde(flatten)]
    pub finetuned: Finetuned,
    /// How predictions fit the validation windows.
    pub validation_windows: TransferFigures,
    /// How they fit the test windows; `None` without such.
    pub test_windows: Option<TransferFigures>,
}

/// Transfers a model by `plan` to what `input` names, with the bases of `reference`, and writes it to the folder `output`.
/// Where that holds the state of the same transfer it continues from there, to the same weights as if it had never stopped
/// (on a CPU, with as many threads). `None` when it was interrupted.
///
/// # Errors
/// When the plan makes no sense for the data or the model, files cannot be read or written, or the loss diverges.
pub fn transfer(
    plan: &TransferPlan,
    input: &CoverageInput<'_>,
    reference: &Reference,
    output: &Path,
    run: &TransferRun<'_>,
) -> Result<Option<Transferred>, TrainError> {
    check_transfer(plan, input, run.source)?;
    let record = record(plan, &transfer_identity(input)?, run)?;
    let directory = RunDirectory::open_apart(output, &run.source.checkpoint)?;
    if let Some(result) = directory.finished(&record)? {
        return Ok(Some(result));
    }
    let TransferRun { interrupted, progress, .. } = *run;
    match TransferData::collect(input, reference.reopen()?, directory.working(), interrupted, progress) {
        Err(CoverageError::Interrupted) => Ok(None),
        data => written(plan, &data?, &directory, &record, run),
    }
}

/// The same with data that are collected already; without a folder nothing is kept.
pub(crate) fn transfer_collected(
    plan: &TransferPlan,
    data: &TransferData<'_>,
    output: Option<&Path>,
    run: &TransferRun<'_>,
) -> Result<Option<Transferred>, TrainError> {
    check_transfer(plan, &data.input, run.source)?;
    let Some(output) = output else {
        let folder = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
        return Ok(train(plan, data, run, folder.path(), None)?.map(|(_, result)| result));
    };
    let record = record(plan, &transfer_identity(&data.input)?, run)?;
    let directory = RunDirectory::open_apart(output, &run.source.checkpoint)?;
    match directory.finished(&record)? {
        Some(result) => Ok(Some(result)),
        None => written(plan, data, &directory, &record, run),
    }
}

/// Checks all that can be checked before coverage is collected: the plan, the windows, and the model's files.
///
/// # Errors
/// When the plan makes no sense for the data or the model.
pub fn check_transfer(
    plan: &TransferPlan,
    input: &CoverageInput<'_>,
    source: &ModelSource,
) -> Result<(), TrainError> {
    plan.check()?;
    start::check(source, plan)?;
    let (window, bin) = (input.sequences.window, input.layout.resolution);
    if plan.shift > window / 2 {
        return TrainError::setting(
            "largest shift",
            plan.shift,
            &format!("at most {}, half a window", window / 2),
        );
    }
    // The bins of the reverse complement begin at the other end.
    if window % bin != 0 {
        return TrainError::setting("window", window, &format!("a multiple of {bin}, the bases of a bin"));
    }
    for (which, split) in [("training", Split::Training), ("validation", Split::Validation)] {
        if input.sequences.of(split).next().is_none() {
            return Err(TrainError::NoExamples { which });
        }
    }
    Ok(())
}

/// What is trained how.
fn record(plan: &TransferPlan, identity: &Value, run: &TransferRun<'_>) -> Result<Value, TrainError> {
    let model = regulatory_record("", run.source, String::new(), None, plan.head, None)?.id;
    let genes = run.genes.map(GeneTable::digest);
    let mut record =
        json!({ "plan": plan, "data": identity, "model": model, "genes": genes, "untransform": UNTRANSFORM });
    if run.merge {
        record["merge"] = json!(true);
    }
    Ok(record)
}

/// What identifies the data of a transfer, with the window that the model is scored on unless asked otherwise.
///
/// # Errors
/// When the blacklist cannot be read.
pub fn transfer_identity(input: &CoverageInput<'_>) -> Result<Value, CoverageError> {
    let digest = input.identity()?;
    Ok(json!({ "coverage": digest, "window": input.sequences.window, "targets": input.targets.names() }))
}

/// Trains, measures and writes.
fn written(
    plan: &TransferPlan,
    data: &TransferData<'_>,
    directory: &RunDirectory,
    record: &Value,
    run: &TransferRun<'_>,
) -> Result<Option<Transferred>, TrainError> {
    // As it was read: the file may change while the model is trained.
    let targets = directory.working().join(TARGETS);
    copy_file(run.targets, &targets)?;
    if TargetTable::read(&targets, true)?.digest() != data.input.targets.table().digest() {
        return Err(TrainError::ChangedTargets { file: run.targets.to_owned() });
    }
    let saving = Saving { file: directory.state(), record, every: run.save_every };
    let Some((network, result)) = train(plan, data, run, directory.working(), Some(saving))? else {
        return Ok(None);
    };
    let tuning = &result.finetuned.tuning;
    directory.draw_losses(&tuning.losses, &tuning.validation)?;
    if run.merge {
        published::write_merged(&network, plan, &targets, record, &directory.output().join(MERGED))?;
    }
    published::write(&network, plan, run.source, &targets, directory)?;
    directory.finish(record, &result)?;
    Ok(Some(result))
}

/// Trains and measures; `None` when it was interrupted. An adapter's first tensors are written into `working`.
fn train(
    plan: &TransferPlan,
    data: &TransferData<'_>,
    run: &TransferRun<'_>,
    working: &Path,
    saving: Option<Saving<'_>>,
) -> Result<Option<(TransferNetwork, Transferred)>, TrainError> {
    memory::reset_peak();
    let started = Instant::now();
    let network = start::open(run.source, plan, data.targets(), working, run.device)?;
    let windows = data.of(Split::Training).len();
    let every = plan.evaluate_every.unwrap_or(plan.course().per_epoch(windows));
    let options = TrainerOptions {
        schedule: plan.course().schedule(windows),
        optimizer: plan.optimizer,
        unit: "windows",
        record_every: every,
        evaluate_every: every,
        patience: plan.patience,
        keep_best: true,
        saving,
        interrupted: run.interrupted,
        progress: run.progress,
    };
    let mut trainer = Trainer::open(network, options)?;
    if !trainer.run(&mut TransferObjective::new(plan, data))? {
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
    let network = trainer.network;
    let evaluated = Instant::now();
    let trunk = network.fixed()?;
    let predict = |place: usize| -> Result<Tensor, TrainError> {
        Ok(network.profile(&trunk, &data.one_hot(place, run.device)?)?)
    };
    let validation = coverage_figures(data, Split::Validation, run.genes, predict)?;
    let Some(validation_windows) = validation else {
        return Err(TrainError::NoExamples { which: "validation" });
    };
    let test_windows = coverage_figures(data, Split::Test, run.genes, predict)?;
    let finetuned = Finetuned {
        tuning,
        validation_figures: validation_windows.means(),
        test_figures: test_windows.as_ref().map(TransferFigures::means).unwrap_or_default(),
        evaluation_seconds: evaluated.elapsed().as_secs_f64(),
    };
    Ok(Some((network, Transferred { finetuned, validation_windows, test_windows })))
}
