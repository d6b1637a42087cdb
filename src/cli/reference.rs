//! `vestore reference`, and the reference that a command reads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use vestore::{RefMismatch, Reference, Store};

use super::output::say;
use super::writer;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Record a new place of the reference, once all its digests agree with the store
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
    writer(&store, &format!("vestore reference set {}", root.display()))?.set_reference(&path)?;
    let contigs = store.assembly().contigs.len();
    let plural = if contigs == 1 { "contig" } else { "contigs" };
    say(format_args!("{}: the reference is {path}; all digests agree ({contigs} {plural})", root.display()));
    Ok(ExitCode::SUCCESS)
}

/// The absolute path of a reference, as the catalog keeps it.
pub(super) fn absolute(file: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(file).context("cannot make the reference's path absolute")?;
    Ok(path.to_str().context("the reference's path is not valid UTF-8; rename it")?.to_owned())
}

/// Which reference a command reads.
#[derive(clap::Args)]
pub(super) struct ReferenceArguments {
    /// Read the reference from this FASTA, not from where the store says; its digests are checked
    #[arg(long = "reference", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ReferenceArguments {
    /// Opens a store that reads its reference from there.
    pub(super) fn open(&self, store: &Path) -> anyhow::Result<Store> {
        Ok(self.apply(Store::open(store)?))
    }

    /// Makes an open store read its reference from there.
    pub(super) fn apply(&self, mut store: Store) -> Store {
        if let Some(file) = &self.file {
            store.read_reference_from(file);
        }
        store
    }

    /// The file, where one was given.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// What a command does about another reference allele.
#[derive(clap::Args)]
pub(super) struct RefMismatchArguments {
    /// Handle REF alleles that differ from the reference: auto fails when more than a fifth of at least 10 records
    /// differ (a wrong assembly), skip never, fail at the first
    #[arg(long, value_name = "auto|skip|fail", default_value = "auto", value_parser = policy)]
    pub(super) ref_mismatch: RefMismatch,
}

fn policy(word: &str) -> Result<RefMismatch, &'static str> {
    RefMismatch::parse(word).ok_or("expected auto, skip or fail")
}
