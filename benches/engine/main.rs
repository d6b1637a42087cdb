//! The engine beside a tuned Python baseline, in one run: `make bench-engine`, or
//! `cargo bench --workspace --bench engine -- --sections fixed --sites 60`.
//!
//! Scores are compared before anything is said about time. Genomes: `examples/mitochondrion.fa`; weights:
//! seeded random numbers in true shapes.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a bench converts small numbers of its own"
)]

mod baseline;
mod bench;
mod products;
mod sections;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measure the engine beside a Python baseline
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything by default
    #[arg(long, value_delimiter = ',')]
    sections: Vec<Section>,
    /// SNVs of a fixed-window run
    #[arg(long, default_value_t = 120)]
    sites: u32,
    /// Bases of a saturation
    #[arg(long, default_value_t = 2000)]
    bases: u32,
    /// Threads, for both
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Python with benches/engine/requirements.txt installed, or `$BASELINE_PYTHON`; without one only our
    /// figures are printed
    #[arg(long)]
    python: Option<PathBuf>,
    /// cargo bench says this to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// NT-v2 50M, llr, windows of 101, 168 and 1,000 tokens, float32 and bfloat16
    Fixed,
    /// Every SNV of a region, llr and llr-grid, beside a loop over variants
    Saturation,
    /// DNABERT-2, distances, windows of 300 to 1,200 bp, beside a padded loop
    Mixed,
    /// Ablation beside the full model and its pruned models
    Ablation,
    /// What int8 products would give, in Python alone
    Int8,
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wants = |section| arguments.sections.is_empty() || arguments.sections.contains(&section);
    vestore_ingest::set_threads(arguments.threads);
    println!("machine: {}, {} threads", bench::machine(), arguments.threads);
    let python = arguments.python.or_else(|| std::env::var_os("BASELINE_PYTHON").map(PathBuf::from));
    let python = python.as_deref();
    if python.is_none() {
        println!("no baseline: set BASELINE_PYTHON (make bench-engine does)");
    }
    if wants(Section::Fixed) {
        sections::fixed(arguments.sites, arguments.threads, python)?;
    }
    if wants(Section::Saturation) {
        sections::saturation(arguments.bases, arguments.threads, python)?;
    }
    if wants(Section::Mixed) {
        sections::mixed(arguments.threads, python)?;
    }
    if wants(Section::Ablation) {
        sections::ablation()?;
    }
    if let Some(python) = python.filter(|_| wants(Section::Int8)) {
        sections::int8(arguments.threads, python)?;
    }
    println!("peak memory of this process: {} MB", bench::peak_bytes() / 1_000_000);
    Ok(())
}
