//! `vestore import`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::{Duplicates, ImportOptions, import};

use super::Usage;
use super::output::{inputs, say, warn};
use super::reference::{RefMismatchArguments, ReferenceArguments};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the new track
    #[arg(long, value_name = "NAME")]
    track: String,
    /// Table of scores: VCF (INFO fields), TSV or CSV with named columns, or Parquet; positions 1-based; `-` is
    /// stdin
    file: PathBuf,
    /// Score columns or INFO fields, separated by commas; `NAME=COLUMN` renames. All columns of numbers
    /// without it. `contig=`, `position=`, `reference=` and `alternate=` name the columns of the variant
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Round scores to multiples of this step; lossless without it
    #[arg(long, value_name = "STEP")]
    precision: Option<String>,
    /// Which score counts where one variant has several: the first in the file, none (an error), or their mean,
    /// in which equal rows count once
    #[arg(long, value_enum, default_value_t = DuplicatesArgument::First)]
    duplicates: DuplicatesArgument,
    /// List what was left out, what cannot be scored, and variants with several scores, as TSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace the file of --report even if it is not a report
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum DuplicatesArgument {
    First,
    Fail,
    Mean,
}

impl From<DuplicatesArgument> for Duplicates {
    fn from(argument: DuplicatesArgument) -> Self {
        match argument {
            DuplicatesArgument::First => Self::First,
            DuplicatesArgument::Fail => Self::Fail,
            DuplicatesArgument::Mean => Self::Mean,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(step) = &arguments.precision
        && !step.parse::<f64>().is_ok_and(|step| step.is_finite() && step > 0.0)
    {
        return Err(
            Usage(format!("invalid precision `{step}`; expected a positive step such as 0.001")).into()
        );
    }
    let store = arguments.reference.open(&arguments.store)?;
    let split = |text: &String| match text.split_once('=') {
        Some((name, from)) => (name.to_owned(), from.to_owned()),
        None => (text.clone(), text.clone()),
    };
    let options = ImportOptions {
        columns: arguments.columns.iter().map(split).collect(),
        duplicates: arguments.duplicates.into(),
        report: arguments.report.clone(),
        force: arguments.force,
        inputs: inputs(&store, [Some(arguments.file.as_path())]),
        precision: arguments.precision.clone(),
        spill_folder: None,
        ref_mismatch: arguments.ref_mismatch.ref_mismatch,
    };
    super::note_format(&store);
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let purpose = format!("vestore import {} --track {}", arguments.store.display(), arguments.track);
    let done = import(&store, &arguments.track, &arguments.file, &options, &purpose, |rows| {
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
        let kept = match arguments.duplicates {
            DuplicatesArgument::Mean => "their mean is kept",
            _ => "the first with a finite score is kept; choose with --duplicates",
        };
        say(format_args!("{count} duplicate {rows} {differ} in score ({first}): {kept}"));
    }
    if done.without_score > 0 {
        say(format_args!("{} rows without any score left out", done.without_score));
    }
    if done.sorted {
        say(format_args!("the rows were sorted first"));
    }
    say(format_args!(
        "{} rows written to track {} with columns {}",
        done.rows,
        done.track.name,
        done.track.columns.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}
