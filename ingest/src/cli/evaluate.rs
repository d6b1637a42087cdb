//! `vestore evaluate`

mod probe;
mod source;
mod table;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, ensure};
use vestore::{FigureFile, OutputRules};
use vestore_ingest::{
    Bootstrap, Comparison, FeatureKind, GroupBy, Labels, Metric, Probe, ScoredColumn, Split, TaskKind,
    plot_curves,
};

use self::probe::Learning;
use self::source::{Source, source};
use self::table::{table, tsv};
use super::labels::LabelArguments;
use super::reference::{RefMismatchArguments, ReferenceArguments};
use super::shared::one_of;
use super::split::SplitArguments;
use super::{Usage, interrupt, plural, say, warn};

/// Folds in which Enformer's authors validate effects on targets against causal eQTLs (Avsec 2021).
const EFFECT_FOLDS: u32 = 8;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Labelled variants: TSV or CSV with a header (CHROM, POS 1-based, REF, ALT, a label), or VCF with the label
    /// in INFO; plain or compressed
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    #[command(flatten)]
    label: LabelArguments,
    /// A track and its score column, the first one by default; `-` before the column negates the score
    /// (`nt.llr.w600:-llr`: the lower, the more positive). `baseline:transition` and `baseline:cpg` are plain
    /// rules. May be repeated; differences are to the first
    #[arg(long, value_name = "TRACK[:COLUMN]", required = true)]
    track: Vec<String>,
    /// Also report per value of this column, or INFO field; with borders, by bins of its numbers. A value such as
    /// `a,b` belongs to both groups. May be repeated
    #[arg(long, value_name = "COLUMN[=EDGE,EDGE...]")]
    by: Vec<String>,
    /// Only rows that every track scores: SNVs alone where one of them scores no others
    #[arg(long)]
    common: bool,
    /// Figures: auroc, auprc, accuracy, f1, mcc, `true_positive_rate`, `true_positives`, `false_positives`, `true_negatives`,
    /// `false_negatives`, spearman, r2; what suits the labels by default
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// Scores ≥ X count as positive, for accuracy, f1, mcc, the true-positive rate and the four counts
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1000)]
    resamples: u32,
    /// Random seed of the bootstrap, the probes and their folds
    #[arg(long, value_name = "N", default_value_t = 0x5eed)]
    seed: u64,
    /// How the table is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also train these on what the store has of every --track, and measure them on the test split: a random forest,
    /// or logistic regression. Training rows are those for training and for validation
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = one_of(&Probe::ALL, Probe::as_str))]
    probe: Vec<Probe>,
    /// What --probe learns from: embeddings (alternate − reference, the reference window's, or both), or the effects
    /// on all targets of a regulatory model, of the kind whose largest is the column of --track. Variants that lack
    /// them, or the effect on one target, are left out and counted; up to 4 GiB are read
    #[arg(
        long,
        value_name = "KIND",
        default_value = "both",
        value_parser = one_of(&FeatureKind::ALL, FeatureKind::as_str),
        requires = "probe"
    )]
    features: FeatureKind,
    /// Cross-validate the probes in N folds instead of splitting the rows: each row is predicted by a probe that has
    /// not seen its variant. With --by, a probe of its own learns within each group of the first column. Folds have
    /// equal shares of both classes [default: 8 with `--features effects` and no split]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(2..),
        requires = "probe",
        conflicts_with_all = ["split_column", "validation", "test", "validation_share", "test_share", "split_seed"]
    )]
    folds: Option<u32>,
    #[command(flatten)]
    split: SplitArguments,
    /// Draw ROC and precision-recall curves too: an SVG or PNG, by the extension of the file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Replace the plot if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Tsv,
    Json,
}

fn metric(name: &str) -> Result<Metric, String> {
    Metric::ALL.into_iter().find(|metric| metric.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = Metric::ALL.into_iter().map(Metric::as_str).collect();
        format!("unknown metric; expected one of {}", known.join(", "))
    })
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let by = arguments.by.iter().map(|text| group_by(text)).collect::<anyhow::Result<Vec<GroupBy>>>()?;
    interrupt::end_at_once()?;
    let store = arguments.reference.open(&arguments.store)?;
    let inputs = [arguments.labels.clone(), store.reference()];
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let plot = arguments.plot.as_deref().map(|path| FigureFile::create(path, &rules)).transpose()?;
    let sources =
        arguments.track.iter().map(|text| source(text, &store)).collect::<anyhow::Result<Vec<Source>>>()?;
    let mut reference = store.open_reference()?;
    let rules = arguments.label.rules(arguments.ref_mismatch.ref_mismatch)?;
    let folds = arguments.folds();
    let splits = arguments.split.are_given() || (!arguments.probe.is_empty() && folds.is_none());
    let split = splits.then(|| arguments.split.options());
    let mut labels =
        Labels::read(&arguments.labels, &rules, &by, split.as_ref(), store.assembly(), &mut reference)?;
    warn(&labels.counts.warnings);
    say(format_args!("{}: {}", arguments.labels.display(), labels.counts));
    let classes = match arguments.label.task {
        Some(TaskKind::Regression) => false,
        Some(TaskKind::Classification) if !labels.are_classes() => {
            return Err(anyhow!(
                "classification needs labels 0 and 1, and {} has others; name the texts of both classes with \
                 --positive and --negative",
                arguments.labels.display()
            ));
        }
        _ => labels.are_classes(),
    };
    let seen = labels.of(&[Split::Training, Split::Validation]);
    if split.is_some() {
        let all = labels.labels.len();
        labels = labels.of(&[Split::Test]);
        let left = labels.labels.len();
        ensure!(
            left > 0,
            "{} has no rows for testing, so nothing can be measured",
            arguments.labels.display()
        );
        say(format_args!("measured on the test split alone: {left} of {}", plural(all as u64, "row")));
    }
    let metrics = metrics(arguments, classes)?;
    let mut columns = sources
        .iter()
        .map(|source| source.scores(&store, &labels, &mut reference))
        .collect::<anyhow::Result<Vec<ScoredColumn>>>()?;
    if !arguments.probe.is_empty() {
        let tracks: Vec<(&str, &str)> = sources.iter().filter_map(Source::track).collect();
        let learning = Learning {
            store: &store,
            probes: &arguments.probe,
            kind: arguments.features,
            seed: arguments.seed,
            classes,
            folds,
            by: by.first().map(|by| by.column.as_str()),
            training: &seen,
            test: &labels,
        };
        columns.extend(learning.columns(&tracks)?);
    }
    if arguments.common {
        let left = ScoredColumn::keep_common(&mut columns);
        ensure!(left > 0, "no labelled variant is scored by every track");
        say(format_args!("scored by every track: {}", plural(left as u64, "labelled variant")));
    }
    let comparison = Comparison {
        labels: &labels,
        by: by.into_iter().map(|by| by.column).collect(),
        columns: &columns,
        metrics: &metrics,
        threshold: arguments.threshold,
        bootstrap: Bootstrap { resamples: arguments.resamples, seed: arguments.seed },
        classes,
    };
    let text = match arguments.format {
        Format::Json => serde_json::to_string_pretty(&comparison.rows())? + "\n",
        Format::Tsv => tsv(&comparison.rows()),
        Format::Table => table(&comparison.rows()),
    };
    // First, since whoever reads the table may close it.
    if let (Some(path), Some(plot)) = (&arguments.plot, plot) {
        draw(&comparison, path, plot)?;
    }
    stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The folds of a cross-validation, where there is one.
    fn folds(&self) -> Option<u32> {
        let effects = self.features == FeatureKind::Effects && !self.split.are_given();
        self.folds.or(effects.then_some(EFFECT_FOLDS))
    }
}

/// What is measured when nobody says, or whether what was said can be.
fn metrics(arguments: &Arguments, classes: bool) -> anyhow::Result<Vec<Metric>> {
    let possible = |metric: &Metric| {
        (classes || !metric.needs_classes()) && (arguments.threshold.is_some() || !metric.needs_threshold())
    };
    if arguments.metric.is_empty() {
        let suits = |metric: &Metric| possible(metric) && metric.needs_classes() == classes;
        return Ok(Metric::ALL.into_iter().filter(suits).collect());
    }
    match arguments.metric.iter().find(|metric| !possible(metric)) {
        None => Ok(arguments.metric.clone()),
        Some(metric) if metric.needs_classes() && !classes => {
            Err(Usage(format!("{metric} needs labels 0 and 1, or --positive and --negative")).into())
        }
        Some(metric) => Err(Usage(format!("{metric} needs --threshold")).into()),
    }
}

fn group_by(text: &str) -> anyhow::Result<GroupBy> {
    let Some((column, edges)) = text.split_once('=') else {
        return Ok(GroupBy { column: text.to_owned(), edges: Vec::new() });
    };
    let edges: Option<Vec<f64>> = edges.split(',').map(|edge| edge.trim().parse().ok()).collect();
    let rising = |edges: &Vec<f64>| edges.is_sorted_by(|a, b| a < b);
    let edges = edges.filter(rising).ok_or_else(|| {
        Usage(format!("`{text}`: the borders of bins are rising numbers, such as `{column}=100,1000`"))
    })?;
    Ok(GroupBy { column: column.to_owned(), edges })
}

/// Draws the curves of all columns over all variants.
fn draw(comparison: &Comparison<'_>, path: &std::path::Path, file: FigureFile) -> anyhow::Result<()> {
    let mut curves = Vec::new();
    for column in comparison.columns {
        let sample = comparison.sample(column);
        if let Some(found) = sample.and_then(|sample| sample.curves()).filter(|_| comparison.classes) {
            curves.push((column.name.clone(), found));
        }
    }
    ensure!(!curves.is_empty(), "there is no curve to draw: it takes positives and negatives");
    let svg = plot_curves(&curves).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
    file.write(&svg)?;
    say(format_args!("drawn into {}", path.display()));
    Ok(())
}
