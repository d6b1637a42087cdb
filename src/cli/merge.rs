//! `vestore merge`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use vestore::Store;

use super::shared::{ProgressForm, event, grouped, plural, say, writer_or_wait};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Stores to merge into it: shards, single chromosomes, other tracks
    #[arg(value_name = "SHARD", required = true)]
    shards: Vec<PathBuf>,
    /// Merge these shards although others of the plan are missing
    #[arg(long)]
    partial: bool,
    /// Wait for another process that writes the store, instead of failing
    #[arg(long)]
    wait: bool,
    /// Show progress as a bar, or print everything on stderr as JSON, an object per line
    #[arg(long, value_enum, default_value_t = ProgressForm::Bar)]
    progress: ProgressForm,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    arguments.progress.choose();
    let store = Store::open(&arguments.store)?;
    let mut writer = writer_or_wait(&store, arguments.wait)?;
    let events = arguments.progress == ProgressForm::Json;
    let bar = if arguments.quiet || events {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(arguments.shards.len() as u64).with_style(
            ProgressStyle::with_template("{pos} of {len} stores merged, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    };
    let total = arguments.shards.len();
    let merged = writer.merge(&arguments.shards, arguments.partial, |done| {
        bar.set_position(done);
        if events {
            event("progress", [("unit", "stores".into()), ("done", done.into()), ("total", total.into())]);
        }
    });
    bar.finish_and_clear();
    let merged = merged?;
    if merged.sources > 0 {
        say(format_args!(
            "{} merged: {} in {}",
            plural(merged.sources, "store"),
            plural(merged.rows, "row"),
            plural(merged.segments, "segment")
        ));
    }
    if merged.known > 0 {
        let were = if merged.known == 1 { "was" } else { "were" };
        say(format_args!("{} {were} merged already", plural(merged.known, "store")));
    }
    if merged.present > 0 {
        say(format_args!("{} of scores skipped: already in the store", plural(merged.present, "row")));
    }
    for (path, what) in &merged.left {
        say(format_args!("not merged: {what} of {}", path.display()));
    }
    if merged.segments > 1000 {
        say(format_args!(
            "{} segments were added: `vestore compact` merges small ones",
            grouped(merged.segments)
        ));
    }
    Ok(ExitCode::SUCCESS)
}
