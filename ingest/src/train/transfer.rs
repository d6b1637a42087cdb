//! Transfer of a regulatory model to new coverage: a new head, and all weights, none beside it, or an adapter. It can be
//! interrupted at any moment and continues to the same weights.

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
use tch::Device;
use vestore::Reference;

use self::network::TransferNetwork;
use self::objective::TransferObjective;
pub use self::plan::{TransferMethod, TransferPlan};
pub use self::record::transfer_record;
use self::windows::TransferData;
use super::error::TrainError;
use super::finetune::TuningResult;
use super::leaves::Trainable;
use super::memory;
use super::run_directory::{RunDirectory, RunDirectoryError};
use super::trainer::{Saving, Trainer, TrainerOptions};
use crate::checkpoint::ModelSource;
use crate::coverage::{CoverageError, CoverageInput};
use crate::dataset::Split;
use crate::progress::Progress;
use crate::regulatory::regulatory_record;

/// Where and how a transfer runs.
pub struct TransferRun<'a> {
    /// The model to transfer.
    pub source: &'a ModelSource,
    /// The table of targets.
    pub targets: &'a Path,
    /// Where the bases are read.
    pub reference: &'a Reference,
    /// Folder that the model is written to.
    pub output: &'a Path,
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
    /// How it went.
    #[serde(flatten)]
    pub tuning: TuningResult,
}

/// Transfers a model by `plan` and writes it. Where the folder holds the state of the same transfer it continues from
/// there, to the same weights as if it had never stopped (on a CPU, with as many threads). `None` when it was interrupted.
///
/// # Errors
/// When the plan makes no sense for the data or the model, files cannot be read or written, or the loss diverges.
pub fn transfer(
    plan: &TransferPlan,
    input: &CoverageInput<'_>,
    run: &TransferRun<'_>,
) -> Result<Option<Transferred>, TrainError> {
    plan.check()?;
    for (which, split) in [("training", Split::Training), ("validation", Split::Validation)] {
        if input.sequences.of(split).next().is_none() {
            return Err(TrainError::NoExamples { which });
        }
    }
    let output = run.output;
    let model = regulatory_record("", run.source, String::new(), None, plan.head, None)?.id;
    let record = json!({ "plan": plan, "data": transfer_identity(input)?, "model": model });
    let place = |folder: &Path| folder.canonicalize().ok();
    if place(output).is_some_and(|output| Some(output) == place(&run.source.checkpoint)) {
        let name = "config.json".to_owned();
        return Err(RunDirectoryError::Occupied { output: output.to_owned(), name }.into());
    }
    let directory = RunDirectory::open(output)?;
    if let Some(result) = directory.finished(&record)? {
        return Ok(Some(result));
    }
    let collected = TransferData::collect(
        input,
        run.reference.reopen()?,
        directory.working(),
        run.interrupted,
        run.progress,
    );
    let data = match collected {
        Err(CoverageError::Interrupted) => return Ok(None),
        collected => collected?,
    };
    let saving = Saving { file: directory.state(), record: &record, every: run.save_every };
    let Some((network, result)) = train(plan, &data, run, directory.working(), Some(saving))? else {
        return Ok(None);
    };
    directory.draw_losses(&result.tuning.losses, &result.tuning.validation)?;
    published::write(&network, plan, run.source, run.targets, &directory)?;
    directory.finish(&record, &result)?;
    Ok(Some(result))
}

/// What identifies the data of a transfer, with the window that the model is scored on unless asked otherwise.
///
/// # Errors
/// When the blacklist cannot be read.
pub fn transfer_identity(input: &CoverageInput<'_>) -> Result<Value, CoverageError> {
    let digest = input.identity()?;
    Ok(json!({ "coverage": digest, "window": input.sequences.window, "targets": input.targets.names() }))
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
    let every = plan.evaluate_every.unwrap_or(plan.per_epoch(windows));
    let options = TrainerOptions {
        schedule: plan.schedule(windows),
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
    Ok(Some((trainer.network, Transferred { tuning })))
}
