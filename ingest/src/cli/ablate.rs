//! `vestore ablate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use vestore::{FigureFile, OutputRules, Store};
use vestore_ingest::{Figure, Summary, plot, summarize};

use super::interrupt;
use super::score::execute;
use super::scoring::{Scoring, Task};
use super::shared::{ListFormat, Usage, print, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Ablate this model of the store
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    scoring: Scoring,
    /// Remove this part of each layer: block, attention or mlp
    #[arg(long, value_name = "PART", default_value = "block")]
    part: String,
    /// Summarize the ablation of --track: the effect of each layer on a score
    #[arg(long, requires = "track", conflicts_with_all = ["model", "variants", "region", "bed"])]
    summary: bool,
    /// Summarize this score; by default the first of the track
    #[arg(long, value_name = "NAME", requires = "summary")]
    column: Option<String>,
    /// Print the summary in this format
    #[arg(long, value_enum, default_value_t = ListFormat::Table, requires = "summary")]
    format: ListFormat,
    /// Draw the summary too: an SVG or PNG, by the extension of the file
    #[arg(long, value_name = "FILE", requires = "summary")]
    plot: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let (true, Some(track)) = (arguments.summary, &arguments.scoring.track) {
        return summarize_track(arguments, track);
    }
    let Some(model) = arguments.model.as_deref().filter(|_| arguments.scoring.names_variants()) else {
        let needed = "ablate needs --model and one of --variants, --region, --bed; or --track and --summary";
        return Err(Usage(needed.to_owned()).into());
    };
    execute(&arguments.store, model, &arguments.scoring, Task::Ablate { part: &arguments.part })
}

fn summarize_track(arguments: &Arguments, name: &str) -> anyhow::Result<ExitCode> {
    interrupt::end_at_once()?;
    let store = Store::open(&arguments.store)?;
    let inputs = [store.reference()];
    let rules = OutputRules { force: arguments.scoring.force, inputs: &inputs };
    let drawing = arguments.plot.as_deref().map(|path| FigureFile::create(path, &rules)).transpose()?;
    let snapshot = store.snapshot()?;
    let summary = summarize(&store, snapshot.track(name)?, arguments.column.as_deref())?;
    let text = match arguments.format {
        ListFormat::Json => serde_json::to_string_pretty(&summary)?,
        ListFormat::Table => table(&summary),
    };
    print(format_args!("{text}"))?;
    if let (Some(path), Some(drawing)) = (&arguments.plot, drawing) {
        let svg = plot(&summary).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
        drawing.write(&svg)?;
        say(format_args!("drawn into {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A line per layer, with 95 % intervals behind the figures.
fn table(summary: &Summary) -> String {
    let figure = |figure: Option<Figure>, digits: usize| {
        figure.map_or("-".to_owned(), |Figure { value, low, high }| {
            format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
        })
    };
    let plain = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let mut lines = vec![
        [
            "layer",
            "mean change",
            "spread",
            "mean |change|",
            "spearman",
            "top 1 %",
            "top 5 %",
            "influence",
            "angle",
        ]
        .map(str::to_owned),
    ];
    lines.extend(summary.layers.iter().map(|layer| {
        let figures = &layer.figures;
        [
            layer.layer.to_string(),
            figure(figures.mean_change, 4),
            figure(figures.spread, 4),
            figure(figures.mean_magnitude, 4),
            figure(figures.spearman, 3),
            figure(figures.top_1_percent, 2),
            figure(figures.top_5_percent, 2),
            plain(layer.block_influence),
            plain(layer.angular_distance),
        ]
    }));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let left_out = match summary.left_out {
        0 => String::new(),
        count => format!(", {count} without that score left out"),
    };
    let mut text = format!(
        "track {}, {}, without the {} of each layer: {} variants{left_out}",
        summary.track, summary.column, summary.part, summary.variants
    );
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        text.push('\n');
        text.push_str(&cells.join("  "));
    }
    text
}
