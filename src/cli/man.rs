//! `vestore man`

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
    vestore::create_folder(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut pages = Vec::new();
    write(&command, folder, arguments.force, &mut pages)?;
    let count = pages.len() as u64;
    // Not before all could be written: a page that exists stops the command.
    pages.into_iter().try_for_each(Output::finish)?;
    say(format_args!("{} written to {}", plural(count, "page"), folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages of a command and of its subcommands, which get their names when they are finished.
fn write(command: &Command, folder: &Path, force: bool, pages: &mut Vec<Output>) -> anyhow::Result<()> {
    let page = Man::new(command.clone()).source(concat!("vestore ", env!("CARGO_PKG_VERSION")));
    let rules = OutputRules { force, inputs: &[] };
    let mut out = Output::create(Some(&folder.join(page.get_filename())), &rules)?;
    page.render(&mut out)?;
    out.flush()?;
    pages.push(out);
    let mut below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.try_for_each(|command| write(command, folder, force, pages))
}
