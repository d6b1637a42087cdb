//! `vestore track`

use std::path::PathBuf;
use std::process::ExitCode;

use super::shared::{ListFormat, one_of, print, say, writer};
use vestore::{KeptFidelity, Store};
use vestore_schema::{Status, Table, Track};

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List tracks with their rows
    List(Arguments),
    /// Remove a track, or some of its rows
    Remove(RemoveArguments),
}

#[derive(clap::Args)]
pub(super) struct RemoveArguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the track
    name: String,
    /// Remove only the rows that this run committed, and keep the track
    #[arg(long, value_name = "N", conflicts_with = "status")]
    run: Option<u64>,
    /// Remove only the rows of this status, such as `non_finite`, and keep the track
    #[arg(long, value_name = "STATUS", value_parser = one_of(&Status::ALL, Status::as_str))]
    status: Option<Status>,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// A track, and what was found when it was compared.
#[derive(serde::Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    track: &'a Track,
    #[serde(skip_serializing_if = "Option::is_none")]
    fidelity: Option<&'a KeptFidelity>,
}

fn verdict(kept: &KeptFidelity) -> String {
    let KeptFidelity { fidelity, stale } = kept;
    let stale = if *stale { " (stale)" } else { "" };
    format!("{} to {}{stale}", fidelity.verdict.as_str(), fidelity.reference)
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let arguments = match verb {
        Verb::List(arguments) => arguments,
        Verb::Remove(arguments) => {
            let store = Store::open(&arguments.store)?;
            let name = &arguments.name;
            let mut writer = writer(&store)?;
            let (of, rows) = match (arguments.run, arguments.status) {
                (Some(run), _) => (format!("rows of run {run}"), writer.remove_run(name, run)?),
                (None, Some(status)) => {
                    (format!("rows of status {status}"), writer.remove_status(name, status)?)
                }
                (None, None) => {
                    let rows = writer.remove_track(name)?;
                    say(format_args!("track {name} removed; rows: {rows}"));
                    return Ok(ExitCode::SUCCESS);
                }
            };
            say(format_args!(
                "{of} removed from track {name}: {rows}; the command that scored them scores them again"
            ));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let store = Store::open(&arguments.store)?;
    let tracks = store.snapshot()?.tracks;
    let fidelities = store.fidelities()?;
    if arguments.format == ListFormat::Json {
        let listed = tracks.iter().map(|track| Listed { track, fidelity: fidelities.get(&track.name) });
        let listed: Vec<Listed<'_>> = listed.collect();
        print(format_args!("{}", serde_json::to_string_pretty(&listed)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let segments = store.all_segments()?;
    // The column is there when a track was compared.
    let fidelity = |text: &str| if fidelities.is_empty() { String::new() } else { format!("{text:<40}  ") };
    print(format_args!(
        "{:<40}  {:<20}  {:>12}  {:<14}  {}columns",
        "name",
        "model",
        "rows",
        "id",
        fidelity("fidelity")
    ))?;
    for track in &tracks {
        let rows: u64 = segments
            .iter()
            .filter(|segment| segment.track == track.name && segment.table == Table::Scores)
            .map(|segment| segment.rows)
            .sum();
        print(format_args!(
            "{:<40}  {:<20}  {rows:>12}  {:<14}  {}{}",
            track.name,
            track.model,
            track.id.short(),
            fidelity(&fidelities.get(&track.name).map(verdict).unwrap_or_default()),
            track.columns.join(",")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
