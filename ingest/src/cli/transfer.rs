//! `vestore train transfer`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use vestore::{Store, check_output_folder};
use vestore_ingest::{
    AdamWOptions, BinLayout, CoverageInput, CoverageTargets, Ia3Layers, RandomSplit, Sequences, Split,
    TileOptions, TransferAdapter, TransferFigures, TransferMethod, TransferPlan, TransferRun, Transferred,
    regulatory_config, regulatory_window, source_of, transfer, transfer_identity, transfer_record,
};
use vestore_schema::{Architecture, Bins, Dtype, Head, Model, Strands};

use super::finetune::shown;
use super::machine::MachineArguments;
use super::pretrain::TRAINING_DTYPES;
use super::progress::Bar;
use super::reference::ReferenceArguments;
use super::shared::one_of;
use super::splice::table as gene_table;
use super::tuning::{check_free, model};
use super::{Usage, interrupt, plural, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// The regulatory model to transfer
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Name of the new model in the store
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Write the model to this folder; an interrupted training in it continues
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which weights are trained beside the new head
    #[arg(long, value_parser = methods())]
    method: Method,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    settings: Settings,
    /// Also write the whole checkpoint, with the adapter merged, into OUTPUT/merged
    #[arg(long)]
    merge: bool,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Save the training state every N steps
    #[arg(long, value_name = "STEPS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

/// The coverage to train on.
#[derive(clap::Args)]
pub(super) struct DataArguments {
    /// Table of the new targets, tab-separated, with the columns of Borzoi's targets.txt: index, identifier, file (bigWig,
    /// bedGraph or BED), clip, clip_soft, scale, sum_stat, strand_pair, description
    #[arg(long, value_name = "FILE")]
    pub(super) targets: PathBuf,
    /// Windows and their splits as BED: contig, start, end, and train, valid or test
    #[arg(long, value_name = "FILE", conflicts_with_all = ["contig", "validation", "test", "stride"])]
    sequences: Option<PathBuf>,
    /// Cut windows from these contigs, instead of all
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    contig: Vec<String>,
    /// Cut windows from these contigs for validation
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    validation: Vec<String>,
    /// Cut windows from these contigs for testing; without --sequences, --validation and --test, stretches of the
    /// genome are drawn for both
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    test: Vec<String>,
    /// Window in bases; 524288, or 196608 of Enformer, by default
    #[arg(long, value_name = "BP")]
    window: Option<u32>,
    /// Bases from one window to the next; a window by default
    #[arg(long, value_name = "BP")]
    stride: Option<u32>,
    /// Compare the expression of these genes on held-out windows: GTF, or the name of a table of the store
    #[arg(long, value_name = "GENES")]
    pub(super) genes: Option<PathBuf>,
    /// Leave out bins that touch these regions
    #[arg(long, value_name = "FILE")]
    blacklist: Option<PathBuf>,
    /// Learn the bins in the middle of the window, as many as config.json says, or all but 16 on each side
    #[arg(long, default_value = "center", value_parser = one_of(&Bins::ALL, Bins::as_str))]
    pub(super) bins: Bins,
    #[command(flatten)]
    reference: ReferenceArguments,
}

/// How the model is trained.
#[derive(clap::Args)]
pub(super) struct Settings {
    /// The head that is replaced
    #[arg(long, default_value = "human", value_parser = one_of(&Head::ALL, Head::as_str))]
    head: Head,
    /// `LoRA` rank
    #[arg(long, value_name = "N", default_value_t = 8)]
    rank: u32,
    /// `LoRA` alpha: the update is scaled by alpha / rank
    #[arg(long, value_name = "X", default_value_t = 16.0)]
    alpha: f64,
    /// `LoRA` rank of convolutions (locon)
    #[arg(long, value_name = "N", default_value_t = 4)]
    convolution_rank: u32,
    /// `LoRA` alpha of convolutions (locon)
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    convolution_alpha: f64,
    /// The feed-forward layer whose input IA3 scales: the second, as its paper says, or the first, as Baskerville's code
    /// selects
    #[arg(long, default_value = "paper", value_parser = one_of(&Ia3Layers::ALL, Ia3Layers::as_str))]
    ia3_layers: Ia3Layers,
    /// Bottleneck width of a Houlsby adapter
    #[arg(long, value_name = "N", default_value_t = 8)]
    bottleneck_size: u32,
    /// Bottleneck width of squeeze-and-excite (houlsby-se)
    #[arg(long, value_name = "N", default_value_t = 16)]
    squeeze_size: u32,
    /// Train on both strands in turn, or on the forward strand alone
    #[arg(long, default_value = "both", value_parser = one_of(&Strands::ALL, Strands::as_str))]
    strands: Strands,
    /// Shift each window by up to N bases, drawn anew in each epoch
    #[arg(long, value_name = "BP", default_value_t = 3)]
    shift: u32,
    /// Dropout of each block, after attention and both feed-forward layers
    #[arg(long, value_name = "FRACTION", default_value_t = 0.2)]
    dropout: f64,
    /// Weight of the Poisson loss of a window's total beside the multinomial loss of its bins
    #[arg(long, value_name = "X", default_value_t = 0.2)]
    total_weight: f64,
    /// Number of epochs
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: u32,
    /// Optimizer steps, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Windows per step; they are computed one after the other (gradient accumulation)
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: u32,
    /// Peak learning rate; 1e-5 when all weights are trained, else 6e-5
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Fraction of the steps for learning-rate warmup
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    warmup: f64,
    /// Weight decay (`AdamW`)
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    weight_decay: f64,
    /// Maximum gradient norm
    #[arg(long, value_name = "X", default_value_t = 0.15)]
    max_gradient_norm: f64,
    /// Evaluate the validation loss every N steps; an epoch by default
    #[arg(long, value_name = "STEPS")]
    evaluate_every: Option<u64>,
    /// Early-stopping patience, in evaluations without a lower validation loss; 0 to continue to the end
    #[arg(long, value_name = "N", default_value_t = 5)]
    patience: u32,
    /// Arithmetic of the trunk; weights, head and optimizer are float32 always
    #[arg(long, default_value = "f32", value_parser = one_of(&TRAINING_DTYPES, Dtype::as_str))]
    dtype: Dtype,
    /// Recompute a block's activations for its gradient instead of keeping them: less memory, a third more time
    #[arg(long)]
    activation_checkpointing: bool,
}

/// A method by name; its sizes are options of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Full,
    Linear,
    Lora,
    Locon,
    Ia3,
    Houlsby,
    HoulsbySe,
}

impl Method {
    pub(super) const ALL: [Self; 7] =
        [Self::Full, Self::Linear, Self::Lora, Self::Locon, Self::Ia3, Self::Houlsby, Self::HoulsbySe];

    /// Its name, and the weights that it trains.
    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => ("full", "All weights"),
            Self::Linear => ("linear", "The head alone"),
            Self::Lora => ("lora", "LoRA on queries and values"),
            Self::Locon => ("locon", "LoRA on queries, values and the last four convolutions"),
            Self::Ia3 => ("ia3", "Scales of keys, values and a feed-forward layer's input"),
            Self::Houlsby => ("houlsby", "Bottlenecks within the blocks, and the layer norms"),
            Self::HoulsbySe => {
                ("houlsby-se", "The same, and squeeze-and-excite after the last four convolutions")
            }
        }
    }
}

/// Parses the name of a method.
pub(super) fn methods() -> impl TypedValueParser<Value = Method> {
    let shown = |method: Method| {
        let (name, description) = method.described();
        PossibleValue::new(name).help(description)
    };
    PossibleValuesParser::new(Method::ALL.map(shown)).try_map(|name| {
        let mut all = Method::ALL.into_iter();
        all.find(|method| method.described().0 == name).ok_or("a possible value has a meaning; this is a bug")
    })
}

impl Settings {
    pub(super) fn method(&self, method: Method) -> TransferMethod {
        let (rank, alpha, bottleneck) = (self.rank, self.alpha, self.bottleneck_size);
        let (convolution_rank, convolution_alpha) = (self.convolution_rank, self.convolution_alpha);
        TransferMethod::Adapter(match method {
            Method::Full => return TransferMethod::Full,
            Method::Linear => return TransferMethod::Linear,
            Method::Lora => TransferAdapter::Lora { rank, alpha },
            Method::Locon => TransferAdapter::Locon { rank, alpha, convolution_rank, convolution_alpha },
            Method::Ia3 => TransferAdapter::Ia3 { layers: self.ia3_layers },
            Method::Houlsby => TransferAdapter::Houlsby { bottleneck },
            Method::HoulsbySe => TransferAdapter::HoulsbySe { bottleneck, squeeze: self.squeeze_size },
        })
    }

    /// The plan that they make.
    pub(super) fn plan(&self, method: Method, bins: Bins, seed: u64) -> TransferPlan {
        let method = self.method(method);
        TransferPlan {
            method,
            head: self.head,
            bins,
            strands: self.strands,
            shift: self.shift,
            dropout: self.dropout,
            total_weight: self.total_weight,
            seed,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate.unwrap_or(method.learning_rate()),
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            optimizer: AdamWOptions {
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: self.weight_decay,
                clip: self.max_gradient_norm,
                ..AdamWOptions::default()
            },
            bf16: self.dtype == Dtype::Bf16,
            recompute: self.activation_checkpointing,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let data = &arguments.data;
    let store = data.open(&arguments.store)?;
    check_free(&store, &arguments.name, &arguments.output)?;
    let parent = model(&store, &arguments.model)?;
    let source = source_of(&store, &parent);
    check_output_folder(&arguments.output, &[data.inputs(), vec![source.checkpoint.clone()]].concat())?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let collected = data.read(&store, &parent)?;
    let input = collected.input(&store);
    let genes = data.genes.as_ref().map(|file| gene_table(file, &store)).transpose()?;
    let plan = arguments.settings.plan(arguments.method, data.bins, arguments.seed);
    ensure!(
        plan.method.merges() || !arguments.merge,
        Usage(format!(
            "--method {} has no adapter that could be merged into the weights; leave out --merge",
            plan.method.as_str()
        ))
    );
    let run = TransferRun {
        source: &source,
        targets: &data.targets,
        merge: arguments.merge,
        genes: genes.as_ref(),
        device,
        save_every: arguments.save_every,
        interrupted: interrupted.flag(),
        progress: &Bar::new(arguments.machine.quiet),
    };
    let reference = store.open_reference()?;
    let Some(found) = transfer(&plan, &input, &reference, &arguments.output, &run)? else {
        say(format_args!("stopped; the same command continues from there"));
        return Ok(interrupt::code());
    };
    let identity = transfer_identity(&input)?;
    let record = transfer_record(
        &store,
        &arguments.name,
        &parent,
        &arguments.output,
        &plan,
        input.targets,
        &identity,
    )?;
    let mut writer = writer(&store).with_context(|| {
        format!(
            "the new model is whole in {}, but is not in the store; rerun the same command when the store is free: it \
             adds the model without training again",
            arguments.output.display()
        )
    })?;
    writer.put_model(&record)?;
    tell(&found, &record, &plan, &arguments.output);
    Ok(ExitCode::SUCCESS)
}

/// The coverage that the options name.
pub(super) struct Collected<'a> {
    targets: CoverageTargets,
    sequences: Sequences,
    layout: BinLayout,
    blacklist: Option<&'a Path>,
}

impl Collected<'_> {
    pub(super) fn input<'a>(&'a self, store: &'a Store) -> CoverageInput<'a> {
        CoverageInput {
            targets: &self.targets,
            sequences: &self.sequences,
            layout: self.layout,
            blacklist: self.blacklist,
            assembly: store.assembly(),
        }
    }
}

impl DataArguments {
    /// The store that the model is in.
    pub(super) fn open(&self, store: &Path) -> anyhow::Result<Store> {
        self.reference.open(store)
    }

    /// The files that are read.
    pub(super) fn inputs(&self) -> Vec<PathBuf> {
        let given = [Some(&self.targets), self.sequences.as_ref(), self.blacklist.as_ref()];
        given.into_iter().flatten().cloned().collect()
    }

    /// Reads the table of targets and chooses the windows for a model.
    pub(super) fn read(&self, store: &Store, parent: &Model) -> anyhow::Result<Collected<'_>> {
        ensure!(
            matches!(parent.architecture, Architecture::Regulatory(_)),
            "model `{}` cannot be transferred: it is of the family {}; expected a regulatory model",
            parent.name,
            parent.family
        );
        let config = regulatory_config(&source_of(store, parent))?;
        let window = self.window.unwrap_or_else(|| regulatory_window(&config));
        config.check_window(window).map_err(|expected| {
            Usage(format!("invalid window {window} of model `{}`; {expected}", parent.name))
        })?;
        let targets = CoverageTargets::read(&self.targets)?;
        let sequences = match &self.sequences {
            Some(file) => Sequences::read_bed(file, window, store.assembly())?,
            None => {
                let by_contig = !self.validation.is_empty() || !self.test.is_empty();
                let random =
                    (!by_contig).then_some(RandomSplit { validation: 0.1, test: 0.1, seed: SPLIT_SEED });
                let options = TileOptions {
                    window,
                    stride: self.stride.unwrap_or(window),
                    contigs: self.contig.clone(),
                    validation: self.validation.clone(),
                    test: self.test.clone(),
                    random,
                };
                Sequences::tile(&options, store.assembly(), &mut store.open_reference()?)?
            }
        };
        let count = |split| sequences.of(split).count() as u64;
        say(format_args!(
            "{}, {}, {} for validation, {} for testing{}",
            plural(targets.count() as u64, "target"),
            plural(count(Split::Training), "window"),
            count(Split::Validation),
            count(Split::Test),
            left_out(&sequences)
        ));
        let (first, count) = config.crop(window, self.bins);
        let layout = BinLayout { resolution: config.bin(), first, count };
        Ok(Collected { targets, sequences, layout, blacklist: self.blacklist.as_deref() })
    }
}

/// Of the stretches that are drawn for validation and testing.
const SPLIT_SEED: u64 = 0x5eed;

/// Windows that were not taken, by reason.
fn left_out(sequences: &Sequences) -> String {
    let reasons = [
        (sequences.unknown, "with more than half N"),
        (sequences.across, "across two splits"),
        (sequences.short, "shorter than a window"),
    ];
    let told: Vec<String> =
        reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    if told.is_empty() { String::new() } else { format!("; left out: {}", told.join(", ")) }
}

fn tell(found: &Transferred, record: &Model, plan: &TransferPlan, output: &Path) {
    let tuning = &found.finetuned.tuning;
    let share = 100.0 * tuning.trained_parameters as f64 / tuning.parameters as f64;
    let memory =
        tuning.peak_memory.map_or(String::new(), |bytes| format!(", {} MB at most", bytes / 1_000_000));
    say(format_args!(
        "{}, {:.1} ms each, {:.0} s in all{memory}\n\
         {}: trained {} of {} parameters ({share:.2} %), {}; lowest validation loss {:.4} at step {}",
        plural(tuning.steps, "step"),
        tuning.seconds_per_step * 1e3,
        tuning.seconds,
        record.name,
        tuning.trained_parameters,
        tuning.parameters,
        plan.method.as_str(),
        tuning.best.loss,
        tuning.best.step,
    ));
    for (split, figures) in
        [("validation", Some(&found.validation_windows)), ("test", found.test_windows.as_ref())]
    {
        if let Some(figures) = figures {
            tell_figures(split, figures);
        }
    }
    say(format_args!(
        "{} holds it, {}/loss.svg shows the loss; `vestore score STORE --model {}` scores with it",
        output.display(),
        output.display(),
        record.name
    ));
}

/// Prints the means over targets, and what is said of genes.
fn tell_figures(split: &str, figures: &TransferFigures) {
    let shown: Vec<String> = figures.means().iter().map(shown).collect();
    say(format_args!("{split}, {}: {}", plural(figures.coverage.windows, "window"), shown.join(", ")));
    if let Some(genes) = &figures.genes {
        let pearson = genes.mean.pearson.value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
        say(format_args!("{split}, {}: pearson of expression {pearson}", plural(genes.genes, "gene")));
    }
}
