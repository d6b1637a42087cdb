//! The verbs that need a model. Exit codes as those of `vestore`: 0 done, 1 failed, 2 usage, 130 interrupted.

mod ablate;
mod doctor;
mod evaluate;
mod family;
mod fidelity;
mod finetune;
mod hub;
mod interrupt;
mod labels;
mod machine;
mod model_add;
mod pretrain;
mod progress;
#[path = "../../src/cli/reference_arguments.rs"]
mod reference;
mod regulatory;
mod rescore;
mod score;
mod scoring;
#[path = "../../src/cli/shared.rs"]
mod shared;
mod splice;
mod split;
mod study_context;
mod study_layers;
mod study_loss;
mod study_pretrain;
mod study_transfer;
mod tokenizer;
mod transfer;
mod tuned;
mod tuning;
mod verbs;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use vestore_ingest::TrainError;

use shared::{Usage, plural, report, say, warn, writer};

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
    /// Score variants without each layer in turn, or summarize the effect of each layer
    Ablate(Box<ablate::Arguments>),
    /// Recompute stored scores and compare
    Verify(rescore::Arguments),
    /// Train models
    #[command(subcommand)]
    Train(Train),
    /// Compare models, layers and training ingredients
    #[command(subcommand)]
    Study(Study),
    /// Compare stored scores with labels
    ///
    /// Prints metrics with 95 % percentile-bootstrap intervals for every track, and its difference to the first
    /// track on the rows that both score. Undefined figures are reported with the reason.
    Evaluate(Box<evaluate::Arguments>),
    /// Tell whether a faster recipe's scores may stand for the exact ones
    ///
    /// Compares a track with one that counts as exact on the rows of both, prints figures with their limits and a
    /// verdict, and keeps them with the track: `vestore track list` shows the verdict.
    Fidelity(Box<fidelity::Arguments>),
    /// Learn tokenizers
    #[command(subcommand)]
    Tokenizer(Tokenizer),
    /// Print what libtorch finds on this machine, as JSON
    #[command(hide = true)]
    Doctor,
    /// Describe all verbs as JSON
    #[command(hide = true)]
    Verbs,
}

#[derive(Subcommand)]
enum Tokenizer {
    /// Learn byte pairs from genomes in bounded memory
    ///
    /// The vocabulary equals that of byte-pair encoding over the whole input in memory: token ids are streamed from
    /// disk. Anything but A, C, G, T ends a word.
    Train(tokenizer::Arguments),
}

#[derive(Subcommand)]
enum Model {
    /// Add a model version from a checkpoint, from the Hugging Face hub, or from a model by dropping layers or adapting
    Add(model_add::Arguments),
}

#[derive(Subcommand)]
enum Train {
    /// Train a masked language model on the DNA of FASTA files
    Pretrain(Box<pretrain::Arguments>),
    /// Fine-tune a model on labelled variants or sequences, in full or with an adapter
    Finetune(Box<finetune::Arguments>),
    /// Fine-tune a regulatory model on new coverage tracks, in full or with an adapter
    ///
    /// Trains a new head, with one output for each line of --targets, and the weights that --method names. Coverage is
    /// binned and transformed as Baskerville does it now; `--untransform new` undoes that.
    Transfer(Box<transfer::Arguments>),
}

#[derive(Subcommand)]
enum Study {
    /// Fine-tune without each layer in turn, report which layers matter, and derive smaller models
    ///
    /// For the blocks of a regulatory model give --targets: it is then `vestore study transfer --layers`, with the flags of
    /// that.
    Layers(Box<study_layers::Arguments>),
    /// Transfer a regulatory model by several methods under one budget, and compare them
    ///
    /// Trains copies by each method and seed, beside ridge regression on counts of k-mers, and records parameters, time,
    /// memory and figures of held-out windows. With --layers it also trains without each transformer block.
    Transfer(Box<study_transfer::Arguments>),
    /// Measure the loss of masked language models on held-out DNA, beside models that count contexts
    Loss(study_loss::Arguments),
    /// Write log-odds of SNVs from counts of contexts, as a baseline score
    Context(study_context::Arguments),
    /// Pretrain with all ingredients of a recipe and without each in turn, and report what each is worth
    Pretrain(Box<study_pretrain::Arguments>),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse_from(study_transfer::renamed(std::env::args_os())).verb {
        Verb::Model(Model::Add(arguments)) => model_add::run(&arguments),
        Verb::Score(arguments) => score::run(&arguments),
        Verb::Ablate(arguments) => ablate::run(&arguments),
        Verb::Verify(arguments) => rescore::run(&arguments),
        Verb::Train(Train::Pretrain(arguments)) => pretrain::run(&arguments),
        Verb::Train(Train::Finetune(arguments)) => finetune::run(&arguments),
        Verb::Train(Train::Transfer(arguments)) => transfer::run(&arguments),
        Verb::Study(Study::Layers(arguments)) => study_layers::run(&arguments),
        Verb::Study(Study::Transfer(arguments)) => study_transfer::run(&arguments),
        Verb::Study(Study::Loss(arguments)) => study_loss::run(&arguments),
        Verb::Study(Study::Context(arguments)) => study_context::run(&arguments),
        Verb::Study(Study::Pretrain(arguments)) => study_pretrain::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Fidelity(arguments) => fidelity::run(&arguments),
        Verb::Tokenizer(Tokenizer::Train(arguments)) => tokenizer::run(&arguments),
        Verb::Doctor => doctor::run(),
        Verb::Verbs => verbs::run(&Arguments::command()),
    };
    let is_setting = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(TrainError::Setting { .. }))
    };
    done.unwrap_or_else(|error| report(&error, is_setting))
}
