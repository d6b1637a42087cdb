//! Reads the command line, runs one verb, turns its outcome into an exit code: 0 done, 1 failed, 2 usage.

mod annotate;
mod calibrate;
mod compact;
mod completions;
mod diff;
mod doctor;
mod engine;
mod explain;
mod export;
mod genes;
mod ids;
mod import;
mod info;
mod init;
mod installation;
mod interrupt;
mod known;
mod libtorch;
mod man;
mod merge;
mod model;
mod openmp;
mod output;
mod places;
mod publish;
mod query;
mod reference;
mod reference_arguments;
mod run;
mod shared;
mod similar;
mod study;
mod track;
mod verbs;
mod verify;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vestore::{Places, Store};
use vestore_schema::Region;

use shared::report;

/// An embedded store for variant effects scored by genomic language models.
///
/// Data goes to stdout, everything else to stderr. Exit code 0: done, 1: failed, 2: usage.
#[derive(Parser)]
#[command(name = "vestore", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a store for one reference genome
    Init(init::Arguments),
    /// Add, list, show, rename and remove model versions
    #[command(subcommand)]
    Model(model::Verb),
    /// Score variants, or every SNV of regions, with a model
    #[command(disable_help_flag = true)]
    Score(engine::Arguments),
    /// Score variants without each layer in turn, or summarize the effect of each layer
    #[command(disable_help_flag = true)]
    Ablate(engine::Arguments),
    /// Train models
    #[command(disable_help_flag = true)]
    Train(engine::Arguments),
    /// Compare models, layers and training ingredients, and report the results
    #[command(subcommand)]
    Study(study::Verb),
    /// Compare stored scores with labels: metrics with intervals, by group
    #[command(disable_help_flag = true)]
    Evaluate(engine::Arguments),
    /// Tell whether a faster recipe's scores may stand for the exact ones
    #[command(disable_help_flag = true)]
    Fidelity(engine::Arguments),
    /// Learn tokenizers from genomes
    #[command(disable_help_flag = true)]
    Tokenizer(engine::Arguments),
    /// Print rows by region, variant, model and track
    Query(query::Arguments),
    /// Print the variants whose embeddings are nearest to that of one
    Similar(similar::Arguments),
    /// Show how a score was computed: window, model, recipe
    Explain(explain::Arguments),
    /// Compare one score of two tracks
    Diff(diff::Arguments),
    /// Add scores to a VCF or BCF; everything else stays unchanged
    Annotate(annotate::Arguments),
    /// Make percentiles and PHRED of a score, by comparison with a background
    Calibrate(calibrate::Arguments),
    /// Import precomputed scores
    Import(import::Arguments),
    /// Write a page that shows a region or variant: heatmaps, genes, labels, tables
    View(view::Arguments),
    /// Write rows to a file for other tools
    Export(export::Arguments),
    /// Copy a store into a folder that any web server or object store can serve
    Publish(publish::Arguments),
    /// Summarize the store
    Info(info::Arguments),
    /// Check every file against the catalog, and rows against their models
    Verify(verify::Arguments),
    /// Merge small segments into few large ones
    Compact(compact::Arguments),
    /// Merge shards, and other stores for the same reference, into a store
    Merge(merge::Arguments),
    /// List and remove tracks
    #[command(subcommand)]
    Track(track::Verb),
    /// List and show the runs that wrote rows
    #[command(subcommand)]
    Run(run::Verb),
    /// Keep gene tables in the store
    #[command(subcommand)]
    Genes(genes::Verb),
    /// Keep tables of rsIDs in the store
    #[command(subcommand)]
    Ids(ids::Verb),
    /// Record where the reference genome of a store lies
    #[command(subcommand)]
    Reference(reference::Verb),
    /// Show what scoring finds on this machine: libtorch, GPUs, threads, caches
    ///
    /// Prints a remedy for everything that is missing. Exit code 1: no model can be run.
    Doctor(doctor::Arguments),
    /// Print a script that completes commands in a shell
    Completions(completions::Arguments),
    /// Write the manual pages, one for each verb
    Man(man::Arguments),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = interrupt::watch() {
        return report(&error, |_| false);
    }
    let done = match arguments.verb {
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Model(verb) => model::run(verb),
        Verb::Score(arguments) => engine::run(&["score".into()], arguments.rest),
        Verb::Ablate(arguments) => engine::run(&["ablate".into()], arguments.rest),
        Verb::Train(arguments) => engine::run(&["train".into()], arguments.rest),
        Verb::Study(verb) => study::run(verb),
        Verb::Evaluate(arguments) => engine::run(&["evaluate".into()], arguments.rest),
        Verb::Fidelity(arguments) => engine::run(&["fidelity".into()], arguments.rest),
        Verb::Tokenizer(arguments) => engine::run(&["tokenizer".into()], arguments.rest),
        Verb::Query(arguments) => query::run(&arguments),
        Verb::Similar(arguments) => similar::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Diff(arguments) => diff::run(&arguments),
        Verb::Annotate(arguments) => annotate::run(&arguments),
        Verb::Calibrate(arguments) => calibrate::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::View(arguments) => view::run(&arguments),
        Verb::Export(arguments) => export::run(&arguments),
        Verb::Publish(arguments) => publish::run(&arguments),
        Verb::Merge(arguments) => merge::run(&arguments),
        Verb::Info(arguments) => info::run(&arguments),
        Verb::Verify(arguments) => verify::run(&arguments),
        Verb::Compact(arguments) => compact::run(&arguments),
        Verb::Track(verb) => track::run(&verb),
        Verb::Run(verb) => run::run(&verb),
        Verb::Genes(verb) => genes::run(&verb),
        Verb::Ids(verb) => ids::run(&verb),
        Verb::Reference(verb) => reference::run(&verb),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments),
        Verb::Man(arguments) => man::run(&arguments),
    };
    done.unwrap_or_else(|error| report(&error, |_| false))
}

/// How a command that only reads sees the store.
#[derive(clap::Args)]
pub(super) struct ReadArguments {
    /// Read the last committed state without waiting for a commit in progress
    #[arg(long)]
    last_committed: bool,
}

impl ReadArguments {
    /// Opens the store at `root`.
    pub(super) fn open(&self, root: &std::path::Path) -> Result<Store, vestore::StoreError> {
        if self.last_committed { Store::open_last_committed(root) } else { Store::open(root) }
    }
}

/// The regions that people typed.
fn regions(texts: &[String], store: &Store) -> anyhow::Result<Vec<Region>> {
    Places::regions(store, texts).map_err(shared::misplaced)
}
