//! `vestore study pretrain`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::check_output_folder;
use vestore_ingest::{Alleles, IngredientRow, IngredientStudy, KnownRegions, StudyError};

use super::machine::MachineArguments;
use super::pretrain::{Settings, parse_regions, read_genome};
use super::progress::Bar;
use super::shared::print;
use super::study_layers::cause;
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
    /// Write the models to this folder; an interrupted study in it continues
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

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut inputs: Vec<PathBuf> = arguments.fasta.iter().chain(&arguments.alleles).cloned().collect();
    inputs.push(arguments.config.clone());
    check_output_folder(&arguments.output, &inputs)?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let genome = read_genome(&arguments.fasta)?;
    let held_out = parse_regions(&arguments.held_out, &genome)?;
    let mut alleles = Alleles::default();
    for file in &arguments.alleles {
        alleles.read(file, &genome)?;
    }
    let study = IngredientStudy {
        plan: arguments.settings.plan(),
        config: &arguments.config,
        other_tokenizer: arguments.other_tokenizer.as_deref(),
        genome: &genome,
        training: &KnownRegions::new(&genome, &[], &held_out),
        held_out: &KnownRegions::new(&genome, &held_out, &[]),
        alleles: (!arguments.alleles.is_empty()).then_some(&alleles),
        seeds: arguments.seeds,
        windows: arguments.windows,
        output: &arguments.output,
        device,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    let begins = &mut |recipe: &str, seed: u64| say(format_args!("{recipe}, seed {seed}"));
    let found = study.run(begins).map_err(|error| match error {
        StudyError::NoIngredients => Usage(error.to_string()).into(),
        error => cause(error),
    })?;
    let Some(rows) = found else {
        say(format_args!("stopped; the same command continues from there"));
        return Ok(interrupt::code());
    };
    tell(&rows, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(rows: &[IngredientRow], arguments: &Arguments) -> std::io::Result<()> {
    print(format_args!("recipe\tbases\tseeds\tnats_a_base\thalf_interval\tworth\tworth_half_interval"))?;
    for row in rows {
        let IngredientRow { recipe, bases, seeds, loss, worth } = row;
        let worth = worth.map_or("\t".to_owned(), |worth| format!("{:.4}\t{:.4}", worth.mean, worth.half));
        print(format_args!(
            "{recipe}\t{}\t{seeds}\t{:.4}\t{:.4}\t{worth}",
            bases.as_str(),
            loss.mean,
            loss.half
        ))?;
    }
    say(format_args!(
        "nats a hidden base on {}; half the 95 % interval over {} seeds by Student's t; worth is what the loss \
         rises by without the ingredient, seed by seed",
        arguments.held_out.join(", "),
        arguments.seeds
    ));
    Ok(())
}
