//! `vestore track`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::Store;
use vestore_schema::Table;

use super::model::ListFormat;
use super::output::{print, say};

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List tracks with their rows
    List(Arguments),
    /// Take a track and its rows out of the store
    Remove(RemoveArguments),
}

#[derive(clap::Args)]
pub(super) struct RemoveArguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the track
    name: String,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let arguments = match verb {
        Verb::List(arguments) => arguments,
        Verb::Remove(arguments) => {
            let store = Store::open(&arguments.store)?;
            let purpose = format!("vestore track remove {} {}", arguments.store.display(), arguments.name);
            let rows = store.writer(&purpose)?.remove_track(&arguments.name)?;
            say(format_args!(
                "track {} removed with {rows} rows; the first writer after ten minutes deletes its files",
                arguments.name
            ));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let store = Store::open(&arguments.store)?;
    let tracks = store.snapshot()?.tracks;
    if arguments.format == ListFormat::Json {
        print(format_args!("{}", serde_json::to_string_pretty(&tracks)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let segments = store.all_segments()?;
    print(format_args!("{:<40}  {:<20}  {:>12}  {:<14}  columns", "name", "model", "rows", "id"))?;
    for track in &tracks {
        let rows: u64 = segments
            .iter()
            .filter(|segment| segment.track == track.name && segment.table == Table::Scores)
            .map(|segment| segment.rows)
            .sum();
        print(format_args!(
            "{:<40}  {:<20}  {rows:>12}  {:<14}  {}",
            track.name,
            track.model,
            track.id.short(),
            track.columns.join(",")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
