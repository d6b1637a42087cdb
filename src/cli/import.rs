//! `vestore import`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::{ImportOptions, Store, import};

use super::Usage;
use super::output::say;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Name of the new track
    #[arg(long, value_name = "NAME")]
    track: String,
    /// Table of scores: VCF (INFO fields), TSV or CSV with named columns, or Parquet; positions 1-based
    file: PathBuf,
    /// Score columns or INFO fields, separated by commas; `NAME=COLUMN` renames. All columns of numbers
    /// without it
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Round scores to multiples of this step; lossless without it
    #[arg(long, value_name = "STEP")]
    precision: Option<String>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(step) = &arguments.precision
        && !step.parse::<f64>().is_ok_and(|step| step.is_finite() && step > 0.0)
    {
        return Err(Usage(format!("`{step}` is no precision; write a positive step such as 0.001")).into());
    }
    let store = Store::open(&arguments.store)?;
    let split = |text: &String| match text.split_once('=') {
        Some((name, from)) => (name.to_owned(), from.to_owned()),
        None => (text.clone(), text.clone()),
    };
    let options = ImportOptions {
        columns: arguments.columns.iter().map(split).collect(),
        precision: arguments.precision.clone(),
        spill_folder: None,
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
    say(format_args!("{}", done.report.summary().trim_end()));
    if done.without_score > 0 {
        say(format_args!("{} rows without any score left out", done.without_score));
    }
    if done.sorted {
        say(format_args!("the file is not sorted; its rows were sorted first"));
    }
    say(format_args!(
        "{} rows written to track {} with columns {}",
        done.rows,
        done.track.name,
        done.track.columns.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}
