//! `vestore train finetune`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use vestore::check_output_folder;
use vestore_ingest::{
    Finetuned, Finetuning, TuningData, TuningFigure, TuningMethod, TuningPlan, TuningResult, finetune,
    source_of, tuned_record,
};
use vestore_schema::Model;

use super::machine::MachineArguments;
use super::progress::Bar;
use super::tuning::{DataArguments, TuningArguments, check_free, methods, model};
use super::{interrupt, plural, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// The model to tune
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Name of the tuned model in the store
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Write the model to this folder; an interrupted training in it continues
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which weights are trained
    #[arg(long, default_value = "full", value_parser = methods())]
    method: TuningMethod,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    tuning: TuningArguments,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Save the training state every N steps
    #[arg(long, value_name = "STEPS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = arguments.data.reference.open(&arguments.store)?;
    check_free(&store, &arguments.name, &arguments.output)?;
    let parent = model(&store, &arguments.model)?;
    let source = source_of(&store, &parent);
    let inputs: Vec<PathBuf> = arguments.data.inputs().chain([source.checkpoint.clone()]).collect();
    check_output_folder(&arguments.output, &inputs)?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let windows = arguments.data.read(&store, &parent)?;
    let plan = arguments.tuning.plan(&arguments.method, arguments.seed);
    let data = TuningData::of(&windows);
    let run = Finetuning {
        source: &source,
        classes: &windows.classes,
        test: &windows.test,
        output: Some(&arguments.output),
        device,
        save_every: arguments.save_every,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    let Some(found) = finetune(&plan, &data, &run)? else {
        say(format_args!("stopped; the same command continues from there"));
        return Ok(interrupt::code());
    };
    let record = tuned_record(&store, &arguments.name, &parent, &arguments.output, &plan, &windows)?;
    let mut writer = writer(&store).with_context(|| {
        format!(
            "the tuned model is whole in {}, but is not in the store; rerun the same command when the store is free: it \
             adds the model without training again",
            arguments.output.display()
        )
    })?;
    writer.put_model(&record)?;
    tell(&found, &record, &plan, &arguments.output);
    Ok(ExitCode::SUCCESS)
}

fn tell(found: &Finetuned, record: &Model, plan: &TuningPlan, output: &Path) {
    say_tuning(&found.tuning, &record.name, plan.method.as_str());
    for (split, figures) in [("validation", &found.validation_figures), ("test", &found.test_figures)] {
        if !figures.is_empty() {
            let shown: Vec<String> = figures.iter().map(shown).collect();
            say(format_args!("{split}: {}", shown.join(", ")));
        }
    }
    say(format_args!(
        "{} holds it, {}/loss.svg shows the loss; `vestore score STORE --model {}` scores with it as \
         it was tuned",
        output.display(),
        output.display(),
        record.name
    ));
}

/// Prints how a tuning went.
pub(super) fn say_tuning(tuning: &TuningResult, name: &str, method: &str) {
    let share = 100.0 * tuning.trained_parameters as f64 / tuning.parameters as f64;
    let memory =
        tuning.peak_memory.map_or(String::new(), |bytes| format!(", {} MB at most", bytes / 1_000_000));
    say(format_args!(
        "{}, {:.1} ms each, {:.0} s in all{memory}\n\
         {}: trained {} of {} parameters ({share:.2} %), {}; lowest validation loss {:.4} at step {}",
        plural(tuning.steps, "step"),
        tuning.seconds_per_step * 1e3,
        tuning.seconds,
        name,
        tuning.trained_parameters,
        tuning.parameters,
        method,
        tuning.best.loss,
        tuning.best.step,
    ));
}

/// A figure with its interval, or why it has none.
pub(super) fn shown(figure: &TuningFigure) -> String {
    match (figure.value, figure.low, figure.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} {value:.4} ({low:.4} to {high:.4})", figure.metric)
        }
        (Some(value), ..) => format!("{} {value:.4}", figure.metric),
        (None, ..) => format!("{} {}", figure.metric, figure.note),
    }
}
