//! `vestore ids`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use vestore::{IdsError, Store};

use super::shared::{grouped, plural, say, warn, writer};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Read the rsIDs of a VCF, check it against the reference and keep them in the store
    Add {
        /// Folder of the store
        store: PathBuf,
        /// VCF for the store's assembly with rsIDs in ID (dbSNP) or as `RS` in INFO (`ClinVar`), plain or compressed
        file: PathBuf,
    },
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let Verb::Add { store: root, file } = verb;
    let store = Store::open(root)?;
    let added = writer(&store)?.add_ids(file).map_err(|error| match error {
        IdsError::File(error) => anyhow::Error::from(error),
        IdsError::Store(error) => error.into(),
        other => other.into(),
    })?;
    warn(&added.warnings);
    let record = &added.record;
    let what = format!(
        "{} with {}, digest {}",
        plural(record.ids, "id"),
        plural(record.variants, "variant"),
        record.digest
    );
    if !added.new {
        say(format_args!("{}: {what}; already in the store", record.name));
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!(
        "{}: {what}; {}, {} without an rsID; the store keeps it",
        record.name,
        plural(added.records, "record"),
        grouped(added.without_id)
    ));
    if added.left_out > 0 {
        say(format_args!(
            "{} left out: on contigs that the reference lacks, not of the reference, or without bases",
            plural(added.left_out, "alternate allele")
        ));
    }
    Ok(ExitCode::SUCCESS)
}
