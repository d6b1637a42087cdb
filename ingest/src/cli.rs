//! The verbs that need a model. Exit codes as those of `vestore`: 0 done, 1 failed, 2 usage, 130 interrupted.

mod ablate;
mod evaluate;
mod finetune;
mod interrupt;
mod labels;
mod machine;
mod model_add;
mod pretrain;
mod reference;
mod rescore;
mod score;
mod scoring;
mod split;
mod study_context;
mod study_layers;
mod study_loss;
mod study_pretrain;
mod tokenizer;
mod tuned;
mod tuning;
mod verbs;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use vestore::{Store, StoreError, Writer};
use vestore_ingest::TrainError;
use vestore_schema::{LocusError, NameError};

/// The engine of vestore: scores variants with genomic language models.
#[derive(Parser)]
#[command(name = "vestore", bin_name = "vestore", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Add model versions
    #[command(subcommand)]
    Model(Model),
    /// Score variants, or every SNV of regions, with a model
    Score(score::Arguments),
    /// Score variants without each layer in turn, or summarize what that says about the layers
    Ablate(Box<ablate::Arguments>),
    /// Recompute stored scores and compare
    Verify(rescore::Arguments),
    /// Train models
    #[command(subcommand)]
    Train(Train),
    /// Compare models and ingredients of training
    #[command(subcommand)]
    Study(Study),
    /// Compare stored scores with labels
    ///
    /// Prints metrics with 95 % percentile-bootstrap intervals for every track, and its difference to the first
    /// one on the rows that both score. Undefined figures are said to be so.
    Evaluate(Box<evaluate::Arguments>),
    /// Learn tokenizers
    #[command(subcommand)]
    Tokenizer(Tokenizer),
    /// Describe all verbs as JSON
    #[command(hide = true)]
    Verbs,
}

#[derive(Subcommand)]
enum Tokenizer {
    /// Learn byte pairs from genomes in bounded memory
    ///
    /// The vocabulary is exactly that of byte-pair encoding over the whole input: the token ids lie on disk and
    /// are streamed. Anything but A, C, G, T ends a word.
    Train(tokenizer::Arguments),
}

#[derive(Subcommand)]
enum Model {
    /// Add a model version from a checkpoint, or from a model by dropping layers or adapting
    Add(model_add::Arguments),
}

#[derive(Subcommand)]
enum Train {
    /// Train a masked language model on the DNA of FASTA files
    Pretrain(Box<pretrain::Arguments>),
    /// Tune a model of a store to labelled variants or sequences, whole or by an adapter
    Finetune(Box<finetune::Arguments>),
}

#[derive(Subcommand)]
enum Study {
    /// Train a model without each of its layers in turn, say which matter, and build smaller ones
    Layers(Box<study_layers::Arguments>),
    /// Measure how well masked language models know held-out DNA, beside models that count contexts
    Loss(study_loss::Arguments),
    /// Write the log-odds that counts of contexts give SNVs, as a plain score to compare models with
    Context(study_context::Arguments),
    /// Train with all ingredients of a recipe and without each in turn, and say what each is worth
    Pretrain(Box<study_pretrain::Arguments>),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Model(Model::Add(arguments)) => model_add::run(&arguments),
        Verb::Score(arguments) => score::run(&arguments),
        Verb::Ablate(arguments) => ablate::run(&arguments),
        Verb::Verify(arguments) => rescore::run(&arguments),
        Verb::Train(Train::Pretrain(arguments)) => pretrain::run(&arguments),
        Verb::Train(Train::Finetune(arguments)) => finetune::run(&arguments),
        Verb::Study(Study::Layers(arguments)) => study_layers::run(&arguments),
        Verb::Study(Study::Loss(arguments)) => study_loss::run(&arguments),
        Verb::Study(Study::Context(arguments)) => study_context::run(&arguments),
        Verb::Study(Study::Pretrain(arguments)) => study_pretrain::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Tokenizer(Tokenizer::Train(arguments)) => tokenizer::run(&arguments),
        Verb::Verbs => verbs::run(&Arguments::command()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("vestore: {error:#}{}", vestore::remedy_of(error.as_ref())));
            let usage = error.chain().any(|cause| {
                cause.is::<Usage>()
                    || cause.is::<NameError>()
                    || cause.downcast_ref().is_some_and(vestore::OutputError::is_usage)
                    || matches!(cause.downcast_ref(), Some(LocusError::Malformed { .. }))
                    || matches!(cause.downcast_ref(), Some(TrainError::Setting { .. }))
            });
            if usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// A command line that makes no sense although each of its parts does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Prints a remark.
fn say(text: fmt::Arguments<'_>) {
    // Nobody may be reading; the work goes on all the same.
    let _ = writeln!(io::stderr().lock(), "{}", vestore::visible_lines(&text.to_string()));
}

/// A number of things, such as `1 row` and `2 rows`.
fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Prints warnings, also where everything else is to be quiet.
fn warn(warnings: &[String]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

/// The right to write; says when that makes the store unreadable for older programs.
fn writer(store: &Store) -> Result<Writer, StoreError> {
    let writer = store.writer(&typed())?;
    if let Some(notice) = store.format_notice() {
        say(format_args!("{notice}"));
    }
    Ok(writer)
}

/// The command line as people typed it, for notes to other processes.
fn typed() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    ["vestore".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
