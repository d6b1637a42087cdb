//! `vestore view`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vestore::{FigureFile, Output, OutputRules, Places, View, ViewError, ViewOptions};

use super::ReadArguments;
use super::output::inputs;
use super::query::unanswered;
use super::reference_arguments::{RefMismatchArguments, ReferenceArguments};
use super::shared::{Usage, misplaced, plural, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    #[command(flatten)]
    reading: ReadArguments,
    /// Region such as `17:43,044,295-43,125,483` (1-based inclusive), gene such as `BRCA1` (`vestore genes add`), or
    /// variants such as `17-43044295-G-A`, which are shown with 50 bases on each side
    #[arg(value_name = "REGION|VARIANT|GENE", required = true)]
    places: Vec<String>,
    /// Show this track; may be repeated. By default all that have rows there
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// Show these score columns; by default the first of each score kind
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    score: Vec<String>,
    /// Mark the variants of a VCF by their CLNSIG field (ClinVar), else by their ID
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Draw the genes of a GTF or another gene table, or of a table that the store keeps, by its name or digest; by
    /// default those of the first table that the store keeps
    #[arg(long, value_name = "FILE|NAME")]
    genes: Option<PathBuf>,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Write the page to this file, which ends in .html; `-` is stdout
    #[arg(short, value_name = "FILE", required_unless_present = "figure")]
    output: Option<PathBuf>,
    /// Write the heatmap as a figure for print to this file, which ends in .svg or .png
    #[arg(long = "static", value_name = "FILE", id = "figure")]
    figure: Option<PathBuf>,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    is_page(arguments.output.as_deref())?;
    let store = arguments.reference.apply(arguments.reading.open(&arguments.store)?);
    let inputs = inputs(&store, [arguments.labels.as_deref(), arguments.genes.as_deref()]);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let page = arguments.output.as_deref().map(|path| Output::create(Some(path), &rules)).transpose()?;
    let figure = arguments.figure.as_deref().map(|path| FigureFile::create(path, &rules)).transpose()?;
    let mut places = Places::default();
    for text in &arguments.places {
        places.add(&store, text).map_err(misplaced)?;
    }
    let options = ViewOptions {
        places,
        tracks: arguments.track.clone(),
        scores: arguments.score.clone(),
        labels: arguments.labels.clone(),
        genes: arguments.genes.clone(),
        ref_mismatch: arguments.ref_mismatch.ref_mismatch,
    };
    let view = View::new(&store, &options).map_err(unseen)?;
    for remark in &view.remarks {
        say(format_args!("remark: {remark}"));
    }
    if let Some(mut page) = page {
        view.write_page(&mut page)?;
        page.finish()?;
    }
    if let Some(figure) = figure {
        figure.write(&view.figure())?;
    }
    let variants = plural(view.variants() as u64, "variant");
    say(format_args!("{variants} of {}", plural(view.tracks().len() as u64, "track")));
    Ok(ExitCode::SUCCESS)
}

/// Refuses a file whose name says that it is something else.
fn is_page(path: Option<&Path>) -> Result<(), Usage> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else { return Ok(()) };
    let named = path
        .extension()
        .is_some_and(|ending| ["html", "htm"].iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let device = path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
    if named || device {
        return Ok(());
    }
    Err(Usage(format!("unknown extension of -o: `{}`; expected a name that ends in .html", path.display())))
}

/// What was asked for wrongly is a mistake of the command line.
fn unseen(error: ViewError) -> anyhow::Error {
    match error {
        ViewError::Question(error) => unanswered(error),
        error @ (ViewError::SeveralContigs | ViewError::NotAScore { .. }) => Usage(error.to_string()).into(),
        error => error.into(),
    }
}
