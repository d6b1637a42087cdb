//! `vestore compact`

use std::path::PathBuf;
use std::process::ExitCode;

use super::shared::{plural, say, writer};
use indicatif::ProgressBar;
use vestore::Store;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Rewrite segments of older format versions too
    #[arg(long)]
    upgrade: bool,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let mut writer = writer(&store)?;
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let progress = |rows: u64| {
        bar.set_message(format!("{rows} rows merged"));
        bar.tick();
    };
    let done = if arguments.upgrade { writer.upgrade(progress) } else { writer.compact(progress) };
    bar.finish_and_clear();
    let done = done?;
    say(format_args!(
        "{} of {} and {} merged into {} of {}",
        plural(done.before, "segment"),
        plural(done.rows, "row"),
        plural(done.bytes_before, "byte"),
        done.after,
        plural(done.bytes_after, "byte")
    ));
    if done.before > 0 {
        say(format_args!("old files are deleted by the first write after 10 minutes"));
    }
    Ok(ExitCode::SUCCESS)
}
