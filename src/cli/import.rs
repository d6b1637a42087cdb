//! `vestore import`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::{Duplicates, ImportOptions, ListRule, Preset, import};
use vestore_schema::{Direction, Precision};

use super::output::inputs;
use super::reference_arguments::{RefMismatchArguments, ReferenceArguments};
use super::shared::{Usage, note_format, one_of, plural, say, typed, warn};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the new track
    #[arg(long, value_name = "NAME")]
    track: String,
    /// Table of scores: VCF (INFO fields), TSV or CSV with named columns, or Parquet; positions are 1-based; `-` reads stdin
    file: PathBuf,
    /// Read a published set: its columns, their directions and ranges. A file of another shape is refused, and rows with
    /// a score out of range are skipped
    #[arg(long, value_name = "SET", value_parser = one_of(&Preset::ALL, Preset::as_str))]
    preset: Option<Preset>,
    /// Import these score columns or INFO fields, separated by commas; by default all columns of numbers. `NAME=COLUMN`
    /// renames; `contig=`, `position=`, `reference=` and `alternate=` name the columns of the variant
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Round scores to multiples of this step such as 0.001, or to 8 significant bits (`16bit-relative`), for smaller
    /// files; lossless by default
    #[arg(long, value_name = "STEP")]
    precision: Option<String>,
    /// State which values of a column suggest an effect: `high`, `low`, or `magnitude` for those far from 0; may be
    /// repeated, for each column
    #[arg(long, value_name = "COLUMN=DIRECTION")]
    direction: Vec<String>,
    /// Read this value of cells that list several, separated by `;`
    #[arg(long, value_name = "RULE", value_parser = one_of(&ListRule::ALL, ListRule::as_str))]
    list: Option<ListRule>,
    /// Resolve different scores of one variant: keep the first in the file, fail, store their mean, in which equal rows
    /// count once, or the largest of each column. The default is first, and max for sets with a row for each transcript
    #[arg(long, value_name = "RULE", value_parser = one_of(&Duplicates::ALL, Duplicates::as_str))]
    duplicates: Option<Duplicates>,
    /// List skipped records, variants without a score, and variants with several scores, as TSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Overwrite the file of --report even if it is not a report
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(precision) = &arguments.precision {
        Precision::parse(precision).map_err(|error| Usage(error.to_string()))?;
    }
    let store = arguments.reference.open(&arguments.store)?;
    let split = |text: &String| match text.split_once('=') {
        Some((name, from)) => (name.to_owned(), from.to_owned()),
        None => (text.clone(), text.clone()),
    };
    let duplicates = arguments.duplicates.or(arguments.preset.map(Preset::duplicates)).unwrap_or_default();
    let options = ImportOptions {
        preset: arguments.preset,
        list: arguments.list,
        directions: arguments.direction.iter().map(|text| direction(text)).collect::<Result<_, _>>()?,
        columns: arguments.columns.iter().map(split).collect(),
        duplicates,
        report: arguments.report.clone(),
        force: arguments.force,
        inputs: inputs(&store, [Some(arguments.file.as_path())]),
        precision: arguments.precision.clone(),
        spill_folder: None,
        ref_mismatch: arguments.ref_mismatch.ref_mismatch,
    };
    note_format(&store);
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let done = import(&store, &arguments.track, &arguments.file, &options, &typed(), |rows| {
        bar.set_message(format!("{rows} rows read"));
        bar.tick();
    });
    bar.finish_and_clear();
    let done = done?;
    warn(&done.report.warnings);
    say(format_args!("{}", done.report.summary().trim_end()));
    if let Some(first) = done.report.first_conflict() {
        let count = done.report.conflicts;
        let (rows, differ) = if count == 1 { ("row", "differs") } else { ("rows", "differ") };
        let kept = match duplicates {
            Duplicates::Mean => "their mean is kept",
            Duplicates::Max => "the largest of each column is kept",
            _ => "the first with a finite score is kept; choose with --duplicates",
        };
        say(format_args!("{count} duplicate {rows} {differ} in score ({first}): {kept}"));
    }
    if done.without_score > 0 {
        say(format_args!("{} without any score left out", plural(done.without_score, "row")));
    }
    if done.unplaced > 0 {
        say(format_args!("{} skipped: no position in this assembly", plural(done.unplaced, "row")));
    }
    if let Some(first) = done.report.first_out_of_range() {
        say(format_args!("the first score out of range: {first}; list all with --report"));
    }
    if done.sorted {
        say(format_args!("the rows were sorted first"));
    }
    say(format_args!(
        "{} written to track {} with columns {}",
        plural(done.rows, "row"),
        done.track.name,
        done.track.columns.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}

/// `COLUMN=DIRECTION`.
fn direction(text: &str) -> Result<(String, Direction), Usage> {
    let parsed = text.rsplit_once('=').and_then(|(column, name)| {
        let known = Direction::ALL.into_iter().find(|direction| direction.as_str() == name);
        Some((column.to_owned(), known?))
    });
    parsed.ok_or_else(|| {
        Usage(format!("invalid direction `{text}`; expected COLUMN=high, COLUMN=low or COLUMN=magnitude"))
    })
}
