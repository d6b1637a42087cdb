//! What `vestore train finetune` and `vestore study layers` share: the labelled data, and how a model is tuned to
//! it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use vestore::{Store, StoreError};
use vestore_ingest::{
    AdamWOptions, AdapterKind, Dataset, LabelledWindows, SequenceColumns, TuningInput, TuningMethod,
    TuningPlan, is_trained,
};
use vestore_schema::{EXTERNAL_MODEL, Model, Strands, check_name};

use super::family::Family;
use super::labels::LabelArguments;
use super::pretrain::TrainingDtype;
use super::reference::{RefMismatchArguments, ReferenceArguments};
use super::shared::one_of;
use super::split::SplitArguments;
use super::{Usage, plural, say, warn};

/// The labelled data.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("data").required(true).args(["labels", "sequences"])))]
pub(super) struct DataArguments {
    /// Labelled variants: TSV or CSV with a header (CHROM, POS 1-based, REF, ALT, a label), or VCF with the label
    /// in INFO; plain or compressed
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Labelled sequences: TSV or CSV with a header
    #[arg(long, value_name = "FILE")]
    sequences: Option<PathBuf>,
    /// Column of the bases of --sequences
    #[arg(long, value_name = "NAME", default_value = "sequence")]
    sequence: String,
    #[command(flatten)]
    label: LabelArguments,
    #[command(flatten)]
    split: SplitArguments,
    /// Window in bases around a variant; 600 by default, less where the model's limit is less
    #[arg(long, value_name = "BP", conflicts_with = "sequences")]
    window: Option<u32>,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    pub(super) reference: ReferenceArguments,
}

impl DataArguments {
    /// Reads the data, cuts the windows and tells what is left out and what leaks.
    pub(super) fn read(&self, store: &Store, model: &Model) -> anyhow::Result<LabelledWindows> {
        let task = self.label.task;
        let split = self.split.options();
        if let Some(path) = &self.sequences {
            let columns =
                SequenceColumns { sequence: self.sequence.clone(), label: self.label.label.clone() };
            let data = Dataset::read_sequences(path, &columns, task, &split)?;
            say(format_args!("{}: {}", path.display(), data.counts));
            return Ok(LabelledWindows::of_sequences(&data));
        }
        let path = self.labels.as_ref().context("clap sees to it that there are data; this is a bug")?;
        let mut reference = store.open_reference()?;
        let rules = self.label.rules(self.ref_mismatch.ref_mismatch)?;
        let data = Dataset::read_variants(path, &rules, task, &split, store.assembly(), &mut reference)?;
        warn(&data.counts.rows.warnings);
        say(format_args!("{}: {}", path.display(), data.counts));
        let window = Family::of(model)?.window(self.window, None, &[]);
        let window = window.map_err(|error| Usage(error.to_string()))?;
        let leakage = data.leakage(window);
        if !leakage.is_empty() {
            say(format_args!("warning: {leakage}"));
        }
        let windows = LabelledWindows::of_variants(&data, window, &mut reference)?;
        if windows.skipped > 0 {
            say(format_args!(
                "{} skipped: no window of {window} bp on the contig; use a shorter --window",
                plural(windows.skipped, "variant")
            ));
        }
        let all = data.inputs.len() as u64;
        ensure!(windows.skipped < all, "no variant has a window of {window} bp on its contig");
        Ok(windows)
    }

    /// The files that are read.
    pub(super) fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        [&self.labels, &self.sequences].into_iter().flatten().cloned()
    }
}

/// How a model is tuned.
#[derive(clap::Args)]
pub(super) struct TuningArguments {
    /// Predict from the alternate window, or from the head's output for the alternate minus its output for the
    /// reference, which suits signed effects
    #[arg(long, value_enum, default_value_t = InputArgument::Alternate)]
    input: InputArgument,
    /// Train on both strands in turn and evaluate their mean, or use the forward strand alone
    #[arg(long, default_value = "both", value_parser = one_of(&Strands::ALL, Strands::as_str))]
    strands: Strands,
    /// Weight classes equally, however many examples each has
    #[arg(long)]
    balanced: bool,
    /// `LoRA` rank
    #[arg(long, value_name = "N", default_value_t = 8)]
    rank: u32,
    /// `LoRA` alpha: the update is scaled by alpha / rank
    #[arg(long, value_name = "X", default_value_t = 16.0)]
    alpha: f64,
    /// Bottleneck width of a Houlsby adapter
    #[arg(long, value_name = "N", default_value_t = 8)]
    latent: u32,
    /// Target-module suffixes: the modules that `LoRA` and IA3 change; query and value, or key, value and the
    /// feed-forward's output by default
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    target: Vec<String>,
    /// Number of epochs
    #[arg(long, value_name = "N", default_value_t = 3)]
    epochs: u32,
    /// Optimizer steps, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Examples per step
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: u32,
    /// Micro-batches per step (gradient accumulation), for less memory
    #[arg(long, value_name = "N", default_value_t = 1)]
    parts: u32,
    /// Peak learning rate; 5e-5 when all weights are trained, else 1e-3
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Fraction of the steps for learning-rate warmup
    #[arg(long, value_name = "FRACTION", default_value_t = 0.15)]
    warmup: f64,
    /// Weight decay (`AdamW`)
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    weight_decay: f64,
    /// Maximum gradient norm
    #[arg(long, value_name = "X", default_value_t = AdamWOptions::default().clip)]
    clip: f64,
    /// Evaluate the validation loss every N steps; an epoch by default
    #[arg(long, value_name = "STEPS")]
    evaluate_every: Option<u64>,
    /// Early-stopping patience, in evaluations without a lower validation loss; 0 to continue to the end
    #[arg(long, value_name = "N", default_value_t = 3)]
    patience: u32,
    /// Arithmetic of the products; weights and optimizer are float32 always
    #[arg(long, value_enum, default_value_t = TrainingDtype::F32)]
    dtype: TrainingDtype,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum InputArgument {
    Alternate,
    Difference,
}

/// Which weights are trained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum MethodArgument {
    /// All
    Full,
    /// The head alone
    Linear,
    /// Low-rank changes
    Lora,
    /// Scales of keys, values and feed-forward
    Ia3,
    /// Bottlenecks within the layers, and the norms
    Houlsby,
}

impl MethodArgument {
    /// The learning rate where none is given: what is trained alone moves on faster.
    fn learning_rate(self) -> f64 {
        if self == Self::Full { 5e-5 } else { 1e-3 }
    }
}

impl TuningArguments {
    /// The same plan for a method that is compared with the one that the learning rate was given for.
    pub(super) fn compared(&self, method: MethodArgument, seed: u64) -> TuningPlan {
        TuningPlan { learning_rate: method.learning_rate(), ..self.plan(method, seed) }
    }

    /// The plan that they make.
    pub(super) fn plan(&self, method: MethodArgument, seed: u64) -> TuningPlan {
        let adapter = |adapter| TuningMethod::Adapter {
            adapter,
            targets: (!self.target.is_empty()).then(|| self.target.clone()),
        };
        TuningPlan {
            method: match method {
                MethodArgument::Full => TuningMethod::Full,
                MethodArgument::Linear => TuningMethod::Linear,
                MethodArgument::Lora => adapter(AdapterKind::Lora { rank: self.rank, alpha: self.alpha }),
                MethodArgument::Ia3 => adapter(AdapterKind::Ia3),
                MethodArgument::Houlsby => TuningMethod::Adapter {
                    adapter: AdapterKind::Houlsby { latent: self.latent },
                    targets: None,
                },
            },
            input: match self.input {
                InputArgument::Alternate => TuningInput::Alternate,
                InputArgument::Difference => TuningInput::Difference,
            },
            strands: self.strands,
            balanced: self.balanced,
            seed,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            parts: self.parts,
            learning_rate: self.learning_rate.unwrap_or(method.learning_rate()),
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            optimizer: AdamWOptions {
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: self.weight_decay,
                clip: self.clip,
                ..AdamWOptions::default()
            },
            bf16: self.dtype == TrainingDtype::Bf16,
        }
    }
}

/// Refuses a name that another model of the store has, before hours of training. A training that is whole in `output`
/// is the exception: the same command may be repeated, and its model is compared.
pub(super) fn check_free(store: &Store, name: &str, output: &Path) -> anyhow::Result<()> {
    check_name(name)?;
    let taken = name == EXTERNAL_MODEL || store.snapshot()?.models.iter().any(|model| model.name == name);
    if taken && !is_trained(output) {
        let reason =
            "the name is taken; choose another --name, or free it with `vestore model rename` or `remove`";
        return Err(
            StoreError::Conflict { kind: "model", name: name.to_owned(), reason: reason.to_owned() }.into()
        );
    }
    Ok(())
}

/// The model of a store by name.
pub(super) fn model(store: &Store, name: &str) -> anyhow::Result<Model> {
    let snapshot = store.snapshot()?;
    let known = || snapshot.models.iter().map(|model| model.name.clone()).collect();
    let found = snapshot.models.iter().find(|model| model.name == name).cloned();
    Ok(found.ok_or_else(|| StoreError::Unknown { kind: "model", name: name.to_owned(), known: known() })?)
}
