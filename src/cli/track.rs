//! `vestore track`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::{KeptFidelity, MeanError, Store, mean};
use vestore_schema::{Calibration, Meaning, Status, Table, Track};

use super::shared::{ListFormat, Usage, note_format, one_of, plural, print, say, typed, writer};

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List tracks with their rows
    List(Arguments),
    /// Remove a track, or some of its rows
    Remove(RemoveArguments),
    /// Average tracks of one recipe, such as of the replicates of a model, as a new track: scores and effects; the
    /// largest absolute effects among the scores are those of the averaged effects
    Mean(MeanArguments),
}

#[derive(clap::Args)]
pub(super) struct MeanArguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the new track
    name: String,
    /// Average these tracks, which must have the same recipe, columns and variants
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', required = true)]
    tracks: Vec<String>,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
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
    /// Folder of the store, or address of a published one (https://…)
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
    /// By score column.
    meanings: BTreeMap<&'a str, Meaning>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    calibrations: &'a [Calibration],
}

impl<'a> Listed<'a> {
    fn new(track: &'a Track, fidelity: Option<&'a KeptFidelity>) -> Self {
        let meaning = |column: &'a String| Some((column.as_str(), track.meaning(column)?));
        let meanings = track.columns.iter().filter_map(meaning).collect();
        Self { track, fidelity, meanings, calibrations: &track.calibrations }
    }
}

fn average(arguments: &MeanArguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    note_format(&store);
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let taken = mean(&store, &arguments.name, &arguments.tracks, &typed(), |rows| bar.set_position(rows));
    bar.finish_and_clear();
    let taken = taken.map_err(|error| match error {
        MeanError::Count { .. } | MeanError::Twice { .. } => Usage(error.to_string()).into(),
        error => anyhow::Error::from(error),
    })?;
    say(format_args!(
        "track {}: {}, means of {}",
        taken.track.name,
        plural(taken.rows, "row"),
        plural(taken.track.mean.len() as u64, "track")
    ));
    if taken.incomplete > 0 {
        say(format_args!(
            "{} without a value that some of the tracks have: a mean needs all of them",
            plural(taken.incomplete, "row")
        ));
    }
    if taken.has_gene_effects {
        say(format_args!("remark: gene effects are not averaged"));
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(kept: &KeptFidelity) -> String {
    let KeptFidelity { fidelity, stale } = kept;
    let stale = if *stale { " (stale)" } else { "" };
    format!("{} to {}{stale}", fidelity.verdict.as_str(), fidelity.reference)
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let arguments = match verb {
        Verb::List(arguments) => arguments,
        Verb::Mean(arguments) => return average(arguments),
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
        let listed = tracks.iter().map(|track| Listed::new(track, fidelities.get(&track.name)));
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
    // Imported scores of one name may mean different things.
    let mut meanings = BTreeSet::new();
    for (track, column) in
        tracks.iter().flat_map(|track| track.columns.iter().map(move |column| (track, column)))
    {
        meanings.extend(
            track
                .meaning(column)
                .map(|Meaning { direction, sentence }| format!("{column}: {}; {sentence}", direction.text())),
        );
    }
    for meaning in meanings {
        say(format_args!("{meaning}"));
    }
    for calibration in tracks.iter().flat_map(|track| &track.calibrations) {
        let Calibration { track, column, rows, .. } = calibration;
        let rows = plural(*rows, "score");
        say(format_args!("{track}.{column} is calibrated with {rows}: {}", calibration.text()));
    }
    Ok(ExitCode::SUCCESS)
}
