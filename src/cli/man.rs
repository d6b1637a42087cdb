//! `vestore man`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use vestore::{Output, OutputRules, check_output_folder};

use super::shared::{plural, say};
use super::verbs;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder for the pages, such as `~/.local/share/man/man1`; created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Overwrite pages that exist
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut command = verbs::all()?.disable_help_subcommand(true);
    command.build();
    let folder = &arguments.folder;
    check_output_folder(folder, &[])?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let pages = write(&command, folder, arguments.force)?;
    say(format_args!("{} written to {}", plural(pages, "page"), folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages of a command and of its subcommands; returns their number.
fn write(command: &Command, folder: &Path, force: bool) -> anyhow::Result<u64> {
    let page = Man::new(command.clone()).source(concat!("vestore ", env!("CARGO_PKG_VERSION")));
    let rules = OutputRules { force, inputs: &[] };
    let mut out = Output::create(Some(&folder.join(page.get_filename())), &rules)?;
    page.render(&mut out)?;
    out.flush()?;
    out.finish()?;
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.map(|command| write(command, folder, force)).try_fold(1, |pages, below| Ok(pages + below?))
}
