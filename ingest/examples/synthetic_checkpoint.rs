//! Writes a checkpoint with seeded random weights in a published layout: for demos, tests and benches.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use vestore_ingest::RegulatoryFamily;
use vestore_ingest::synthetic::{
    RegulatoryShape, SyntheticFamily, SyntheticShape, write_checkpoint, write_regulatory_checkpoint,
};

/// Write a checkpoint with seeded random weights
#[derive(Parser)]
struct Arguments {
    /// The layout
    #[arg(value_enum)]
    family: Family,
    /// Folder to make
    directory: PathBuf,
    /// Layers: 4, or as published for a regulatory model
    #[arg(long)]
    layers: Option<u32>,
    /// Width of a hidden state: 32, or as published for a regulatory model
    #[arg(long)]
    hidden: Option<u32>,
    /// Attention heads: 4, or as published for a regulatory model
    #[arg(long)]
    heads: Option<u32>,
    /// Inner width of the MLP, of each half where it is gated: 64, or as published for a regulatory model
    #[arg(long)]
    intermediate: Option<u32>,
    /// Regulatory models: channels of the stem and of all stages of the tower but the last
    #[arg(long, value_delimiter = ',')]
    widths: Option<Vec<u32>>,
    /// Regulatory models: targets of the human and of the mouse head
    #[arg(long, value_delimiter = ',')]
    targets: Option<Vec<u32>>,
    /// Regulatory models: bins that are predicted
    #[arg(long)]
    bins: Option<u32>,
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
    Borzoi,
    Flashzoi,
    Enformer,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let family = match arguments.family {
        Family::NucleotideTransformerV1 => SyntheticFamily::NucleotideTransformerV1,
        Family::NucleotideTransformerV2 => SyntheticFamily::NucleotideTransformerV2,
        Family::Dnabert2 => SyntheticFamily::Dnabert2,
        Family::Dnagrinder => SyntheticFamily::Dnagrinder,
        Family::Borzoi => return regulatory(arguments, RegulatoryFamily::Borzoi),
        Family::Flashzoi => return regulatory(arguments, RegulatoryFamily::Flashzoi),
        Family::Enformer => return regulatory(arguments, RegulatoryFamily::Enformer),
    };
    let tiny = SyntheticShape::tiny(family);
    let shape = SyntheticShape {
        family,
        layers: arguments.layers.unwrap_or(tiny.layers),
        hidden: arguments.hidden.unwrap_or(tiny.hidden),
        heads: arguments.heads.unwrap_or(tiny.heads),
        ffn: arguments.intermediate.unwrap_or(tiny.ffn),
        labels: arguments.labels,
    };
    write_checkpoint(&arguments.directory, &shape, arguments.seed)
        .with_context(|| format!("cannot write {}", arguments.directory.display()))
}

fn regulatory(arguments: Arguments, family: RegulatoryFamily) -> anyhow::Result<()> {
    let published = RegulatoryShape::published(family);
    let targets = match arguments.targets {
        None => published.targets,
        Some(targets) => targets.try_into().ok().context("--targets takes two numbers, such as 7611,2608")?,
    };
    let shape = RegulatoryShape {
        layers: arguments.layers.unwrap_or(published.layers),
        hidden: arguments.hidden.unwrap_or(published.hidden),
        heads: arguments.heads.unwrap_or(published.heads),
        ffn: arguments.intermediate.unwrap_or(published.ffn),
        widths: arguments.widths.unwrap_or(published.widths),
        targets,
        bins: arguments.bins.unwrap_or(published.bins),
        ..published
    };
    write_regulatory_checkpoint(&arguments.directory, &shape, arguments.seed)
        .with_context(|| format!("cannot write {}", arguments.directory.display()))
}
