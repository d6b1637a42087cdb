//! What `vestore score` and `vestore ablate` share: which variants, which recipe, where it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use vestore::{
    OutputRules, Plan, PlanOptions, Reference, Report, Store, StoreError, Writer, check_track, read_bed,
};
use vestore_ingest::{
    CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, Interrupt, Job, Kind, Model, Recipe as ScoreRecipe, WindowCutter,
    devices, set_tf32, source_of,
};
use vestore_schema::{
    AblatedPart, Assembly, Dtype, Model as ModelRecord, Recipe, Region, ScoreKind, Strands, TokenizerKind,
    Track,
};

use super::reference::{RefMismatchArguments, ReferenceArguments};
use super::tuned::Tuned;
use super::{Usage, interrupt, say, warn, writer};

/// Window in bases when none is asked for.
const WINDOW: u32 = 600;
#[derive(clap::Args)]
pub(super) struct Scoring {
    /// Variants from a VCF, VCF.gz or BCF file; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["region", "bed"])]
    variants: Option<PathBuf>,
    /// Every SNV of every base of a region such as `17:43,044,295-43,125,483`; may be repeated
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Every SNV of every base of the regions of a BED file
    #[arg(long, value_name = "FILE")]
    bed: Option<PathBuf>,
    /// Kinds of scores: llr, llr-grid, distance, pll, classifier, regression; what suits the model by default
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    score: Vec<String>,
    /// Window length in bases; what the model was tuned on by default, else 600, less where the model's limit is less
    #[arg(long, value_name = "BP")]
    window: Option<u32>,
    /// Score both strands and take the mean, or the forward strand alone; what the model was tuned on by default,
    /// else both
    #[arg(long, value_enum)]
    strands: Option<StrandsArgument>,
    /// Where the model runs: cpu, cuda for every GPU, cuda:N for one, or auto
    #[arg(long, default_value = "auto")]
    device: String,
    /// Arithmetic of the model: float32, or what is faster and less exact
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
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Name of the track; `<model>.<kinds>.w<window>` by default
    #[arg(long, value_name = "NAME")]
    pub(super) track: Option<String>,
    /// List what was rejected or carries no score, as TSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace the file of --report, or of --plot, whatever it is; a report of this command is replaced anyway
    #[arg(long)]
    pub(super) force: bool,
    /// Hide the progress bar
    #[arg(long)]
    pub(super) quiet: bool,
}

/// Which strands are read.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StrandsArgument {
    Both,
    Forward,
}

impl From<StrandsArgument> for Strands {
    fn from(argument: StrandsArgument) -> Self {
        match argument {
            StrandsArgument::Both => Self::Both,
            StrandsArgument::Forward => Self::Forward,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DtypeArgument {
    F32,
    /// float32 with products rounded to TF32; GPUs only
    Tf32,
    Bf16,
}

/// What is done with the variants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Score { embeddings: bool, dry_run: bool },
    Ablate { part: AblatedPart },
}

/// Everything but the model: opened, read and checked.
pub(super) struct Prepared {
    pub(super) store: Store,
    pub(super) record: ModelRecord,
    pub(super) track: Track,
    /// None on a dry run.
    pub(super) writer: Option<Writer>,
    /// What was left out or carries no score so far.
    pub(super) report: Report,
    plan: Plan,
    reference: Reference,
    recipe: ScoreRecipe,
    ablation: bool,
    devices: Vec<vestore_ingest::Device>,
    pub(super) threads: u32,
    interrupted: Arc<Interrupt>,
}

impl Scoring {
    /// Whether it says which variants.
    pub(super) fn names_variants(&self) -> bool {
        self.variants.is_some() || !self.region.is_empty() || self.bed.is_some()
    }

    /// The files that the command reads.
    fn inputs(&self, store: &Store, model: &ModelRecord) -> Vec<PathBuf> {
        let source = source_of(store, model);
        let named = [&self.variants, &self.bed].into_iter().flatten().cloned();
        let folders = [Some(source.checkpoint), source.adapter].into_iter().flatten();
        named.chain(folders).chain([store.reference()]).collect()
    }

    /// Opens the store, settles the track, takes the right to write and reads the variants.
    pub(super) fn prepare(&self, store: &Path, model: &str, task: Task) -> anyhow::Result<Prepared> {
        let store = self.reference.open(store)?;
        let snapshot = store.snapshot()?;
        let record = snapshot.models.iter().find(|known| known.name == model).cloned().ok_or_else(|| {
            let known = snapshot.models.iter().map(|model| model.name.clone()).collect();
            StoreError::Unknown { kind: "model", name: model.to_owned(), known }
        })?;
        let tuned = Tuned::of(&record, &snapshot.models)?;
        if let Some(remark) = tuned.remark(&record.name, self.window.is_some(), self.strands.is_some()) {
            say(format_args!("{remark}"));
        }
        let mut recipe = recipe(self, &record, tuned)?;
        if let Task::Ablate { part } = task {
            recipe.part = part;
        }
        let name = self.track.clone().unwrap_or_else(|| recipe.track_name(&record.name));
        let track = Track::new(&name, &record.name, record.id, recipe)?;
        check_track(&track, &snapshot.tracks)?;
        let devices = devices(&self.device)?;
        set_tf32(track.recipe.dtype == Dtype::Tf32, &devices)?;
        let on_cpu = devices.contains(&vestore_ingest::Device::Cpu);
        let batch_tokens =
            self.batch_tokens.unwrap_or(if on_cpu { CPU_BATCH_TOKENS } else { GPU_BATCH_TOKENS });
        let threads = self.threads.unwrap_or_else(cores);
        ensure!(
            threads > 0 && batch_tokens > 0,
            Usage("--threads and --batch-tokens must be at least 1".to_owned())
        );
        let recipe = ScoreRecipe {
            kinds: track.recipe.scores.clone(),
            strands: track.recipe.strands,
            batch_tokens: batch_tokens as usize,
            embeddings: matches!(task, Task::Score { embeddings: true, .. }),
        };

        let interrupted = interrupt::watch()?;
        // Told before the variants are read: a second writer need not wait for that.
        let dry_run = matches!(task, Task::Score { dry_run: true, .. });
        let writer = if dry_run { None } else { Some(writer(&store)?) };
        let mut reference = store.open_reference()?;
        let mut report = match &self.report {
            Some(path) => {
                let inputs = self.inputs(&store, &record);
                Report::with_listing(path, &OutputRules { force: self.force, inputs: &inputs })?
            }
            None => Report::new(),
        };
        let plan = plan(self, &store, &mut reference, &mut report)?;
        warn(&report.warnings);
        let summary = report.summary();
        if !self.quiet && !summary.is_empty() {
            say(format_args!("{}", summary.trim_end()));
        }
        let ablation = matches!(task, Task::Ablate { .. });
        Ok(Prepared {
            store,
            record,
            track,
            writer,
            report,
            plan,
            reference,
            recipe,
            ablation,
            devices,
            threads,
            interrupted,
        })
    }
}

impl Prepared {
    pub(super) fn job(&self) -> Job<'_> {
        let (record, recipe) = (&self.record, &self.track.recipe);
        Job {
            store: &self.store,
            track: &self.track,
            record,
            plan: &self.plan,
            reference: &self.reference,
            recipe: &self.recipe,
            cutter: WindowCutter { length: recipe.window, grid: grid_word(record, recipe) },
            ablation: self.ablation,
            gpu: self.devices.iter().all(|device| device.is_cuda()),
            interrupted: &self.interrupted,
        }
    }

    /// Whether the user wants to stop already.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.is_set()
    }

    pub(super) fn variants(&self) -> u64 {
        self.plan.len()
    }

    /// Where the model runs, as the run's record says it.
    pub(super) fn device_name(&self) -> String {
        let name = |device: &vestore_ingest::Device| match device {
            vestore_ingest::Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        };
        self.devices.iter().map(name).collect::<Vec<_>>().join(",")
    }

    /// Loads the model onto every device and checks that it gives what is asked.
    pub(super) fn load(&self) -> anyhow::Result<Vec<Model>> {
        vestore_ingest::set_threads(self.threads);
        let kind = if self.track.recipe.dtype == Dtype::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let load = |device: &vestore_ingest::Device| {
            let model = load(&self.store, &self.record, *device, kind)?;
            self.recipe.check(model.description())?;
            Ok(model)
        };
        self.devices.iter().map(load).collect()
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

fn recipe(arguments: &Scoring, model: &ModelRecord, tuned: Tuned) -> anyhow::Result<Recipe> {
    let mut scores = Vec::new();
    for text in &arguments.score {
        let kind = ScoreKind::parse(text).ok_or_else(|| {
            let known: Vec<&str> = ScoreKind::ALL.iter().map(|kind| kind.as_str()).collect();
            Usage(format!("unknown score kind `{text}`; expected one of {}", known.join(", ")))
        })?;
        scores.push(kind);
    }
    if scores.is_empty() {
        scores.push(match model.tokenizer {
            _ if model.labels == Some(1) && !labels_apart(model) => ScoreKind::Regression,
            _ if model.labels.is_some() => ScoreKind::Classifier,
            TokenizerKind::Kmer(_) | TokenizerKind::Base if model.masked_lm => ScoreKind::Llr,
            _ => ScoreKind::Distance,
        });
    }
    scores.sort_unstable();
    scores.dedup();
    let limit = model.max_window().unwrap_or(u32::MAX);
    let window = arguments.window.or(tuned.window).unwrap_or(WINDOW.min(limit));
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
        ensure!(valid, Usage(format!("invalid precision `{step}`; expected a positive step such as 0.001")));
    }
    Ok(Recipe {
        scores,
        window,
        strands: arguments.strands.map_or(tuned.strands.unwrap_or(Strands::Both), Strands::from),
        dtype: match arguments.dtype {
            DtypeArgument::F32 => Dtype::F32,
            DtypeArgument::Tf32 => Dtype::Tf32,
            DtypeArgument::Bf16 => Dtype::Bf16,
        },
        precision: arguments.precision.clone(),
        part: AblatedPart::Block,
    })
}

/// Whether the outputs of its head are labels that each are there or not.
fn labels_apart(model: &ModelRecord) -> bool {
    model.config.get("multi_label").is_some_and(|labels| labels == true)
}

/// Bases of a word where the recipe has `llr-grid`.
pub(super) fn grid_word(model: &ModelRecord, recipe: &Recipe) -> Option<u32> {
    match model.tokenizer {
        TokenizerKind::Kmer(word) if recipe.scores.contains(&ScoreKind::LlrGrid) => Some(word),
        _ => None,
    }
}

fn plan(
    arguments: &Scoring,
    store: &Store,
    reference: &mut Reference,
    report: &mut Report,
) -> anyhow::Result<Plan> {
    let assembly = store.assembly();
    if let Some(path) = &arguments.variants {
        let ref_mismatch = arguments.ref_mismatch.ref_mismatch;
        let options = PlanOptions { ref_mismatch, ..PlanOptions::default() };
        return Ok(Plan::from_file(path, reference, assembly, &options, report)?);
    }
    let regions = regions(arguments, assembly, report)?;
    Ok(Plan::saturation(regions, reference, report)?)
}

fn regions(arguments: &Scoring, assembly: &Assembly, report: &mut Report) -> anyhow::Result<Vec<Region>> {
    let mut regions =
        arguments.region.iter().map(|text| Region::parse(text, assembly)).collect::<Result<Vec<_>, _>>()?;
    if let Some(bed) = &arguments.bed {
        regions.extend(read_bed(bed, assembly, report)?);
    }
    Ok(regions)
}

/// Loads the model and checks that its files are still those that were added.
pub(super) fn load(
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
