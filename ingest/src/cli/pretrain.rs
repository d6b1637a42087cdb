//! `vestore train pretrain`

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use vestore::{Report, check_output_folder, read_bed};
use vestore_ingest::{
    AdamWOptions, Alleles, Decay, Genome, KnownRegions, LengthWarmup, Pretrained, PretrainingData,
    PretrainingPlan, PretrainingResult, PretrainingRun, Schedule, pretrain,
};
use vestore_schema::{Dtype, Region};

use super::machine::MachineArguments;
use super::progress::Bar;
use super::shared::one_of;
use super::{interrupt, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Read config.json and the tokenizer from this folder; weights in it are the starting point
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// FASTA files to train on: plain, BGZF or gzip
    #[arg(required = true, value_name = "FASTA")]
    fasta: Vec<PathBuf>,
    /// Write the model to this folder; an interrupted training in it continues
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Train on these regions only; may be repeated
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Train on the regions of a BED file only
    #[arg(long, value_name = "FILE")]
    bed: Option<PathBuf>,
    /// Hold out these contigs or regions and evaluate the loss on them; may be repeated
    #[arg(long, value_name = "REGION")]
    held_out: Vec<String>,
    /// Put alleles of this VCF into the windows, at their frequencies in INFO's AF; may be repeated
    #[arg(long, value_name = "FILE")]
    alleles: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Save the training state every N steps
    #[arg(long, value_name = "STEPS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

/// What decides the weights, besides the data.
#[derive(clap::Args)]
pub(super) struct Settings {
    /// Optimizer steps
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    steps: u64,
    /// Tokens per window, without special tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    tokens: u32,
    /// Grow windows from --first-tokens to --tokens over this many steps
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    length_warmup: u64,
    /// Tokens per window at the first step
    #[arg(long, value_name = "N", default_value_t = 64)]
    first_tokens: u32,
    /// Tokens per step
    #[arg(long, value_name = "N", default_value_t = 8192)]
    batch_tokens: u32,
    /// Micro-batches per step (gradient accumulation), for less memory
    #[arg(long, alias = "parts", value_name = "N", default_value_t = 1)]
    micro_batches: u32,
    /// Fraction of the tokens that is masked
    #[arg(long, value_name = "FRACTION", default_value_t = 0.15)]
    mask_rate: f64,
    /// Weight of soft-masked bases in the loss: 1 as any other, 0 none
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    repeat_weight: f32,
    /// Peak learning rate
    #[arg(long, value_name = "RATE", default_value_t = 4e-4)]
    learning_rate: f64,
    /// Learning-rate warmup steps; a twentieth of --steps by default
    #[arg(long, value_name = "STEPS")]
    warmup: Option<u64>,
    /// Learning-rate decay after the warmup
    #[arg(long, default_value = "cosine", value_parser = one_of(&Decay::ALL, Decay::as_str))]
    decay: Decay,
    /// Weight decay (`AdamW`)
    #[arg(long, value_name = "X", default_value_t = AdamWOptions::default().weight_decay)]
    weight_decay: f64,
    /// Maximum gradient norm
    #[arg(long, alias = "clip", value_name = "X", default_value_t = AdamWOptions::default().clip)]
    max_gradient_norm: f64,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Precision of matrix products; weights and optimizer are always float32
    #[arg(long, default_value = "f32", value_parser = one_of(&TRAINING_DTYPES, Dtype::as_str))]
    dtype: Dtype,
}

/// Precisions of a training's matrix products.
pub(super) const TRAINING_DTYPES: [Dtype; 2] = [Dtype::F32, Dtype::Bf16];

impl Settings {
    /// The plan that they make.
    pub(super) fn plan(&self) -> PretrainingPlan {
        PretrainingPlan {
            seed: self.seed,
            batch_tokens: self.batch_tokens,
            parts: self.micro_batches,
            mask_rate: self.mask_rate,
            repeat_weight: self.repeat_weight,
            lengths: LengthWarmup { first: self.first_tokens, last: self.tokens, steps: self.length_warmup },
            schedule: Schedule {
                steps: self.steps,
                warmup: self.warmup.unwrap_or(self.steps / 20),
                peak: self.learning_rate,
                floor: 0.0,
                decay: self.decay,
            },
            optimizer: AdamWOptions {
                weight_decay: self.weight_decay,
                clip: self.max_gradient_norm,
                ..AdamWOptions::default()
            },
            bf16: self.dtype == Dtype::Bf16,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut inputs: Vec<PathBuf> = arguments.fasta.iter().chain(&arguments.alleles).cloned().collect();
    inputs.push(arguments.config.clone());
    check_output_folder(&arguments.output, &inputs)?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let genome = read_genome(&arguments.fasta)?;
    let mut regions = parse_regions(&arguments.region, &genome)?;
    if let Some(bed) = &arguments.bed {
        let mut report = Report::new();
        regions.extend(read_bed(bed, genome.assembly(), &mut report)?);
        if report.has_rejected() {
            say(format_args!("{}: {}", bed.display(), report.summary().trim_end()));
        }
    }
    let held_out = parse_regions(&arguments.held_out, &genome)?;
    let training = KnownRegions::new(&genome, &regions, &held_out);
    let watched = if held_out.is_empty() {
        KnownRegions::default()
    } else {
        KnownRegions::new(&genome, &held_out, &[])
    };
    let mut alleles = Alleles::default();
    for file in &arguments.alleles {
        alleles.read(file, &genome)?;
    }
    tell_data(&genome, &training, &watched, &alleles);
    let identity = json!({
        "contigs": genome.assembly().contigs,
        "training": shown(&training, &genome),
        "held out": shown(&watched, &genome),
        "alleles": alleles.digest(),
    });
    let data = PretrainingData {
        genome: &genome,
        training: &training,
        held_out: &watched,
        alleles: (!arguments.alleles.is_empty()).then_some(&alleles),
        identity,
    };
    let run = PretrainingRun {
        start: &arguments.config,
        output: &arguments.output,
        device,
        save_every: arguments.save_every,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    match pretrain(&arguments.settings.plan(), &data, &run)? {
        Pretrained::Whole(result) => {
            tell_result(&result, arguments);
            Ok(ExitCode::SUCCESS)
        }
        Pretrained::Interrupted { step } => {
            say(format_args!("stopped after step {step}; the same command continues from there"));
            Ok(interrupt::code())
        }
    }
}

/// Regions as people type them.
pub(super) fn parse_regions(texts: &[String], genome: &Genome) -> anyhow::Result<Vec<Region>> {
    texts.iter().map(|text| Ok(Region::parse(text, genome.assembly())?)).collect()
}

/// Reads FASTA files and tells which contigs have no mask.
pub(super) fn read_genome(files: &[PathBuf]) -> anyhow::Result<Genome> {
    let genome = Genome::read(files)?;
    let bare: Vec<&str> = genome.without_mask().collect();
    if !bare.is_empty() {
        say(format_args!("remark: lower case throughout, taken as not soft-masked: {}", bare.join(", ")));
    }
    Ok(genome)
}

fn shown(regions: &KnownRegions, genome: &Genome) -> Vec<String> {
    regions.regions().iter().map(|region| region.display(genome.assembly()).to_string()).collect()
}

fn tell_data(genome: &Genome, training: &KnownRegions, held_out: &KnownRegions, alleles: &Alleles) {
    say(format_args!(
        "{} bases of {} contigs to train on, {} held out",
        training.bases(),
        genome.assembly().contigs.len(),
        held_out.bases()
    ));
    let counts = alleles.counts();
    if counts.used > 0 {
        say(format_args!(
            "{} alleles in use; skipped: {} that are not bases, {} records with another reference allele, {} on \
             unknown contigs",
            counts.used, counts.not_bases, counts.ref_mismatch, counts.unknown_contig
        ));
    }
}

fn tell_result(result: &PretrainingResult, arguments: &Arguments) {
    let last = |points: &[vestore_ingest::LossPoint]| {
        points.last().map_or("not known".to_owned(), |point| format!("{:.4}", point.loss))
    };
    let output = arguments.output.display();
    if result.steps > 0 {
        let rate = result.tokens as f64 / result.seconds.max(1e-9);
        say(format_args!("{} steps in {:.0} s, {rate:.0} tokens/s", result.steps, result.seconds));
    }
    say(format_args!(
        "{output}: {} parameters; loss in nats a masked token: training {}, held out {}\n\
         `vestore model add STORE NAME --checkpoint {output}` puts it into a store; {output}/loss.svg shows the loss",
        result.parameters,
        last(&result.losses),
        last(&result.held_out)
    ));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn options_have_the_fields_names_and_their_old_ones() {
        for [micro_batches, norm] in [["--micro-batches", "--max-gradient-norm"], ["--parts", "--clip"]] {
            let line = ["pretrain", micro_batches, "3", norm, "0.5", "--decay", "linear", "--dtype", "bf16"];
            let plan = Line::try_parse_from(line).map(|line| line.settings.plan()).expect("options");
            assert_eq!((plan.parts, plan.optimizer.clip), (3, 0.5));
            assert_eq!((plan.schedule.decay, plan.bf16), (Decay::Linear, true));
        }
        assert!(Line::try_parse_from(["pretrain", "--dtype", "tf32"]).is_err());
    }
}
