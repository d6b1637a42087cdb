//! `vestore reference`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::shared::{plural, say, writer};
use anyhow::Context;
use clap::Subcommand;
use vestore::{Reference, Store};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Record where the reference lies now, after checking all its digests
    Set {
        /// Folder of the store
        store: PathBuf,
        /// FASTA with the same contigs, plain or BGZF; missing indexes are built
        file: PathBuf,
    },
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let Verb::Set { store: root, file } = verb;
    let store = Store::open(root)?;
    Reference::open(file)?.check_whole(store.assembly())?;
    let path = absolute(file)?;
    writer(&store)?.set_reference(&path)?;
    let contigs = plural(store.assembly().contigs.len() as u64, "contig");
    say(format_args!("{}: the reference is {path}; all digests agree ({contigs})", root.display()));
    Ok(ExitCode::SUCCESS)
}

/// The absolute path of a reference, as the catalog keeps it.
pub(super) fn absolute(file: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(file).context("cannot make the reference's path absolute")?;
    Ok(path.to_str().context("the reference's path is not valid UTF-8; rename it")?.to_owned())
}
