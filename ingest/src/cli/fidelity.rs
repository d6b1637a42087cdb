//! `vestore fidelity`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use vestore::{ColumnFidelity, Fidelity, LabelledFidelity, PairedFigure};
use vestore_ingest::{Bootstrap, Labels, Split, fidelity};

use super::labels::LabelArguments;
use super::reference::{RefMismatchArguments, ReferenceArguments};
use super::shared::{ListFormat, grouped, print, writer};
use super::split::SplitArguments;
use super::{Usage, interrupt, plural, say, warn};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("of_labels").multiple(true).requires("labels").args([
    "label", "keys", "positive", "negative", "task", "split_column", "validation", "test", "validation_share",
    "test_share", "split_seed",
])))]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Track to judge, such as one of bf16 or of a pruned model
    track: String,
    /// Track that counts as exact
    reference_track: String,
    /// Compare these score columns, separated by commas; by default the first of each score kind
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    score: Vec<String>,
    /// Also compare how well both separate labelled variants: TSV or CSV with a header, or VCF with the label in
    /// INFO, as for `evaluate`
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    label: LabelArguments,
    #[command(flatten)]
    split: SplitArguments,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1000)]
    resamples: u32,
    /// Random seed of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 0x5eed)]
    seed: u64,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(
        arguments.track != arguments.reference_track,
        Usage(format!("track `{}` cannot be its own reference; expected two tracks", arguments.track))
    );
    interrupt::end_at_once()?;
    let store = arguments.reference.open(&arguments.store)?;
    let labels = labels(arguments, &store)?;
    let bootstrap = Bootstrap { resamples: arguments.resamples, seed: arguments.seed };
    let mut found = fidelity(
        &store,
        &arguments.track,
        &arguments.reference_track,
        &arguments.score,
        labels.as_ref().map(|labels| (labels, bootstrap)),
    )?;
    let name = arguments.labels.as_ref().and_then(|path| path.file_name());
    found.labels = name.map(|name| name.to_string_lossy().into_owned());
    // First, since whoever reads the table may close it; the figures are printed even if they cannot be kept.
    let kept = writer(&store).and_then(|mut writer| writer.put_fidelity(&found));
    match arguments.format {
        ListFormat::Json => print(format_args!("{}", serde_json::to_string_pretty(&found)?))?,
        ListFormat::Table => table(&found)?,
    }
    kept?;
    Ok(ExitCode::SUCCESS)
}

/// The labels, those of the test split where there are splits.
fn labels(arguments: &Arguments, store: &vestore::Store) -> anyhow::Result<Option<Labels>> {
    let Some(path) = &arguments.labels else { return Ok(None) };
    let rules = arguments.label.rules(arguments.ref_mismatch.ref_mismatch)?;
    let split = arguments.split.are_given().then(|| arguments.split.options());
    let mut reference = store.open_reference()?;
    let mut labels = Labels::read(path, &rules, &[], split.as_ref(), store.assembly(), &mut reference)?;
    warn(&labels.counts.warnings);
    say(format_args!("{}: {}", path.display(), labels.counts));
    if split.is_some() {
        let all = plural(labels.labels.len() as u64, "row");
        labels = labels.of(&[Split::Test]);
        say(format_args!("measured on the test split alone: {} of {all}", labels.labels.len()));
    }
    Ok(Some(labels))
}

fn table(found: &Fidelity) -> anyhow::Result<()> {
    print(format_args!("track      {} (id {})", found.track, found.track_id.short()))?;
    print(format_args!("reference  {} (id {})", found.reference, found.reference_id.short()))?;
    print(format_args!(
        "rows       {} in both, {} only in the track, {} only in the reference",
        grouped(found.in_both),
        grouped(found.only_track),
        grouped(found.only_reference)
    ))?;
    for column in &found.columns {
        print(format_args!(""))?;
        column_table(column)?;
    }
    print(format_args!("\nverdict: {}", found.verdict.as_str()))?;
    Ok(())
}

fn column_table(column: &ColumnFidelity) -> anyhow::Result<()> {
    let name = format!("{} ({})", column.column, plural(column.compared, "variant"));
    print(format_args!("{name:<38}{:>10}  {:>9}  {:>9}  verdict", "value", "faithful", "close"))?;
    for criterion in column.criteria() {
        let sign = if criterion.is_least { "≥" } else { "≤" };
        let [faithful, close] = criterion.limits.map(|limit| format!("{sign} {limit}"));
        let verdict = criterion.verdict.as_str();
        let value = number(criterion.value);
        print(format_args!("  {:<36}{value:>10}  {faithful:>9}  {close:>9}  {verdict}", criterion.figure))?;
    }
    for (figure, value) in [
        ("largest difference", column.largest_difference),
        ("99.9th percentile", column.percentile_99_9_difference),
        ("standard deviation", column.standard_deviation),
    ] {
        print(format_args!("  {figure:<36}{:>10}", number(Some(value))))?;
    }
    print(format_args!("  {:<36}{:>10}", "sign changes", grouped(column.sign_changes)))?;
    if let Some(LabelledFidelity { rows, positives, negated, auroc, auprc }) = &column.labelled {
        let sign = if *negated { ", scores negated" } else { "" };
        print(format_args!(
            "  labelled: {}, {} positive{sign}",
            plural(*rows, "variant"),
            grouped(*positives)
        ))?;
        for (figure, PairedFigure { track, reference, difference, low, high }) in
            [("AUROC", auroc), ("AUPRC", auprc)]
        {
            let [low, high] = [low, high].map(|bound| number(*bound));
            print(format_args!(
                "    {figure}: {track:.4}, reference {reference:.4}, difference {difference:+.6} ({low} to {high})"
            ))?;
        }
    }
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"))
}
