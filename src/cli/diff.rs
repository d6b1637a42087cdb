//! `vestore diff`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::{Diff, EffectDiffs, FigureFile, OutputRules, Store, StoreError, diff, scatter};
use vestore_schema::Track;

use super::output::inputs;
use super::query::told;
use super::regions;
use super::shared::{ListFormat, Usage, print, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// Baseline track
    #[arg(value_name = "TRACK")]
    first: String,
    /// Track to compare; differences are this track minus the first
    #[arg(value_name = "TRACK")]
    second: String,
    /// Regions to compare, such as `17:43,044,295-43,125,483` (1-based inclusive) or `BRCA1`; everywhere without any
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Compare this score column, or with --target this kind of effect, such as `log_sum`; by default the first that
    /// both tracks have
    #[arg(long, value_name = "COLUMN|KIND")]
    score: Option<String>,
    /// Compare the effects on targets whose name matches, where `*` matches any letters and `?` one, instead of scores:
    /// one line per target. May be repeated
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["plot", "force"])]
    target: Vec<String>,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    /// Draw a scatter plot too: an SVG or PNG, by the extension of the file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Overwrite the plot if it exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let regions = regions(&arguments.regions, &store)?;
    let inputs = inputs(&store, []);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let plot = arguments.plot.as_deref().map(|path| FigureFile::create(path, &rules)).transpose()?;
    let snapshot = store.snapshot()?;
    let tracks = [snapshot.track(&arguments.first)?, snapshot.track(&arguments.second)?];
    if !arguments.target.is_empty() {
        if let Some(track) = tracks.iter().find(|track| track.effect_columns.is_empty()) {
            return Err(Usage(format!("track {} has no effects on targets", track.name)).into());
        }
        let kind = common(arguments, tracks.map(|track: &Track| &track.effect_columns), "kind of effect")?;
        let names = tracks.map(|track| track.name.as_str());
        let found = EffectDiffs::new(&store, names, &kind, &arguments.target, &regions).map_err(told)?;
        by_target(arguments.format, found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let column = common(arguments, tracks.map(|track| &track.columns), "score column")?;
    let found = diff(&store, [&arguments.first, &arguments.second], &column, &regions)?;
    match arguments.format {
        ListFormat::Json => print(format_args!("{}", serde_json::to_string_pretty(&found)?))?,
        ListFormat::Table => table(&found)?,
    }
    if let (Some(path), Some(plot)) = (&arguments.plot, plot) {
        plot.write(&scatter(&found))?;
        say(format_args!("plot written to {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was asked to be compared, or the first that both tracks have.
fn common(arguments: &Arguments, [first, second]: [&Vec<String>; 2], what: &str) -> anyhow::Result<String> {
    let common = || first.iter().find(|name| second.contains(name)).cloned();
    arguments.score.clone().or_else(common).ok_or_else(|| {
        let (first, second) = (first.join(", "), second.join(", "));
        Usage(format!("the tracks have no {what} in common: {first} and {second}")).into()
    })
}

/// Prints comparisons as they are made.
fn by_target(
    format: ListFormat,
    found: impl Iterator<Item = Result<Diff, StoreError>>,
) -> anyhow::Result<()> {
    for (number, diff) in found.enumerate() {
        let (diff, first) = (diff?, number == 0);
        match format {
            ListFormat::Json => {
                print(format_args!("{}{}", if first { "[" } else { "," }, serde_json::to_string(&diff)?))?;
            }
            ListFormat::Table => {
                if first {
                    lines(&head("kind of effect", &diff))?;
                    let names = figures(&diff).map(|(name, _)| format!("  {name}"));
                    print(format_args!("{:<20}{}", "target", names.concat()))?;
                }
                let values = figures(&diff).map(|(name, value)| format!("  {value:>0$}", name.len()));
                print(format_args!("{:<20}{}", diff.target.as_deref().unwrap_or_default(), values.concat()))?;
            }
        }
    }
    if format == ListFormat::Json {
        print(format_args!("]"))?;
    }
    Ok(())
}

/// What is compared, and how many rows there are.
fn head(what: &'static str, diff: &Diff) -> [(&'static str, String); 4] {
    let [first, second] = &diff.tracks;
    [
        (what, diff.column.clone()),
        ("rows in both", diff.in_both.to_string()),
        ("rows only in the first", format!("{}  ({first})", diff.only[0])),
        ("rows only in the second", format!("{}  ({second})", diff.only[1])),
    ]
}

fn figures(diff: &Diff) -> [(&'static str, String); 10] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
    [
        ("scored in both", diff.compared.to_string()),
        ("Pearson", number(diff.pearson)),
        ("Spearman", number(diff.spearman)),
        ("mean difference", number(Some(diff.mean_difference))),
        ("mean absolute difference", number(Some(diff.mean_absolute_difference))),
        ("largest difference", number(Some(f64::from(diff.largest_difference)))),
        ("99.9th percentile", number(Some(diff.percentile_99_9_difference))),
        ("sign changes", diff.sign_changes.to_string()),
        ("overlap of the top 1 %", number(diff.top_1_percent_overlap)),
        ("overlap of the top 5 %", number(diff.top_5_percent_overlap)),
    ]
}

fn lines(lines: &[(&str, String)]) -> std::io::Result<()> {
    lines.iter().try_for_each(|(name, value)| print(format_args!("{name:<26}{value}")))
}

fn table(diff: &Diff) -> anyhow::Result<()> {
    lines(&head("score", diff))?;
    lines(&figures(diff))?;
    if !diff.movers.is_empty() {
        print(format_args!("biggest movers"))?;
    }
    for mover in &diff.movers {
        let [a, b] = mover.scores;
        let place = format!("{}-{}-{}-{}", mover.contig, mover.one_based, mover.reference, mover.alternate);
        print(format_args!("  {place:<30}  {a:>12.6}  {b:>12.6}  {:>+12.6}", b - a))?;
    }
    Ok(())
}
