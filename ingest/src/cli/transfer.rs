//! `vestore train transfer`

mod data;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use vestore::check_output_folder;
use vestore_ingest::{
    TransferFigures, TransferPlan, TransferRun, Transferred, source_of, transfer, transfer_identity,
    transfer_record,
};
use vestore_schema::Model;

pub(super) use self::data::DataArguments;
pub(super) use self::settings::{Method, Settings, methods};
use super::finetune::{say_tuning, shown};
use super::machine::MachineArguments;
use super::progress::Bar;
use super::splice::table as gene_table;
use super::tuning::{check_free, model};
use super::{Usage, interrupt, plural, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// The regulatory model to transfer
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Name of the new model in the store
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Write the model to this folder; an interrupted training in it continues
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which weights are trained beside the new head
    #[arg(long, value_parser = methods())]
    method: Method,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    settings: Settings,
    /// Also write the whole checkpoint, with the adapter merged, into OUTPUT/merged
    #[arg(long)]
    merge: bool,
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
    let data = &arguments.data;
    let store = data.open(&arguments.store)?;
    check_free(&store, &arguments.name, &arguments.output)?;
    let parent = model(&store, &arguments.model)?;
    let source = source_of(&store, &parent);
    check_output_folder(&arguments.output, &[data.inputs(), vec![source.checkpoint.clone()]].concat())?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let plan = arguments.settings.plan(arguments.method, data.bins, arguments.seed);
    ensure!(
        plan.method.merges() || !arguments.merge,
        Usage(format!(
            "--method {} has no adapter that could be merged into the weights; leave out --merge",
            plan.method.as_str()
        ))
    );
    let Some(collected) = data.read(&store, &parent, interrupted.flag())? else {
        say(format_args!("stopped; the same command starts again"));
        return Ok(interrupt::code());
    };
    let input = collected.input(&store);
    let genes = data.genes.as_ref().map(|file| gene_table(file, &store)).transpose()?;
    let run = TransferRun {
        source: &source,
        targets: &data.targets,
        merge: arguments.merge,
        genes: genes.as_ref(),
        device,
        save_every: arguments.save_every,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    let reference = store.open_reference()?;
    let Some(found) = transfer(&plan, &input, &reference, &arguments.output, &run)? else {
        say(format_args!("stopped; the same command continues from there"));
        return Ok(interrupt::code());
    };
    let identity = transfer_identity(&input)?;
    let record = transfer_record(
        &store,
        &arguments.name,
        &parent,
        &arguments.output,
        &plan,
        input.targets,
        &identity,
    )?;
    let mut writer = writer(&store).with_context(|| {
        format!(
            "the new model is whole in {}, but is not in the store; rerun the same command when the store is free: it \
             adds the model without training again",
            arguments.output.display()
        )
    })?;
    writer.put_model(&record)?;
    tell(&found, &record, &plan, &arguments.output);
    Ok(ExitCode::SUCCESS)
}

fn tell(found: &Transferred, record: &Model, plan: &TransferPlan, output: &Path) {
    say_tuning(&found.finetuned.tuning, &record.name, plan.method.as_str());
    for (split, figures) in
        [("validation", Some(&found.validation_windows)), ("test", found.test_windows.as_ref())]
    {
        if let Some(figures) = figures {
            say_figures(split, figures);
        }
    }
    say(format_args!(
        "{} holds it, {}/loss.svg shows the loss; `vestore score STORE --model {}` scores with it",
        output.display(),
        output.display(),
        record.name
    ));
}

/// Prints the means over targets, and the figure of genes.
fn say_figures(split: &str, figures: &TransferFigures) {
    let shown: Vec<String> = figures.means().iter().map(shown).collect();
    say(format_args!("{split}, {}: {}", plural(figures.coverage.windows, "window"), shown.join(", ")));
    if let Some(genes) = &figures.genes {
        let pearson = genes.mean.pearson.value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
        say(format_args!("{split}, {}: pearson of expression {pearson}", plural(genes.genes, "gene")));
    }
}
