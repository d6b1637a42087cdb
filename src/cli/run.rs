//! `vestore run`

use std::path::PathBuf;
use std::process::ExitCode;

use super::shared::{ListFormat, print};
use vestore::{Store, utc};
use vestore_schema::Run;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List the runs that wrote rows, oldest first
    List(ListArguments),
    /// Show one run: what it wrote, with which program, where, and when
    Show(ShowArguments),
}

#[derive(clap::Args)]
pub(super) struct ListArguments {
    /// Folder of the store
    store: PathBuf,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

#[derive(clap::Args)]
pub(super) struct ShowArguments {
    /// Folder of the store
    store: PathBuf,
    /// Number of the run, as `vestore run list` prints it
    #[arg(value_name = "N")]
    number: u64,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List(arguments) => list(arguments)?,
        Verb::Show(arguments) => show(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &ListArguments) -> anyhow::Result<()> {
    let runs = Store::open(&arguments.store)?.runs()?;
    if arguments.format == ListFormat::Json {
        return Ok(print(format_args!("{}", serde_json::to_string_pretty(&runs)?))?);
    }
    print(format_args!(
        "{:>6}  {:<40}  {:<12}  {:>12}  {:>13}  {:<20}  {:<20}  device",
        "number", "track", "table", "rows", "units", "started", "ended"
    ))?;
    for run in &runs {
        print(format_args!(
            "{:>6}  {:<40}  {:<12}  {:>12}  {:>13}  {:<20}  {:<20}  {}",
            run.number,
            run.track,
            run.table.as_str(),
            run.rows,
            units(run),
            utc(run.started),
            ended(run),
            run.device
        ))?;
    }
    Ok(())
}

fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let run = &Store::open(&arguments.store)?.run(arguments.number)?;
    if arguments.format == ListFormat::Json {
        return Ok(print(format_args!("{}", serde_json::to_string_pretty(run)?))?);
    }
    let mut lines = vec![
        ("number", run.number.to_string()),
        ("track", run.track.clone()),
        ("table", run.table.as_str().to_owned()),
        ("rows", run.rows.to_string()),
        ("units", units(run)),
        ("plan digest", run.plan.to_string()),
        ("shard", run.shard.map_or("-".to_owned(), |shard| shard.to_string())),
        (
            "merged from",
            run.merged.map_or("-".to_owned(), |digest| format!("a store with digest {}", digest.short())),
        ),
        ("program", run.program.clone()),
        ("device", run.device.clone()),
        ("threads", run.threads.to_string()),
        ("batch tokens", run.batch_tokens.map_or("-".to_owned(), |tokens| tokens.to_string())),
        ("started", utc(run.started)),
        ("ended", ended(run)),
    ];
    lines.extend(run.remarks.iter().map(|remark| ("remark", remark.clone())));
    for (name, value) in lines {
        print(format_args!("{name:<16}{value}"))?;
    }
    if !run.layers.is_empty() {
        print(format_args!(
            "\n{:>6}  {:>8}  {:>15}  {:>16}",
            "layer", "passes", "block influence", "angular distance"
        ))?;
    }
    for layer in &run.layers {
        print(format_args!(
            "{:>6}  {:>8}  {:>15.6}  {:>16.6}",
            layer.layer, layer.passes, layer.block_influence, layer.angular_distance
        ))?;
    }
    Ok(())
}

/// Units that it committed, of those of its plan.
fn units(run: &Run) -> String {
    format!("{} of {}", run.committed, run.units)
}

fn ended(run: &Run) -> String {
    run.finished.map_or_else(|| "interrupted".to_owned(), utc)
}
