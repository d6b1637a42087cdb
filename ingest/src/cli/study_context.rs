//! `vestore study context`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use vestore::{Output, OutputRules, Record, open_variants};
use vestore_ingest::{ContextModel, Genome, KnownRegions, MAX_ORDER};

use super::interrupt;
use super::pretrain::{parse_regions, read_genome};
use super::say;
use super::shared::grouped;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// FASTA files: plain, BGZF or gzip
    #[arg(required = true, value_name = "FASTA")]
    fasta: Vec<PathBuf>,
    /// Leave these contigs or regions out of the counts; may be repeated
    #[arg(long, value_name = "REGION")]
    held_out: Vec<String>,
    /// Context bases on each side of the predicted base
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_ORDER)))]
    order: u32,
    /// Score the SNVs of this VCF, BCF, TSV, CSV or Parquet file
    #[arg(long, value_name = "FILE")]
    variants: PathBuf,
    /// Write this TSV; `vestore import --columns context_llr` reads it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

/// What was written and what was not.
#[derive(Default)]
struct Counts {
    written: u64,
    no_snv: u64,
    elsewhere: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    interrupt::end_at_once()?;
    let inputs: Vec<PathBuf> = arguments.fasta.iter().chain([&arguments.variants]).cloned().collect();
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let mut output = Output::create(Some(&arguments.output), &rules)?;
    let genome = read_genome(&arguments.fasta)?;
    let held_out = parse_regions(&arguments.held_out, &genome)?;
    let model = ContextModel::count(&genome, &KnownRegions::new(&genome, &[], &held_out), arguments.order);
    let counts = write(&model, &genome, arguments, &mut output)?;
    output.finish()?;
    say(format_args!(
        "{} log-odds written; skipped: {} not SNVs, {} with unknown bases around them or another REF",
        grouped(counts.written),
        grouped(counts.no_snv),
        grouped(counts.elsewhere)
    ));
    Ok(ExitCode::SUCCESS)
}

fn write(
    model: &ContextModel,
    genome: &Genome,
    arguments: &Arguments,
    output: &mut impl Write,
) -> anyhow::Result<Counts> {
    let (mut source, mut record) = (open_variants(&arguments.variants)?, Record::default());
    let unwritable = || format!("cannot write {}", arguments.output.display());
    let mut counts = Counts::default();
    writeln!(output, "contig\tposition\treference\talternate\tcontext_llr").with_context(unwritable)?;
    while source.read(&mut record)? {
        for alternate in record.alternates() {
            let [Some(old), Some(new)] = [record.reference.as_str(), alternate].map(base) else {
                counts.no_snv += 1;
                continue;
            };
            let contig = genome.assembly().resolve(&record.contig);
            let position = record.one_based.checked_sub(1).and_then(|position| u32::try_from(position).ok());
            let around =
                contig.zip(position).and_then(|(contig, position)| model.around(genome, contig, position));
            let there = around.is_some_and(|around| base_of(around[around.len() / 2]) == Some(old));
            let Some(shares) = around.filter(|_| there).and_then(|around| model.probabilities(around)) else {
                counts.elsewhere += 1;
                continue;
            };
            counts.written += 1;
            let Record { contig, one_based, reference, .. } = &record;
            #[expect(clippy::cast_possible_truncation, reason = "scores are float32")]
            let odds = (shares[new] / shares[old]).ln() as f32;
            writeln!(output, "{contig}\t{one_based}\t{reference}\t{alternate}\t{odds}")
                .with_context(unwritable)?;
        }
    }
    Ok(counts)
}

/// The place of a single base among A, C, G, T.
fn base(allele: &str) -> Option<usize> {
    match allele.as_bytes() {
        [letter] => base_of(*letter),
        _ => None,
    }
}

fn base_of(letter: u8) -> Option<usize> {
    b"ACGT".iter().position(|base| base.eq_ignore_ascii_case(&letter))
}
