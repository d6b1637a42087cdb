//! `vestore study loss`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use vestore_ingest::{
    BaseSet, Interval, Kind, KnownRegions, LossComparison, MAX_ORDER, MaskedOptions, Model, ModelSource,
    masked_losses,
};
use vestore_schema::{Region, TokenizerKind};

use super::machine::one_device;
use super::pretrain::{parse_regions, read_genome};
use super::shared::{ListFormat, print};
use super::{Usage, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of a checkpoint with a masked language model's head; may be repeated
    #[arg(long, value_name = "DIR", required = true)]
    checkpoint: Vec<PathBuf>,
    /// FASTA files: plain, BGZF or gzip
    #[arg(required = true, value_name = "FASTA")]
    fasta: Vec<PathBuf>,
    /// Contigs or regions that the models have not seen; the context models count all the rest. May be repeated
    #[arg(long, value_name = "REGION", required = true)]
    held_out: Vec<String>,
    /// Measure on these contigs or regions of the held-out ones; on all of them by default. May be repeated
    #[arg(long, value_name = "REGION")]
    measure: Vec<String>,
    /// Highest order of the context models: bases on each side of the masked one
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_ORDER)))]
    order: u32,
    /// Window length in bases
    #[arg(long, value_name = "BP", default_value_t = 510)]
    window: u32,
    /// Mask one of this many tokens at a time
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    gap: u32,
    /// Maximum number of windows, spread over the held-out DNA
    #[arg(long, value_name = "N", default_value_t = 2000)]
    windows: u64,
    /// Random seed of the masks
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the models on cpu, cuda:N, or auto
    #[arg(long, default_value = "auto")]
    device: String,
    /// Format of the table
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// What was measured of a model on a set of bases.
struct Row {
    model: String,
    bases: BaseSet,
    loss: Interval,
    /// To the best context model.
    difference: Option<Interval>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let device = one_device(&arguments.device)?;
    let genome = read_genome(&arguments.fasta)?;
    let held_out = Region::union(parse_regions(&arguments.held_out, &genome)?);
    let training = KnownRegions::new(&genome, &[], &held_out);
    let asked = parse_regions(&arguments.measure, &genome)?;
    let inside = |region: &Region| {
        held_out
            .iter()
            .any(|held| held.contig == region.contig && held.start <= region.start && region.end <= held.end)
    };
    if let Some(region) = asked.iter().find(|region| !inside(region)) {
        let region = region.display(genome.assembly());
        return Err(Usage(format!("--measure {region} is not held out; name it with --held-out too")).into());
    }
    let measured = KnownRegions::new(&genome, if asked.is_empty() { &held_out } else { &asked }, &[]);
    let options = MaskedOptions {
        window: arguments.window,
        gap: arguments.gap,
        windows: arguments.windows,
        seed: arguments.seed,
    };
    let mut rows = Vec::new();
    for (number, checkpoint) in arguments.checkpoint.iter().enumerate() {
        let model = Model::load(&ModelSource::new(checkpoint), device, Kind::Float)
            .with_context(|| format!("cannot load {}", checkpoint.display()))?;
        if model.tokenizer().kind() == TokenizerKind::Bpe {
            say(format_args!(
                "remark: {} reads byte pairs: its loss is that of whole tokens, spread over their bases, and does not \
                 compare with that of single bases",
                checkpoint.display()
            ));
        }
        let losses = masked_losses(&model, &genome, &measured, options)?;
        if losses.bases().is_empty() {
            return Err(Usage(format!("no window of {} bases fits the held-out DNA", options.window)).into());
        }
        let comparison = LossComparison::new(losses, &genome, &training, arguments.order);
        for bases in BaseSet::ALL {
            if number == 0 {
                let row = |(order, loss)| Row { model: context_name(order), bases, loss, difference: None };
                rows.extend(comparison.contexts(bases).map(row));
            }
            let model = checkpoint.display().to_string();
            let row = |(loss, difference)| Row { model, bases, loss, difference };
            rows.extend(comparison.model(bases).map(row));
        }
        say(format_args!(
            "{}: {} bases hidden, one token of {} at a time; best context model: {}",
            checkpoint.display(),
            comparison.bases(),
            options.gap,
            context_name(comparison.best())
        ));
    }
    tell(&rows, arguments.format)?;
    Ok(ExitCode::SUCCESS)
}

fn context_name(order: usize) -> String {
    if order == 0 { "unigram".to_owned() } else { format!("context of {order} + {order}") }
}

fn tell(rows: &[Row], format: ListFormat) -> std::io::Result<()> {
    if format == ListFormat::Json {
        let interval =
            |of: &Interval| json!({ "bases": of.bases, "mean": of.mean, "low": of.low, "high": of.high });
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({ "model": row.model, "part": row.bases.as_str(), "loss": interval(&row.loss),
                        "difference": row.difference.as_ref().map(interval) })
            })
            .collect();
        print(format_args!("{:#}", json!(rows)))?;
        return Ok(());
    }
    let width = rows.iter().map(|row| row.model.len()).max().unwrap_or(0).max(5);
    print(format_args!(
        "{:<width$}  {:<15}  {:>9}  {:>24}  difference to the best context model",
        "model", "bases", "hidden", "nats a base (95 %)"
    ))?;
    for row in rows {
        let shown = |of: &Interval| format!("{:.4} ({:.4} to {:.4})", of.mean, of.low, of.high);
        let difference = row.difference.as_ref().map_or(String::new(), shown);
        let line = format!(
            "{:<width$}  {:<15}  {:>9}  {:>24}  {difference}",
            row.model,
            row.bases.as_str(),
            row.loss.bases,
            shown(&row.loss),
        );
        print(format_args!("{}", line.trim_end()))?;
    }
    Ok(())
}
