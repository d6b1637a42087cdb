//! Fine-tuning into a folder: the model, how it was made, and how good it is.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::Device;

use super::examples::Example;
use super::figures::{TuningFigure, figures};
use super::files::{FilesError, draw_losses, finish, finished};
use super::published;
use super::tuning::{TuningData, TuningError, TuningPlan, TuningResult, TuningRun, tune};
use crate::model::describe;
use crate::model::identity::hexadecimal;
use crate::model::source::ModelSource;

/// Where and how a fine-tuning runs.
pub struct Finetuning<'a> {
    /// The model to tune.
    pub source: &'a ModelSource,
    /// Names of the classes, for the configuration that is written.
    pub classes: &'a [String],
    /// Examples that nothing is chosen by.
    pub test: &'a [Example],
    /// Folder that the model is written to.
    pub output: &'a Path,
    /// What computes.
    pub device: Device,
    /// Steps between two states on disk.
    pub save_every: u64,
    /// Set by who wants it to stop after the step in hand.
    pub interrupted: &'a AtomicBool,
    /// No progress.
    pub quiet: bool,
}

/// What a whole fine-tuning gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetuned {
    /// How it went.
    #[serde(flatten)]
    pub tuning: TuningResult,
    /// Figures of the validation examples.
    pub validation_figures: Vec<TuningFigure>,
    /// Figures of the test examples; none without such.
    pub test_figures: Vec<TuningFigure>,
}

/// Tunes a model by `plan` and writes it. Where the folder holds the state of the same tuning it goes on from there,
/// and gives the same weights as if it had never stopped (on a CPU, with as many threads). `None` when it was
/// interrupted.
///
/// # Errors
/// When the plan makes no sense for the data or the model, files cannot be read or written, or the loss diverges.
pub fn finetune(
    plan: &TuningPlan,
    data: &TuningData<'_>,
    run: &Finetuning<'_>,
) -> Result<Option<Finetuned>, TuningError> {
    let working = run.output.join("training");
    let id = hexadecimal(&describe(run.source)?.id);
    let record = json!({ "plan": plan, "task": data.task, "data": data.identity, "model": id });
    for file in ["model.safetensors", "adapter_model.safetensors"] {
        if run.output.join(file).exists() && !run.output.join(super::files::RECORD).exists() {
            return Err(FilesError::Occupied { output: run.output.to_owned() }.into());
        }
    }
    if let Some(result) = finished(run.output, &record)? {
        return Ok(Some(result));
    }
    let io = |source| FilesError::Io { file: working.clone(), source };
    std::fs::create_dir_all(&working).map_err(io)?;
    let inner = TuningRun {
        source: run.source,
        working: &working,
        device: run.device,
        save_every: Some(run.save_every),
        interrupted: run.interrupted,
        quiet: run.quiet,
    };
    let Some(tuned) = tune(plan, data, &inner, &record)? else { return Ok(None) };
    let said = |examples: &[Example]| -> Result<Vec<TuningFigure>, TuningError> {
        let predictions = tuned.objective.say(&tuned.network, examples, None)?.predictions;
        Ok(figures(data.task, &predictions, examples))
    };
    let result = Finetuned {
        validation_figures: said(data.validation)?,
        test_figures: if run.test.is_empty() { Vec::new() } else { said(run.test)? },
        tuning: tuned.result.clone(),
    };
    published::write(&tuned, run.source, run.classes, &working, run.output)?;
    draw_losses(run.output, &result.tuning.losses, &result.tuning.validation)?;
    finish(run.output, &working, &record, &result)?;
    Ok(Some(result))
}
