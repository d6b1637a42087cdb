//! The reference that a command reads, and what it does about alleles that are not the reference's. Both programs
//! include this file.

use std::path::{Path, PathBuf};

use vestore::{RefMismatch, Store};

use super::shared::one_of;

/// Which reference a command reads.
#[derive(clap::Args)]
pub(super) struct ReferenceArguments {
    /// Read the reference from this FASTA instead of the recorded place; its digests are checked
    #[arg(long = "reference", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
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
}

/// What a command does about another reference allele.
#[derive(clap::Args)]
pub(super) struct RefMismatchArguments {
    /// Handle REF alleles that differ from the reference: auto fails when more than a fifth of at least 10 records
    /// differ (a wrong assembly), skip never, fail at the first
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = one_of(&RefMismatch::ALL, RefMismatch::as_str))]
    pub(super) ref_mismatch: RefMismatch,
}
