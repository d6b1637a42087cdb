//! `vestore diff`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use vestore::{Diff, Output, OutputRules, Store, diff, scatter};

use super::output::inputs;
use super::regions;
use super::shared::{ListFormat, Usage, print, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Baseline track
    #[arg(value_name = "TRACK")]
    first: String,
    /// Track to compare; differences are this track minus the first
    #[arg(value_name = "TRACK")]
    second: String,
    /// Regions to compare, such as `17:43,044,295-43,125,483` (1-based inclusive); everywhere without any
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Compare this score column; by default the first that both tracks have
    #[arg(long, value_name = "COLUMN")]
    score: Option<String>,
    /// Print in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    /// Draw a scatter plot (SVG) too
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
    let plot = arguments.plot.as_deref().map(|path| Output::create(Some(path), &rules)).transpose()?;
    let snapshot = store.snapshot()?;
    let [first, second] =
        [snapshot.track(&arguments.first)?, snapshot.track(&arguments.second)?].map(|track| &track.columns);
    let Some(column) =
        arguments.score.clone().or_else(|| first.iter().find(|name| second.contains(name)).cloned())
    else {
        return Err(Usage(format!(
            "the tracks have no score column in common: {} and {}",
            first.join(", "),
            second.join(", ")
        ))
        .into());
    };
    let found = diff(&store, [&arguments.first, &arguments.second], &column, &regions)?;
    match arguments.format {
        ListFormat::Json => print(format_args!("{}", serde_json::to_string_pretty(&found)?))?,
        ListFormat::Table => table(&found)?,
    }
    if let (Some(path), Some(mut plot)) = (&arguments.plot, plot) {
        plot.write_all(scatter(&found).as_bytes())?;
        plot.finish()?;
        say(format_args!("plot written to {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(diff: &Diff) -> anyhow::Result<()> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
    let [first, second] = &diff.tracks;
    let lines = [
        ("score", diff.column.clone()),
        ("rows in both", diff.in_both.to_string()),
        ("rows only in the first", format!("{}  ({first})", diff.only[0])),
        ("rows only in the second", format!("{}  ({second})", diff.only[1])),
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
    ];
    for (name, value) in lines {
        print(format_args!("{name:<26}{value}"))?;
    }
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
