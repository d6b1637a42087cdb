//! `vestore init`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use vestore::{Disk, Reference, Store, check_output_folder};
use vestore_schema::StoreRecord;

use super::reference::absolute;
use super::shared::{plural, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the new store
    store: PathBuf,
    /// Reference genome: FASTA, plain or BGZF; missing indexes are built
    #[arg(long, value_name = "REF.fa[.gz]")]
    reference: PathBuf,
    /// Name the reference, such as `GRCh38`
    #[arg(long, value_name = "NAME")]
    assembly: Option<String>,
    /// Copy the reference into the store (BGZF), so that the store can be moved alone
    #[arg(long)]
    copy: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Store::check_free(&arguments.store, &Disk::new(&arguments.store))?;
    check_output_folder(&arguments.store, &[])?;
    let mut reference = Reference::open(&arguments.reference)?;
    let mut assembly = reference.survey()?;
    // Later commands need not digest it again.
    reference.check_whole(&assembly)?;
    assembly.name.clone_from(&arguments.assembly);
    let path = absolute(&arguments.reference)?;
    let bases: u64 = assembly.contigs.iter().map(|contig| u64::from(contig.length)).sum();
    let contigs = assembly.contigs.len();
    let record = StoreRecord { reference: path, copied: false, assembly };
    if arguments.copy {
        let store = Store::create_with_copy(
            &arguments.store,
            Arc::new(Disk::new(&arguments.store)),
            record,
            &mut reference,
        )?;
        Reference::open(store.reference())?.check_whole(store.assembly())?;
        say(format_args!("the reference was copied to {}", store.reference().display()));
    } else {
        Store::create(&arguments.store, Arc::new(Disk::new(&arguments.store)), record)?;
    }
    say(format_args!(
        "{}: a store for {}, {}",
        arguments.store.display(),
        plural(contigs as u64, "contig"),
        plural(bases, "base")
    ));
    Ok(ExitCode::SUCCESS)
}
