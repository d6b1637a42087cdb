//! `vestore study pretrain`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use vestore::check_output_folder;
use vestore_ingest::{
    Alleles, Device, Genome, Kind, Losses, MaskedOptions, Model, ModelSource, Part, Pretrained,
    PretrainingData, PretrainingPlan, PretrainingRun, Stretches, masked_losses, pretrain,
};

use super::machine::MachineArguments;
use super::pretrain::{Settings, parse_regions, read_genome};
use super::progress::Bar;
use super::{Usage, interrupt, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder with config.json and the tokenizer's files
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// The same encoder with another tokenizer, to compare the two
    #[arg(long, value_name = "DIR")]
    other_tokenizer: Option<PathBuf>,
    /// FASTA files to train on: plain, BGZF or gzip
    #[arg(required = true, value_name = "FASTA")]
    fasta: Vec<PathBuf>,
    /// Contigs or regions to measure on, never trained on; may be repeated
    #[arg(long, value_name = "REGION", required = true)]
    held_out: Vec<String>,
    /// Alleles for the windows, with their frequencies in INFO's AF; may be repeated
    #[arg(long, value_name = "FILE")]
    alleles: Vec<PathBuf>,
    /// How many seeds each recipe is trained with
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..))]
    seeds: u64,
    /// Folder for the models; a study that was cut off here goes on
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Windows to measure on
    #[arg(long, value_name = "N", default_value_t = 500)]
    windows: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

/// A recipe: all ingredients, or all but one.
struct Variant {
    name: &'static str,
    plan: PretrainingPlan,
    config: PathBuf,
    alleles: bool,
}

/// Losses of one recipe, a seed each, in nats a base.
type Found = BTreeMap<&'static str, Vec<BTreeMap<&'static str, f64>>>;

const PARTS: [(&str, Part); 3] =
    [("all", Part::All), ("outside repeats", Part::Unique), ("inside repeats", Part::Repeats)];

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut inputs: Vec<PathBuf> = arguments.fasta.iter().chain(&arguments.alleles).cloned().collect();
    inputs.push(arguments.config.clone());
    check_output_folder(&arguments.output, &inputs)?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let genome = read_genome(&arguments.fasta)?;
    let held_out = parse_regions(&arguments.held_out, &genome)?;
    let training = Stretches::new(&genome, &[], &held_out);
    let measured = Stretches::new(&genome, &held_out, &[]);
    let mut alleles = Alleles::default();
    for file in &arguments.alleles {
        alleles.read(file, &genome)?;
    }
    let variants = variants(arguments)?;
    let mut found = Found::new();
    for variant in &variants {
        for seed in 1..=arguments.seeds {
            let data = PretrainingData {
                genome: &genome,
                training: &training,
                held_out: &measured,
                alleles: variant.alleles.then_some(&alleles),
                identity: json!({ "contigs": genome.assembly().contigs, "alleles": variant.alleles.then(|| alleles.digest()) }),
            };
            let output = arguments.output.join(variant.name.replace(' ', "-")).join(format!("seed-{seed}"));
            let run = PretrainingRun {
                start: &variant.config,
                output: &output,
                device,
                save_every: 200,
                interrupted: interrupted.flag(),
                progress: &Bar::new(arguments.machine.quiet),
            };
            say(format_args!("{}, seed {seed}", variant.name));
            let plan = PretrainingPlan { seed, ..variant.plan.clone() };
            if let Pretrained::Interrupted { .. } = pretrain(&plan, &data, &run)? {
                say(format_args!("stopped; the same command continues from there"));
                return Ok(interrupt::code());
            }
            let losses = measure(&output, device, &genome, &measured, arguments)?;
            let parts = PARTS.iter().filter_map(|(name, part)| Some((*name, losses.mean(*part)?.mean)));
            found.entry(variant.name).or_default().push(parts.collect());
        }
    }
    tell(&variants, &found, arguments);
    Ok(ExitCode::SUCCESS)
}

fn measure(
    checkpoint: &Path,
    device: Device,
    genome: &Genome,
    measured: &Stretches,
    arguments: &Arguments,
) -> anyhow::Result<Losses> {
    let model = Model::load(&ModelSource::new(checkpoint), device, Kind::Float)
        .with_context(|| format!("cannot load {}", checkpoint.display()))?;
    let options = MaskedOptions { window: 510, gap: 12, windows: arguments.windows, seed: 1 };
    Ok(masked_losses(&model, genome, measured, options)?)
}

/// The whole recipe first, then without each ingredient that it has.
fn variants(arguments: &Arguments) -> anyhow::Result<Vec<Variant>> {
    let plan = arguments.settings.plan();
    let whole = |name| Variant {
        name,
        plan: plan.clone(),
        config: arguments.config.clone(),
        alleles: !arguments.alleles.is_empty(),
    };
    let mut variants = vec![whole("all ingredients")];
    if plan.lengths.steps > 0 {
        let mut without = whole("without length warm-up");
        without.plan.lengths.steps = 0;
        variants.push(without);
    }
    if plan.repeat_weight < 1.0 {
        let mut without = whole("without repeat filter");
        without.plan.repeat_weight = 1.0;
        variants.push(without);
    }
    if !arguments.alleles.is_empty() {
        variants.push(Variant { alleles: false, ..whole("without alleles") });
    }
    if let Some(config) = &arguments.other_tokenizer {
        variants.push(Variant { config: config.clone(), ..whole("other tokenizer") });
    }
    if variants.len() == 1 {
        let advice = "no ingredient to switch off; give --length-warmup, --repeat-weight, --alleles or \
                      --other-tokenizer";
        return Err(Usage(advice.to_owned()).into());
    }
    Ok(variants)
}

/// Mean of some numbers, and half the width of its 95 % interval by Student's t.
fn interval(numbers: &[f64]) -> (f64, f64) {
    /// 97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom; 1.96 is the limit.
    const QUANTILES: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let quantile = QUANTILES.get(numbers.len() - 2).copied().unwrap_or(2.228);
    (mean, quantile * (variance / count).sqrt())
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn tell(variants: &[Variant], found: &Found, arguments: &Arguments) {
    println!("recipe\tbases\tseeds\tnats_a_base\thalf_interval\tworth\tworth_half_interval");
    for (name, _) in PARTS {
        for variant in variants {
            let of = |variant: &str| -> Vec<f64> {
                let seeds = found.get(variant).map_or(&[][..], Vec::as_slice);
                seeds.iter().filter_map(|parts| parts.get(name).copied()).collect()
            };
            let (own, whole) = (of(variant.name), of(variants[0].name));
            if own.len() < 2 {
                continue;
            }
            let (mean, half) = interval(&own);
            print!("{}\t{name}\t{}\t{mean:.4}\t{half:.4}", variant.name, own.len());
            if variant.name == variants[0].name {
                println!("\t\t");
            } else {
                // Same seed, same order of windows: seeds are compared one by one.
                let worth: Vec<f64> = own.iter().zip(&whole).map(|(own, whole)| own - whole).collect();
                let (mean, half) = interval(&worth);
                println!("\t{mean:.4}\t{half:.4}");
            }
        }
    }
    say(format_args!(
        "nats a hidden base on {}; half the 95 % interval over {} seeds by Student's t; worth is what the loss \
         rises by without the ingredient, seed by seed",
        arguments.held_out.join(", "),
        arguments.seeds
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        // scipy.stats.t.interval(0.95, 2, mean, sem) of 1, 2, 4: 2.3333 ± 3.7946.
        let (mean, half) = interval(&[1.0, 2.0, 4.0]);
        assert!((mean - 7.0 / 3.0).abs() < 1e-12 && (half - 3.7946).abs() < 1e-3, "{mean} {half}");
    }
}
