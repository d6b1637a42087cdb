//! `vestore verify`

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use vestore::Store;

use super::engine;
use super::output::{print, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Then recompute this many rows with their models and compare; the same number picks the same rows.
    /// Imported tracks have no model and are left out
    #[arg(long, value_name = "N")]
    rescore: Option<u64>,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let segments = store.all_segments()?;
    let bytes = segments.iter().map(|segment| segment.bytes).sum();
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}")?);
    let damage = store.verify(|read| bar.set_position(read))?;
    bar.finish_and_clear();
    for found in &damage {
        print(format_args!("{found}"))?;
    }
    let lost = damage.iter().filter(|found| found.is_loss()).count();
    say(format_args!(
        "{} segments, {bytes} bytes checked: {lost} damaged, {} orphans",
        segments.len(),
        damage.len() - lost
    ));
    match arguments.rescore {
        _ if lost > 0 => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
        Some(count) => {
            let mut words: Vec<OsString> = vec![arguments.store.clone().into()];
            words.extend(["--rescore".into(), count.to_string().into()]);
            words.extend(arguments.quiet.then(|| "--quiet".into()));
            engine::run(&["verify".into()], words)
        }
    }
}
