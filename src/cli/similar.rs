//! `vestore similar`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::{
    Compared, Nearness, Output, OutputRules, Places, SimilarError, SimilarOptions, StoreError, similar,
};

use super::ReadArguments;
use super::output::{Text, inputs};
use super::places::one_variant;
use super::query::{QueryFormat, form, write_as};
use super::reference_arguments::ReferenceArguments;
use super::shared::{Usage, grouped, misplaced, one_of, plural, say, warn};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    #[command(flatten)]
    reading: ReadArguments,
    /// A variant such as `17-43044295-G-A`, a genomic HGVS name or an rsID
    variant: String,
    /// Compare embeddings of this track; by default of the only one that has some
    #[arg(long, value_name = "NAME")]
    track: Option<String>,
    /// Print the N nearest variants
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Compare these embeddings: alternate − reference, or the reference window's
    #[arg(long, value_name = "KIND", default_value = "delta", value_parser = one_of(&Compared::ALL, Compared::as_str))]
    by: Compared,
    /// Compare by the cosine of the angle or by the Euclidean distance
    #[arg(long, value_name = "NAME", default_value = "cosine", value_parser = one_of(&Nearness::ALL, Nearness::as_str))]
    metric: Nearness,
    /// Print what this VCF, TSV or CSV file of labelled variants says of each neighbour
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Read labels from this INFO field or column
    #[arg(long, value_name = "NAME", default_value = "label", requires = "labels")]
    label: String,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Write in this format; by default the extension of -o decides, else a table
    #[arg(long, value_enum)]
    format: Option<QueryFormat>,
    /// Write to this file instead of stdout. Its extension selects the format; `.gz` and `.bgz` compress text (BGZF)
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file of -o if it exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let output = arguments.output.as_deref();
    let (format, compressed) = form(arguments.format, output)?;
    if format == QueryFormat::Vcf {
        return Err(Usage(
            "neighbours have no VCF form; expected table, tsv, csv, json, arrow, parquet or xlsx".to_owned(),
        )
        .into());
    }
    let store = arguments.reference.apply(arguments.reading.open(&arguments.store)?);
    let inputs = inputs(&store, [arguments.labels.as_deref()]);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let out = Output::create(output, &rules)?;
    format.refuse_terminal(&out)?;
    let mut places = Places::default();
    places.add(&store, &arguments.variant).map_err(misplaced)?;
    let variant = one_variant(&places, &store, &arguments.variant)?;
    let options = SimilarOptions {
        track: arguments.track.clone(),
        by: arguments.by,
        metric: arguments.metric,
        top: arguments.top,
        labels: arguments.labels.clone().map(|path| (path, arguments.label.clone())),
    };
    let found = similar(&store, variant, &options).map_err(told)?;
    warn(&found.warnings);
    let (schema, rows) = (found.rows.schema(), found.rows.clone());
    let rows = std::iter::once(Ok::<_, StoreError>(rows)).filter(|_| found.rows.num_rows() > 0);
    write_as(format, output, &schema, rows, Text::new(out, compressed))?;
    let left_out = match found.left_out {
        0 => String::new(),
        count => format!(
            ", {} without an embedding or a defined {} left out",
            grouped(count),
            arguments.metric.as_str()
        ),
    };
    say(format_args!(
        "{} of track {} compared by {} {}{left_out}",
        plural(found.compared, "variant"),
        found.track,
        arguments.by.as_str(),
        arguments.metric.as_str()
    ));
    Ok(ExitCode::SUCCESS)
}

fn told(error: SimilarError) -> anyhow::Error {
    match error {
        SimilarError::Store(error) => error.into(),
        SimilarError::Labels(error) => error.into(),
        SimilarError::Reference(error) => error.into(),
        error if error.is_usage() => Usage(error.to_string()).into(),
        error => error.into(),
    }
}
