//! Fine-tuning into a folder: the model, how it was made, and how good it is.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::Device;

use super::examples::Example;
use super::figures::{TuningFigure, figures};
use super::files::{FilesError, check_vacant, draw_losses, finish, finished};
use super::lock::FolderLock;
use super::published;
use super::tuning::{Tuned, TuningData, TuningError, TuningPlan, TuningResult, TuningRun, tune};
use crate::model::describe;
use crate::model::identity::hexadecimal;
use crate::model::source::ModelSource;
use crate::progress::Progress;

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
    /// Set by who wants it to stop after the step in hand.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub progress: &'a dyn Progress,
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
    /// Seconds that the validation and test examples took, of the run that ended it.
    pub evaluation_seconds: f64,
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
    let Some(output) = run.output else {
        let folder = tempfile::tempdir().map_err(|source| {
            let file = std::env::temp_dir();
            FilesError::Io { file, source }
        })?;
        return Ok(tuned(plan, data, run, folder.path(), &Value::Null)?.map(|(_, result)| result));
    };
    let working = output.join("training");
    let id = hexadecimal(&describe(run.source)?.id);
    let record = json!({ "plan": plan, "task": data.task, "data": data.identity, "model": id });
    check_vacant(output, &working)?;
    // A record of an earlier training does not make the parent's own folder a place to write to.
    let place = |folder: &Path| folder.canonicalize().ok();
    if place(output).is_some_and(|output| Some(output) == place(&run.source.checkpoint)) {
        return Err(FilesError::Occupied { output: output.to_owned(), name: "config.json".to_owned() }.into());
    }
    let _lock = FolderLock::take(output, &working)?;
    if let Some(result) = finished(output, &working, &record)? {
        return Ok(Some(result));
    }
    let Some((tuned, result)) = tuned(plan, data, run, &working, &record)? else { return Ok(None) };
    draw_losses(output, &result.tuning.losses, &result.tuning.validation)?;
    published::write(&tuned, run.source, run.classes, &working, output)?;
    finish(output, &working, &record, &result)?;
    Ok(Some(result))
}

/// Tunes and measures; `None` when it was interrupted.
fn tuned(
    plan: &TuningPlan,
    data: &TuningData<'_>,
    run: &Finetuning<'_>,
    working: &Path,
    record: &Value,
) -> Result<Option<(Tuned, Finetuned)>, TuningError> {
    let inner = TuningRun {
        source: run.source,
        working,
        device: run.device,
        save_every: run.output.map(|_| run.save_every),
        interrupted: run.interrupted,
        progress: run.progress,
    };
    let Some(tuned) = tune(plan, data, &inner, record)? else { return Ok(None) };
    let started = Instant::now();
    let said = |examples: &[Example]| tuned.objective.say(&tuned.network, examples, None);
    let validation = said(data.validation)?.predictions;
    let test = if run.test.is_empty() { Vec::new() } else { said(run.test)?.predictions };
    // Scores are float32.
    let finite = |row: &Vec<f64>| row.iter().all(|value| (*value as f32).is_finite());
    if !validation.iter().chain(&test).all(finite) {
        return Err(TuningError::NotFinite { what: "predictions" });
    }
    let evaluation_seconds = started.elapsed().as_secs_f64();
    let measured = |predictions: &[Vec<f64>], examples: &[Example]| {
        if examples.is_empty() { Vec::new() } else { figures(data.task, predictions, examples) }
    };
    let result = Finetuned {
        validation_figures: measured(&validation, data.validation),
        test_figures: measured(&test, run.test),
        evaluation_seconds,
        tuning: tuned.result.clone(),
    };
    Ok(Some((tuned, result)))
}
