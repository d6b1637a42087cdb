//! The reference that a command reads, and what it does about alleles that are not the reference's.

use std::path::{Path, PathBuf};

use vestore::{RefMismatch, Store};

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
        let mut store = Store::open(store)?;
        if let Some(file) = &self.file {
            store.read_reference_from(file);
        }
        Ok(store)
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
