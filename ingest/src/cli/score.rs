//! `vestore score`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use indicatif::HumanDuration;
use vestore::{Plan, PlanOptions, RefMismatch, Reference, Report, Store, StoreError, check_track, read_bed};
use vestore_ingest::{
    Job, Kind, Model, Outcome, Progress, Recipe as ScoreRecipe, WindowCutter, device, estimate, new_run,
    source_of,
};
use vestore_schema::{
    AblatedPart, Assembly, Dtype, Model as ModelRecord, Recipe, Region, ScoreKind, Strands, TokenizerKind,
    Track,
};

use super::{Usage, interrupt, say, typed};

/// Window in bases when none is asked for.
const WINDOW: u32 = 600;
/// Tokens of one batch on a CPU: more gains nothing there, as its caches are full.
const CPU_BATCH_TOKENS: u32 = 4096;
/// Tokens of one batch on a GPU.
const GPU_BATCH_TOKENS: u32 = 65_536;

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["variants", "region", "bed"])))]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Model of the store
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Variants from a VCF, VCF.gz or BCF file; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["region", "bed"])]
    variants: Option<PathBuf>,
    /// Every SNV of every base of a region such as `17:43,044,295-43,125,483`; may be repeated
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Every SNV of every base of the regions of a BED file
    #[arg(long, value_name = "FILE")]
    bed: Option<PathBuf>,
    /// Kinds of scores: llr, llr-grid, distance, pll, classifier; what suits the model by default
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    score: Vec<String>,
    /// Window length in bases; 600 by default, less where the model's limit is less
    #[arg(long, value_name = "BP")]
    window: Option<u32>,
    /// Score both strands and take the mean, or the forward strand alone
    #[arg(long, value_enum, default_value_t = StrandsArgument::Both)]
    strands: StrandsArgument,
    /// Store pooled embeddings of reference and alternate too
    #[arg(long, value_enum, default_value_t = EmbeddingsArgument::None)]
    embeddings: EmbeddingsArgument,
    /// Where the model runs: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Arithmetic of the model
    #[arg(long, value_enum, default_value_t = DtypeArgument::F32)]
    dtype: DtypeArgument,
    /// Round scores to multiples of this step, for smaller files; lossless without
    #[arg(long, value_name = "STEP")]
    precision: Option<String>,
    /// Most tokens of one batch
    #[arg(long, value_name = "N")]
    batch_tokens: Option<u32>,
    /// Threads of the model; all cores by default
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// What to do with a variant whose reference allele is not the reference's: store it without a score, or
    /// stop
    #[arg(long, value_enum, default_value_t = RefMismatchArgument::Skip)]
    ref_mismatch: RefMismatchArgument,
    /// Name of the track; `<model>.<kinds>.w<window>` by default
    #[arg(long, value_name = "NAME")]
    track: Option<String>,
    /// List what was rejected or carries no score, as TSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Say what would be done and how long it would take, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StrandsArgument {
    Both,
    Forward,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EmbeddingsArgument {
    None,
    Pooled,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DtypeArgument {
    F32,
    Bf16,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RefMismatchArgument {
    Skip,
    Fail,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let snapshot = store.snapshot()?;
    let record = snapshot.models.iter().find(|model| model.name == arguments.model).ok_or_else(|| {
        let known = snapshot.models.iter().map(|model| model.name.clone()).collect();
        StoreError::Unknown { kind: "model", name: arguments.model.clone(), known }
    })?;
    let recipe = recipe(arguments, record)?;
    let name = arguments.track.clone().unwrap_or_else(|| recipe.track_name(&record.name));
    let track = Track::new(&name, &record.name, record.id, recipe)?;
    check_track(&track, &snapshot.tracks)?;
    let device = device(&arguments.device)?;
    let on_cpu = device == vestore_ingest::Device::Cpu;
    let batch_tokens =
        arguments.batch_tokens.unwrap_or(if on_cpu { CPU_BATCH_TOKENS } else { GPU_BATCH_TOKENS });
    let score_recipe = ScoreRecipe {
        kinds: track.recipe.scores.clone(),
        strands: track.recipe.strands,
        batch_tokens: batch_tokens as usize,
        embeddings: arguments.embeddings == EmbeddingsArgument::Pooled,
    };
    let threads = arguments.threads.unwrap_or_else(cores);
    ensure!(
        threads > 0 && batch_tokens > 0,
        Usage("--threads and --batch-tokens must be at least 1".to_owned())
    );

    let interrupted = interrupt::watch()?;
    // Told before the variants are read: a second writer need not wait for that.
    let mut writer = if arguments.dry_run { None } else { Some(store.writer(&typed())?) };
    let mut reference =
        Reference::open(store.reference()).context("scoring needs the reference of this store")?;
    reference.check(store.assembly())?;
    let mut report = match &arguments.report {
        Some(path) => Report::with_listing(path)?,
        None => Report::new(),
    };
    let plan = plan(arguments, &store, &mut reference, &mut report)?;
    let summary = report.summary();
    if !arguments.quiet && !summary.is_empty() {
        say(format_args!("{}", summary.trim_end()));
    }
    let job = Job {
        store: &store,
        track: &track,
        record,
        plan: &plan,
        reference: &reference,
        recipe: &score_recipe,
        cutter: WindowCutter { length: track.recipe.window, grid: grid_word(record, &track.recipe) },
        interrupted: &interrupted,
    };
    let pending = job.pending()?;
    report.finish()?;
    let stored = plan.len() - pending;
    if pending == 0 {
        say(format_args!(
            "nothing to do: all {stored} variants have a row in track {}; no forward was run",
            track.name
        ));
        return Ok(ExitCode::SUCCESS);
    }
    vestore_ingest::set_threads(threads);
    let kind = if track.recipe.dtype == Dtype::Bf16 { Kind::BFloat16 } else { Kind::Float };
    let model = load(&store, record, device, kind)?;
    score_recipe.check(model.description())?;
    let Some(writer) = &mut writer else {
        return tell_estimate(&job, &model, stored);
    };
    writer.put_track(&track)?;
    let device_name = if let vestore_ingest::Device::Cuda(index) = device {
        format!("cuda:{index}")
    } else {
        "cpu".to_owned()
    };
    let mut run = new_run(&store, &track, &plan, &device_name, threads, batch_tokens)?;
    let progress = Progress::new(pending, arguments.quiet);
    let started = Instant::now();
    let outcome = job.run(&model, writer, &mut run, &mut report, &progress)?;
    report.finish()?;
    progress.finish();
    tell_outcome(&outcome, &track, stored, pending, started);
    Ok(if outcome.rows < pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

fn recipe(arguments: &Arguments, model: &ModelRecord) -> anyhow::Result<Recipe> {
    let mut scores = Vec::new();
    for text in &arguments.score {
        let kind = ScoreKind::parse(text).ok_or_else(|| {
            let known: Vec<&str> = ScoreKind::ALL.iter().map(|kind| kind.as_str()).collect();
            Usage(format!("`{text}` is no kind of score; the kinds are {}", known.join(", ")))
        })?;
        scores.push(kind);
    }
    if scores.is_empty() {
        scores.push(match model.tokenizer {
            _ if model.labels.is_some() => ScoreKind::Classifier,
            TokenizerKind::Kmer(_) | TokenizerKind::Base if model.masked_lm => ScoreKind::Llr,
            _ => ScoreKind::Distance,
        });
    }
    scores.sort_unstable();
    scores.dedup();
    let limit = model.max_window().unwrap_or(u32::MAX);
    let window = arguments.window.unwrap_or(WINDOW.min(limit));
    ensure!(window > 0, Usage("--window must be at least 1".to_owned()));
    ensure!(
        window <= limit,
        "model `{}` takes windows of at most {limit} bp, not {window}; use --window {limit} or less",
        model.name
    );
    if let (true, TokenizerKind::Kmer(word)) = (scores.contains(&ScoreKind::LlrGrid), model.tokenizer) {
        ensure!(
            window.is_multiple_of(word),
            "llr-grid needs a window that is a multiple of {word} bp; use --window {}",
            window / word * word
        );
    }
    if let Some(step) = &arguments.precision {
        let valid = step.parse::<f64>().is_ok_and(|step| step.is_finite() && step > 0.0);
        ensure!(valid, Usage(format!("`{step}` is no precision; write a positive step such as 0.001")));
    }
    Ok(Recipe {
        scores,
        window,
        strands: match arguments.strands {
            StrandsArgument::Both => Strands::Both,
            StrandsArgument::Forward => Strands::Forward,
        },
        dtype: match arguments.dtype {
            DtypeArgument::F32 => Dtype::F32,
            DtypeArgument::Bf16 => Dtype::Bf16,
        },
        precision: arguments.precision.clone(),
        part: AblatedPart::Block,
    })
}

/// Bases of a word where the recipe has `llr-grid`.
fn grid_word(model: &ModelRecord, recipe: &Recipe) -> Option<u32> {
    match model.tokenizer {
        TokenizerKind::Kmer(word) if recipe.scores.contains(&ScoreKind::LlrGrid) => Some(word),
        _ => None,
    }
}

fn plan(
    arguments: &Arguments,
    store: &Store,
    reference: &mut Reference,
    report: &mut Report,
) -> anyhow::Result<Plan> {
    let assembly = store.assembly();
    if let Some(path) = &arguments.variants {
        let ref_mismatch = match arguments.ref_mismatch {
            RefMismatchArgument::Skip => RefMismatch::Skip,
            RefMismatchArgument::Fail => RefMismatch::Fail,
        };
        let options = PlanOptions { ref_mismatch, ..PlanOptions::default() };
        return Ok(Plan::from_file(path, reference, assembly, &options, report)?);
    }
    let regions = regions(arguments, assembly, report)?;
    Ok(Plan::saturation(regions, reference, report)?)
}

fn regions(arguments: &Arguments, assembly: &Assembly, report: &mut Report) -> anyhow::Result<Vec<Region>> {
    let mut regions =
        arguments.region.iter().map(|text| Region::parse(text, assembly)).collect::<Result<Vec<_>, _>>()?;
    if let Some(bed) = &arguments.bed {
        regions.extend(read_bed(bed, assembly, report)?);
    }
    Ok(regions)
}

/// Loads the model and checks that its files are still those that were added.
fn load(
    store: &Store,
    record: &ModelRecord,
    device: vestore_ingest::Device,
    kind: Kind,
) -> anyhow::Result<Model> {
    let source = source_of(store, record);
    let model = Model::load(&source, device, kind).with_context(|| {
        format!("cannot load model `{}` from {}", record.name, source.checkpoint.display())
    })?;
    let id = vestore_schema::Digest::from(model.description().id);
    if id != record.id {
        bail!(
            "the files of model `{}` in {} have changed since it was added (id {} was {}); restore them, or add \
             them as a new model",
            record.name,
            source.checkpoint.display(),
            id.short(),
            record.id.short()
        );
    }
    Ok(model)
}

fn tell_estimate(job: &Job<'_>, model: &Model, stored: u64) -> anyhow::Result<ExitCode> {
    let found = estimate(job, model)?;
    let about = if found.exact { "" } else { "about " };
    say(format_args!(
        "dry run for track {}: {} variants to score, {stored} have a row already\n\
         {about}{} forwards, {about}{} tokens, about {} bytes, about {:#}",
        job.track.name,
        found.variants,
        found.forwards,
        found.tokens,
        found.bytes,
        HumanDuration(std::time::Duration::from_secs_f64(found.seconds))
    ));
    Ok(ExitCode::SUCCESS)
}

fn tell_outcome(outcome: &Outcome, track: &Track, stored: u64, pending: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let statuses: Vec<String> =
        outcome.statuses.iter().map(|(status, count)| format!("{count} {status}")).collect();
    say(format_args!(
        "track {}: {} rows written in {seconds:.1} s ({:.0} variants/s): {}{}",
        track.name,
        outcome.rows,
        outcome.rows as f64 / seconds.max(1e-9),
        if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") },
        if stored > 0 { format!("; {stored} were there already") } else { String::new() }
    ));
    if outcome.rows < pending {
        say(format_args!(
            "stopped with {} variants to go; what is written is safe, the same command goes on from there",
            pending - outcome.rows
        ));
    }
}
