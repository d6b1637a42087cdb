//! Writes a checkpoint with seeded random weights in a published layout: for demos, tests and benches.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};

/// Write a checkpoint with seeded random weights
#[derive(Parser)]
struct Arguments {
    /// The layout
    #[arg(value_enum)]
    family: Family,
    /// Folder to make
    directory: PathBuf,
    /// Encoder layers
    #[arg(long, default_value_t = 4)]
    layers: u32,
    /// Width of a hidden state
    #[arg(long, default_value_t = 32)]
    hidden: u32,
    /// Attention heads
    #[arg(long, default_value_t = 4)]
    heads: u32,
    /// Inner width of the MLP, of each half where it is gated
    #[arg(long, default_value_t = 64)]
    intermediate: u32,
    /// Give it a classification head of so many classes
    #[arg(long)]
    labels: Option<u32>,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Family {
    NucleotideTransformerV1,
    NucleotideTransformerV2,
    Dnabert2,
    Dnagrinder,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let shape = SyntheticShape {
        family: match arguments.family {
            Family::NucleotideTransformerV1 => SyntheticFamily::NucleotideTransformerV1,
            Family::NucleotideTransformerV2 => SyntheticFamily::NucleotideTransformerV2,
            Family::Dnabert2 => SyntheticFamily::Dnabert2,
            Family::Dnagrinder => SyntheticFamily::Dnagrinder,
        },
        layers: arguments.layers,
        hidden: arguments.hidden,
        heads: arguments.heads,
        ffn: arguments.intermediate,
        labels: arguments.labels,
    };
    write_checkpoint(&arguments.directory, &shape, arguments.seed)
        .with_context(|| format!("cannot write {}", arguments.directory.display()))
}
