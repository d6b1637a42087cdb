//! `vestore compact`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::Store;

use super::output::say;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let mut writer = store.writer(&format!("vestore compact {}", arguments.store.display()))?;
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let done = writer.compact(|rows| {
        bar.set_message(format!("{rows} rows merged"));
        bar.tick();
    });
    bar.finish_and_clear();
    let done = done?;
    say(format_args!(
        "{} segments of {} rows and {} bytes merged into {} of {} bytes",
        done.before, done.rows, done.bytes_before, done.after, done.bytes_after
    ));
    if done.before > 0 {
        say(format_args!("the first writer after ten minutes deletes the merged ones"));
    }
    Ok(ExitCode::SUCCESS)
}
