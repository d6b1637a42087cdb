//! `vestore publish`

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use vestore::{PublishOptions, Store, check_published_folder};

use super::shared::{plural, say};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Folder to publish into: new, empty, or published before from the same store
    folder: PathBuf,
    /// Publish the reference too, as a copy
    #[arg(long)]
    reference: bool,
    /// Publish the copies of models too (`model add --copy`)
    #[arg(long)]
    models: bool,
    /// Remove files that only earlier states of the published store need; programs that have opened one fail then
    #[arg(long)]
    prune: bool,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check_published_folder(&arguments.folder)?;
    let store = Store::open(&arguments.store)?;
    let bytes = store.all_segments()?.iter().map(|segment| segment.bytes).sum();
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}")?);
    let Arguments { reference, models, prune, .. } = *arguments;
    let options = PublishOptions { reference, models, prune };
    let done = store.publish(&arguments.folder, options, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    let done = done?;
    let folder = arguments.folder.display();
    say(format_args!(
        "{folder}: {} of {}, {} of {} new; upload vestore.json last",
        plural(done.files, "file"),
        plural(done.bytes, "byte"),
        plural(done.new_files, "file"),
        plural(done.new_bytes, "byte"),
    ));
    for name in &done.missing_models {
        say(format_args!(
            "remark: model {name} is not published: the store has no copy of it (`model add --copy`)"
        ));
    }
    let earlier = plural(done.earlier.len() as u64, "file");
    match (done.earlier.len(), prune) {
        (0, _) => {}
        (_, true) => say(format_args!("{earlier} of earlier states removed")),
        (_, false) => say(format_args!("{earlier} of earlier states left; `--prune` removes them")),
    }
    Ok(ExitCode::SUCCESS)
}
