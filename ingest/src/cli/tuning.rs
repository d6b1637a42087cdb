//! What `vestore train finetune` and `vestore study layers` share: the labelled data, and how a model is tuned to
//! it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use vestore::{Store, StoreError};
use vestore_ingest::{
    AdamWOptions, AdapterKind, Dataset, LabelledWindows, SequenceColumns, TuningInput, TuningMethod,
    TuningPlan, is_trained,
};
use vestore_schema::{Dtype, EXTERNAL_MODEL, Model, Strands, check_name};

use super::family::Family;
use super::labels::LabelArguments;
use super::pretrain::TRAINING_DTYPES;
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
        let family = Family::of(store, model)?;
        ensure!(
            matches!(family, Family::Encoder(_)),
            "model `{}` cannot be fine-tuned: it is of the family {}; expected a transformer encoder",
            model.name,
            model.family
        );
        let window = family.window(self.window, None, &[]);
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
    #[arg(long, default_value = "alternate", value_parser = one_of(&TuningInput::ALL, TuningInput::as_str))]
    input: TuningInput,
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
    #[arg(long, alias = "latent", value_name = "N", default_value_t = 8)]
    bottleneck_size: u32,
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
    #[arg(long, alias = "parts", value_name = "N", default_value_t = 1)]
    micro_batches: u32,
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
    #[arg(long, alias = "clip", value_name = "X", default_value_t = AdamWOptions::default().clip)]
    max_gradient_norm: f64,
    /// Evaluate the validation loss every N steps; an epoch by default
    #[arg(long, value_name = "STEPS")]
    evaluate_every: Option<u64>,
    /// Early-stopping patience, in evaluations without a lower validation loss; 0 to continue to the end
    #[arg(long, value_name = "N", default_value_t = 3)]
    patience: u32,
    /// Arithmetic of the products; weights and optimizer are float32 always
    #[arg(long, default_value = "f32", value_parser = one_of(&TRAINING_DTYPES, Dtype::as_str))]
    dtype: Dtype,
}

/// Parses the name of a method; the sizes of adapters are filled in by [`TuningArguments::plan`].
pub(super) fn methods() -> impl TypedValueParser<Value = TuningMethod> {
    let shown = |method: &TuningMethod| PossibleValue::new(method.as_str()).help(method.description());
    PossibleValuesParser::new(TuningMethod::ALL.iter().map(shown)).try_map(|name| {
        let mut all = TuningMethod::ALL.into_iter();
        all.find(|method| method.as_str() == name).ok_or("a possible value has a meaning; this is a bug")
    })
}

impl TuningArguments {
    /// The same plan for a method that is compared with the one that the learning rate was given for.
    pub(super) fn compared(&self, method: &TuningMethod, seed: u64) -> TuningPlan {
        TuningPlan { learning_rate: method.learning_rate(), ..self.plan(method, seed) }
    }

    /// The plan that they make.
    pub(super) fn plan(&self, method: &TuningMethod, seed: u64) -> TuningPlan {
        TuningPlan {
            method: self.sized(method.clone()),
            input: self.input,
            strands: self.strands,
            balanced: self.balanced,
            seed,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            parts: self.micro_batches,
            learning_rate: self.learning_rate.unwrap_or(method.learning_rate()),
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            optimizer: AdamWOptions::of_tuning(self.weight_decay, self.max_gradient_norm),
            bf16: self.dtype == Dtype::Bf16,
        }
    }

    /// The method with the sizes and target modules that were asked for.
    fn sized(&self, mut method: TuningMethod) -> TuningMethod {
        if let TuningMethod::Adapter { adapter, targets } = &mut method {
            match adapter {
                AdapterKind::Lora { rank, alpha } => (*rank, *alpha) = (self.rank, self.alpha),
                AdapterKind::Ia3 => {}
                AdapterKind::Houlsby { latent } => *latent = self.bottleneck_size,
            }
            let takes_targets = !matches!(adapter, AdapterKind::Houlsby { .. });
            *targets = (takes_targets && !self.target.is_empty()).then(|| self.target.clone());
        }
        method
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[arg(long, value_parser = methods())]
        method: TuningMethod,
        #[command(flatten)]
        tuning: TuningArguments,
    }

    #[test]
    fn methods_have_the_sizes_that_are_asked_for() {
        let plan = |text: &str| {
            let line = Line::try_parse_from(text.split(' ')).expect("options");
            line.tuning.plan(&line.method, 1)
        };
        let adapter = |adapter, targets| TuningMethod::Adapter { adapter, targets };
        let houlsby = adapter(AdapterKind::Houlsby { latent: 5 }, None);
        for option in ["--bottleneck-size", "--latent"] {
            let text = format!("tune --method houlsby {option} 5 --target query");
            assert_eq!(plan(&text).method, houlsby);
        }
        let lora = AdapterKind::Lora { rank: 3, alpha: 6.0 };
        assert_eq!(
            plan("tune --method lora --rank 3 --alpha 6 --target query").method,
            adapter(lora, Some(vec!["query".to_owned()]))
        );
        let full = plan("tune --method full --input difference");
        assert_eq!((full.method, full.learning_rate), (TuningMethod::Full, 5e-5));
        assert_eq!((full.input, plan("tune --method ia3").learning_rate), (TuningInput::Difference, 1e-3));
    }
}
