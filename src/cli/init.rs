//! `vestore init`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use vestore::{Disk, Reference, Store};
use vestore_schema::StoreRecord;

use super::output::say;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the new store
    store: PathBuf,
    /// Reference genome: FASTA, plain or BGZF; missing indexes are built
    #[arg(long, value_name = "REF.fa[.gz]")]
    reference: PathBuf,
    /// What the reference is called, such as `GRCh38`
    #[arg(long, value_name = "NAME")]
    assembly: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.store.exists() {
        let is_empty = arguments.store.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        anyhow::ensure!(is_empty, vestore::StoreError::Exists { path: arguments.store.clone() });
    }
    let mut reference = Reference::open(&arguments.reference)?;
    let mut assembly = reference.survey()?;
    assembly.name.clone_from(&arguments.assembly);
    let path =
        std::path::absolute(&arguments.reference).context("cannot make the reference's path absolute")?;
    let path = path.to_str().context("the reference's path is not valid UTF-8; rename it")?.to_owned();
    let bases: u64 = assembly.contigs.iter().map(|contig| u64::from(contig.length)).sum();
    let contigs = assembly.contigs.len();
    Store::create(&arguments.store, Arc::new(Disk), StoreRecord { reference: path, assembly })?;
    say(format_args!("{}: a store for {contigs} contigs, {bases} bases", arguments.store.display()));
    Ok(ExitCode::SUCCESS)
}
