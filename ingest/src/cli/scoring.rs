//! What `vestore score` and `vestore ablate` share: which variants, which recipe, where it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use clap::builder::{PossibleValue, PossibleValuesParser};
use tempfile::TempDir;
use vestore::{
    GeneTable, OutputRules, Places, Plan, PlanOptions, Reference, Report, Store, Writer, check_output_folder,
    check_track, open_variants, read_bed,
};
use vestore_ingest::{
    CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, Interrupt, Job, device_name, devices, set_tf32, source_of, unit_size,
};
use vestore_schema::{
    AblatedPart, Digest, Dtype, Model as ModelRecord, Precision, Recipe, Region, Shard, Strands, Table, Track,
};

use super::family::{Family, Loading, ModelTask, score_kinds};
use super::interrupt;
use super::machine::tell_auto;
use super::progress::Bar;
use super::reference::{RefMismatchArguments, ReferenceArguments};
use super::regulatory::RegulatoryArguments;
use super::shared::{ProgressForm, Usage, misplaced, one_of, say, warn, writer_or_wait};
use super::splice::SpliceArguments;
use super::tuned::Tuned;

#[derive(clap::Args)]
pub(super) struct Scoring {
    /// Score the variants of a VCF, BCF, TSV, CSV or Parquet file; `-` reads stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["region", "bed"])]
    variants: Option<PathBuf>,
    /// Score every SNV of a region such as `17:43,044,295-43,125,483`, or of a gene; may be repeated
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Score every SNV of the regions of a BED file
    #[arg(long, value_name = "FILE")]
    bed: Option<PathBuf>,
    /// Compute these score kinds, separated by commas; by default the one that suits the model
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    score: Vec<String>,
    /// Cut windows of this length; by default as the model was fine-tuned, else 600 bp or the model's limit; for
    /// regulatory models that of the published ones
    #[arg(long, value_name = "BP")]
    window: Option<u32>,
    /// Score the mean of both strands, or the forward strand alone; by default as the model was fine-tuned, else both
    #[arg(long, value_parser = one_of(&Strands::ALL, Strands::as_str))]
    strands: Option<Strands>,
    /// Run the model on cpu, cuda (every GPU), cuda:N (one GPU), or auto (every GPU, else the CPU)
    #[arg(long, default_value = "auto")]
    device: String,
    /// Compute in this precision; tf32 (GPUs only) and bf16 are faster and less exact
    #[arg(long, default_value = "f32", value_parser = one_of(&Dtype::ALL, Dtype::as_str))]
    dtype: Dtype,
    /// Round scores to multiples of this step such as 0.001, or to 8 significant bits (`16bit-relative`), for smaller
    /// files; lossless by default
    #[arg(long, value_name = "STEP")]
    precision: Option<String>,
    #[command(flatten)]
    splice: SpliceArguments,
    #[command(flatten)]
    regulatory: RegulatoryArguments,
    /// Run at most this many tokens per batch
    #[arg(long, value_name = "N")]
    batch_tokens: Option<u32>,
    /// Run the model with this many threads; all cores by default
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Score part K of N of the variants alone, into a store of its own (--output)
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Store of the shard, for `vestore merge`; a shard of the same plan is resumed
    #[arg(long, value_name = "SHARD", requires = "shard")]
    output: Option<PathBuf>,
    /// Write to this track; `<model>.<kinds>.w<window>` by default
    #[arg(long, value_name = "NAME")]
    pub(super) track: Option<String>,
    /// List rejected records and variants without a score, as TSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Overwrite the file of --report or --plot, whatever it is; an earlier report is always overwritten
    #[arg(long)]
    pub(super) force: bool,
    /// Wait for another process that writes the store, instead of failing
    #[arg(long)]
    wait: bool,
    /// Show progress as a bar (lines without a terminal), or print everything on stderr as JSON, an object per line
    #[arg(long, value_enum, default_value_t = ProgressForm::Bar)]
    pub(super) progress: ProgressForm,
    /// Hide the progress bar
    #[arg(long)]
    pub(super) quiet: bool,
}

/// The score kinds that a command line may name.
fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(
        score_kinds().map(|kind| {
            PossibleValue::new(kind.name).help(format!("{}; {}", kind.description, kind.direction))
        }),
    )
}

/// What is done with the variants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task<'a> {
    Score {
        embeddings: bool,
        /// Of the variant's bins alone.
        of_variant: bool,
        dry_run: bool,
    },
    /// Without the part of each layer of this name.
    Ablate { part: &'a str },
}

/// Everything but the model: opened, read and checked.
pub(super) struct Prepared {
    pub(super) store: Store,
    /// What gets the rows: the store, or that of the shard.
    target: Store,
    /// Where the store of a shard lies that is only estimated.
    _temporary: Option<TempDir>,
    /// Variants of each shard; none of a whole plan.
    pub(super) shards: Vec<u64>,
    pub(super) record: ModelRecord,
    pub(super) track: Track,
    /// None on a dry run.
    pub(super) writer: Option<Writer>,
    /// What was left out or carries no score so far.
    pub(super) report: Report,
    plan: Plan,
    reference: Reference,
    embeddings: bool,
    ablation: bool,
    unit: usize,
    pub(super) batch_tokens: u32,
    genes: Option<Arc<GeneTable>>,
    devices: Vec<vestore_ingest::Device>,
    pub(super) threads: u32,
    /// As typed, and whether nothing is said about it.
    device: String,
    quiet: bool,
    interrupted: Arc<Interrupt>,
}

impl Scoring {
    /// How the progress of scoring on `device` is shown.
    pub(super) fn bar(&self, device: &str) -> Bar {
        match self.progress {
            ProgressForm::Json => Bar::events(device, self.shard),
            ProgressForm::Bar => Bar::new(self.quiet),
        }
    }

    /// Whether it says which variants.
    pub(super) fn names_variants(&self) -> bool {
        self.variants.is_some() || !self.region.is_empty() || self.bed.is_some()
    }

    /// The files that the command reads.
    fn inputs(&self, store: &Store, model: &ModelRecord) -> Vec<PathBuf> {
        let source = source_of(store, model);
        let named = [&self.variants, &self.bed].into_iter().flatten().cloned();
        let folders = [Some(source.checkpoint), source.adapter].into_iter().flatten();
        let genes = self.splice.file().map(Path::to_owned);
        named.chain(folders).chain(genes).chain([store.reference()]).collect()
    }

    /// Opens the store of a shard, or makes it; a temporary one for an estimate, where there is none yet.
    fn open_shard(
        &self,
        store: &Store,
        shard: Shard,
        temporary: Option<&TempDir>,
        track: &str,
        table: Table,
    ) -> anyhow::Result<Store> {
        let there = self.output.as_deref();
        let there = there.map(|root| store.open_shard(root, shard, track, table)).transpose()?.flatten();
        match (there, temporary, &self.output) {
            (Some(there), _, _) => Ok(there),
            (None, Some(temporary), _) => Ok(store.create_shard(&temporary.path().join("shard"))?),
            (None, None, Some(root)) => {
                check_output_folder(root, &[])?;
                Ok(store.create_shard(root)?)
            }
            (None, None, None) => {
                let needed = "--shard needs --output, the folder of the shard's store".to_owned();
                Err(Usage(needed).into())
            }
        }
    }

    /// Opens the store, settles the track, takes the right to write and reads the variants.
    pub(super) fn prepare(&self, store: &Path, model: &str, task: Task<'_>) -> anyhow::Result<Prepared> {
        let store = self.reference.open(store)?;
        store.check_writable()?;
        let snapshot = store.snapshot()?;
        let record = snapshot.model(model)?.clone();
        let tuned = Tuned::of(&record, &snapshot.models)?;
        let family = Family::of(&store, &record)?;
        ensure!(
            !record.checkpoint.is_empty(),
            "the files of model `{model}` were not published; add them: `vestore model add STORE {model} --checkpoint DIR`"
        );
        let [bins, untransform] = self.regulatory.settled(&family);
        let given = [self.window.is_some(), self.strands.is_some(), bins, untransform];
        if let Some(remark) = tuned.remark(&record.name, given) {
            say(format_args!("{remark}"));
        }
        let mut recipe = recipe(self, &family, tuned)?;
        let continued = snapshot.tracks.iter().find(|track| Some(&track.name) == self.track.as_ref());
        let genes = self.splice.complete(&mut recipe, &family, self.strands, &store, continued)?;
        self.regulatory.complete(&mut recipe, &family, tuned)?;
        if let Some(regulatory) = &mut recipe.regulatory {
            regulatory.genes = genes.as_ref().map(|genes| genes.digest());
        }
        if let Task::Score { embeddings: true, of_variant, .. } = task {
            family.check_embeddings(of_variant)?;
            if let Some(regulatory) = &mut recipe.regulatory {
                regulatory.variant_embeddings = of_variant;
            }
        }
        if let Task::Ablate { part } = task {
            recipe.part = family.part(part).map_err(|error| Usage(error.to_string()))?;
        }
        let name = self.track.clone().unwrap_or_else(|| recipe.track_name(&record.name));
        let columns = family.columns(&recipe)?;
        let track = Track::new(&name, &record.name, record.id, recipe, columns.scores)?;
        let track = Track { gene_columns: columns.genes, ..track };
        let track = track.with_effects(columns.effects, &columns.targets);
        check_track(&track, &snapshot.tracks)?;
        let devices = devices(&self.device)?;
        set_tf32(track.recipe.dtype == Dtype::Tf32, &devices)?;
        let on_cpu = devices.contains(&vestore_ingest::Device::Cpu);
        let batch_tokens =
            self.batch_tokens.unwrap_or(if on_cpu { CPU_BATCH_TOKENS } else { GPU_BATCH_TOKENS });
        let threads = self.threads.unwrap_or_else(vestore_ingest::threads);
        ensure!(
            threads > 0 && batch_tokens > 0,
            Usage("--threads and --batch-tokens must be at least 1".to_owned())
        );
        let embeddings = matches!(task, Task::Score { embeddings: true, .. });
        let ablation = matches!(task, Task::Ablate { .. });
        let cost = family.cost(&record, &track.recipe, embeddings, ablation)?;

        // Told before the variants are read: a second writer need not wait for that.
        let dry_run = matches!(task, Task::Score { dry_run: true, .. });
        let interrupted = if dry_run {
            // Nothing is in hand that would have to be finished.
            interrupt::end_at_once()?;
            Arc::default()
        } else {
            interrupt::watch()?
        };
        let temporary = (dry_run && self.shard.is_some()).then(tempfile::tempdir).transpose()?;
        let target = match self.shard {
            None => store.clone(),
            Some(shard) => {
                let table = if ablation { Table::Ablation } else { Table::Scores };
                let target = self.open_shard(&store, shard, temporary.as_ref(), &track.name, table)?;
                check_track(&track, &target.snapshot()?.tracks)?;
                target
            }
        };
        let mut writer = if dry_run {
            None
        } else {
            Some(interrupt::while_waiting(|| writer_or_wait(&target, self.wait))?)
        };
        if let (Some(_), Some(writer)) = (self.shard, &mut writer) {
            writer.put_models_of(&store, &record, &snapshot)?;
        }
        let mut reference = store.open_reference()?;
        let mut report = match &self.report {
            Some(path) => {
                let inputs = self.inputs(&store, &record);
                Report::with_listing(path, &OutputRules { force: self.force, inputs: &inputs })?
            }
            None => Report::new(),
        };
        let mut plan = plan(self, &store, &mut reference, &mut report)?;
        let mut shards = Vec::new();
        if let Some(shard) = self.shard {
            target.check_plan(Digest::from(plan.digest()))?;
            let unit = unit_size(cost, ablation, true);
            let parts = plan.parts(shard.of, unit as u64)?;
            shards.extend(parts.iter().map(Plan::len));
            plan = parts.into_iter().nth(shard.part as usize - 1).unwrap_or(plan);
        }
        warn(&report.warnings);
        let summary = report.summary();
        if !self.quiet && !summary.is_empty() {
            say(format_args!("{}", summary.trim_end()));
        }
        Ok(Prepared {
            store,
            target,
            _temporary: temporary,
            shards,
            record,
            track,
            writer,
            report,
            plan,
            reference,
            embeddings,
            ablation,
            unit: unit_size(cost, ablation, !on_cpu),
            batch_tokens,
            genes,
            devices,
            threads,
            device: self.device.clone(),
            quiet: self.quiet,
            interrupted,
        })
    }
}

impl Prepared {
    pub(super) fn job(&self) -> Job<'_> {
        Job {
            store: &self.target,
            track: &self.track,
            record: &self.record,
            plan: &self.plan,
            reference: &self.reference,
            embeddings: self.embeddings,
            ablation: self.ablation,
            unit: self.unit,
            interrupted: &self.interrupted,
        }
    }

    /// Whether there is nothing left to do for a shard whose store does not say so yet.
    pub(super) fn is_unrecorded(&self) -> anyhow::Result<bool> {
        // The last run counts: an earlier one may have finished without embeddings.
        let runs = self.target.runs()?;
        Ok(self.plan.shard().is_some() && runs.last().is_none_or(|run| run.finished.is_none()))
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
        self.devices.iter().map(|device| device_name(*device)).collect::<Vec<_>>().join(",")
    }

    /// Loads the model onto every device and runs `task` with it.
    pub(super) fn run<T: ModelTask>(&self, task: T) -> anyhow::Result<T::Output> {
        tell_auto(&self.device, &self.devices, self.quiet);
        vestore_ingest::set_threads(self.threads);
        let loading = Loading {
            store: &self.store,
            record: &self.record,
            recipe: &self.track.recipe,
            devices: &self.devices,
            embeddings: self.embeddings,
            batch_tokens: self.batch_tokens,
            genes: self.genes.clone(),
        };
        Family::of(&self.store, &self.record)?.run(&loading, task)
    }
}

fn recipe(arguments: &Scoring, family: &Family<'_>, tuned: Tuned) -> anyhow::Result<Recipe> {
    ensure!(arguments.window != Some(0), Usage("--window must be at least 1".to_owned()));
    let scores = family.scores(&arguments.score).map_err(|error| Usage(error.to_string()))?;
    let window = family.window(arguments.window, tuned.window, &scores)?;
    if let Some(precision) = &arguments.precision {
        Precision::parse(precision).map_err(|error| Usage(error.to_string()))?;
    }
    Ok(Recipe {
        scores,
        window,
        strands: arguments.strands.or(tuned.strands).unwrap_or_default(),
        dtype: arguments.dtype,
        precision: arguments.precision.clone(),
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    })
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
        return Ok(Plan::read(open_variants(path)?, reference, assembly, &options, report)?);
    }
    let regions = regions(arguments, store, report)?;
    Ok(Plan::saturation(regions, reference, report)?)
}

fn regions(arguments: &Scoring, store: &Store, report: &mut Report) -> anyhow::Result<Vec<Region>> {
    let mut regions = Places::regions(store, &arguments.region).map_err(misplaced)?;
    if let Some(bed) = &arguments.bed {
        regions.extend(read_bed(bed, store.assembly(), report)?);
    }
    Ok(regions)
}
