//! `vestore genes`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Subcommand;
use vestore::{Store, read_genes};
use vestore_schema::Region;

use super::shared::{plural, say, warn, writer};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Check a gene table against the reference and keep it in the store
    Add {
        /// Folder of the store
        store: PathBuf,
        /// GTF, GFF3, or the annotation table of a splice program, plain or gzip
        file: PathBuf,
    },
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let Verb::Add { store: root, file } = verb;
    let store = Store::open(root)?;
    let assembly = store.assembly();
    let table = read_genes(file, assembly)?;
    let beyond = table.beyond(assembly);
    if let Some(first) = beyond.first() {
        let contig = assembly.contig(first.contig);
        let place = Region { contig: first.contig, start: first.start, end: first.end };
        let example = format!(
            "`{}` at {}, and {} has {}",
            first.id,
            place.display(assembly),
            contig.name,
            plural(contig.length.into(), "base")
        );
        let inside = table.genes().iter().any(|gene| gene.start < assembly.contig(gene.contig).length);
        ensure!(
            inside,
            "{}: every gene begins beyond the end of its contig: {example}; expected a table of the store's assembly",
            file.display()
        );
        warn(&[format!(
            "{}: beyond the end of a contig: {}, such as {example}; is it a table of the store's assembly?",
            file.display(),
            plural(beyond.len() as u64, "gene")
        )]);
    }
    let name = file.file_name().context("a gene table is a file")?.to_string_lossy();
    let (record, new) = writer(&store)?.put_gene_table(&name, &table)?;
    let what = format!("{}, digest {}", plural(record.genes, "gene"), record.digest);
    if new {
        say(format_args!("{}: {what}; the store keeps it", record.name));
    } else {
        say(format_args!("{}: {what}; already in the store", record.name));
    }
    Ok(ExitCode::SUCCESS)
}
