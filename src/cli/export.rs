//! `vestore export`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use vestore::{
    EffectOptions, FileForm, FileFormat, FormError, Format, Output, OutputFolder, OutputRules, PositionValue,
    QueryPlan, Request, TextFormat, hive_contents, index_ending, write_bedgraph, write_bigwig, write_hive,
    write_indexed_text, write_rows, write_text,
};
use vestore_schema::Table;

use super::output::{Text, inputs};
use super::query::told;
use super::shared::{Usage, one_of, plural, say};
use super::{ReadArguments, regions};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    #[command(flatten)]
    reading: ReadArguments,
    /// Regions to export, such as `17:43,044,295-43,125,483` (1-based inclusive); all rows without any
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Write in this format; by default the extension of -o decides
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// Export only this track; may be repeated
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// Write this score column to bedgraph and bigwig, or with --target this kind of effect, such as `log_sum`; by
    /// default the first of the track
    #[arg(long, value_name = "COLUMN|KIND")]
    score: Option<String>,
    /// Write the effects on this target of a regulatory model to bedgraph or bigwig, instead of a score; `*` matches any
    /// letters and `?` one, as long as only one target matches
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Summarize the alleles of a position in bedgraph and bigwig by the value of largest absolute size, or by the mean
    #[arg(long, default_value = "extreme", value_parser = one_of(&PositionValue::ALL, PositionValue::as_str))]
    value: PositionValue,
    /// Write to this file; `-` writes to stdout (Arrow as a stream). `.gz` and `.bgz` compress text (BGZF) and index tsv
    /// and vcf for tabix; with parquet, a folder or a name that ends in `/` becomes a Hive-partitioned folder
    #[arg(short, value_name = "PATH")]
    output: PathBuf,
    /// Overwrite the file if it exists, or the folder if it contains only an export
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    Arrow,
    Parquet,
    Tsv,
    Vcf,
    Bedgraph,
    Bigwig,
}

impl ExportFormat {
    fn named(format: FileFormat) -> Option<Self> {
        Some(match format {
            FileFormat::Arrow => Self::Arrow,
            FileFormat::Parquet => Self::Parquet,
            FileFormat::Tsv => Self::Tsv,
            FileFormat::Vcf => Self::Vcf,
            FileFormat::Bedgraph => Self::Bedgraph,
            FileFormat::Bigwig => Self::Bigwig,
            FileFormat::Csv | FileFormat::Json | FileFormat::Bcf | FileFormat::Xlsx => return None,
        })
    }

    fn file_format(self) -> FileFormat {
        match self {
            Self::Arrow => FileFormat::Arrow,
            Self::Parquet => FileFormat::Parquet,
            Self::Tsv => FileFormat::Tsv,
            Self::Vcf => FileFormat::Vcf,
            Self::Bedgraph => FileFormat::Bedgraph,
            Self::Bigwig => FileFormat::Bigwig,
        }
    }
}

/// The format that was asked for by option or by name, and whether it is compressed.
fn form(arguments: &Arguments) -> anyhow::Result<(ExportFormat, bool)> {
    let path = arguments.output.as_path();
    if let Some(asked) = arguments.format {
        return Ok((asked, FileForm::with_format(path, asked.file_format())?.compressed));
    }
    let form = FileForm::of(path)?;
    match form.format.and_then(ExportFormat::named) {
        Some(format) => Ok((format, form.compressed)),
        None => Err(FormError::unknown(path, |format| ExportFormat::named(format).is_some()).into()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (format, zipped) = form(arguments)?;
    let store = arguments.reading.open(&arguments.store)?;
    let regions = regions(&arguments.regions, &store)?;
    let by_position = matches!(format, ExportFormat::Bedgraph | ExportFormat::Bigwig);
    if arguments.target.is_some() && !by_position {
        let why =
            "--target is for bedgraph and bigwig; `vestore query --effects` prints effects in other formats";
        return Err(Usage(why.to_owned()).into());
    }
    let table = if arguments.target.is_some() { Table::Effects } else { Table::Scores };
    let request = Request { regions, tracks: arguments.track.clone(), table, ..Request::default() };
    let plan = QueryPlan::new(&store, &request)?;
    let path = arguments.output.as_path();
    let inputs = inputs(&store, []);
    let rules = OutputRules { force: arguments.force, inputs: &inputs };
    let create = || Output::create(Some(path), &rules);
    match format {
        ExportFormat::Arrow | ExportFormat::Parquet => {
            let folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
            if format == ExportFormat::Parquet && folder {
                return hive(&plan, path, &rules);
            }
            let format = match format {
                ExportFormat::Parquet => Format::Parquet,
                _ if path.as_os_str() == "-" => Format::ArrowStream,
                _ => Format::ArrowFile,
            };
            let mut output = create()?;
            output.refuse_terminal(if format == Format::Parquet { "Parquet" } else { "Arrow" })?;
            let rows = write_rows(format, plan.schema(), plan.rows(), &mut output)?;
            output.finish()?;
            say(format_args!("{} written to {}", plural(rows, "row"), path.display()));
            return Ok(ExitCode::SUCCESS);
        }
        ExportFormat::Tsv | ExportFormat::Vcf => {
            let format = if format == ExportFormat::Tsv { TextFormat::Tsv } else { TextFormat::Vcf };
            let mut output = create()?;
            if zipped {
                let index = beside(path, index_ending(store.assembly()), &rules)?;
                let bytes = write_indexed_text(format, &plan, &mut output)?;
                finish(output, index, &bytes)?;
            } else {
                write_text(format, &plan, &mut output)?;
                output.finish()?;
            }
        }
        ExportFormat::Bedgraph | ExportFormat::Bigwig => {
            write_by_position(arguments, (format, zipped), plan, &rules)?;
        }
    }
    say(format_args!("written to {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes a format that holds one value per position.
fn write_by_position(
    arguments: &Arguments,
    (format, zipped): (ExportFormat, bool),
    mut plan: QueryPlan,
    rules: &OutputRules<'_>,
) -> anyhow::Result<()> {
    let tracks = Arc::clone(&plan.tracks);
    let [track] = &tracks[..] else {
        let names: Vec<&str> = tracks.iter().map(|track| track.name.as_str()).collect();
        return Err(Usage(format!(
            "this format holds one track; choose one with --track, of {}",
            names.join(", ")
        ))
        .into());
    };
    let (columns, what) = match arguments.target {
        Some(_) => (track.effect_columns.clone(), "kind of effect"),
        None => (track.scores().map(|(column, _)| column).collect(), "score column"),
    };
    let Some(column) = arguments.score.as_ref().or(columns.first()) else {
        return Err(Usage(format!("track {} has no {what}", track.name)).into());
    };
    if !columns.contains(column) {
        let known = columns.join(", ");
        return Err(Usage(format!("track {} has no {what} `{column}`; it has {known}", track.name)).into());
    }
    if let Some(target) = &arguments.target {
        plan = on_target(plan, target)?;
    }
    let value = arguments.value;
    let path = arguments.output.as_path();
    if format == ExportFormat::Bedgraph {
        let mut output = Text::new(Output::create(Some(path), rules)?, zipped);
        write_bedgraph(&plan, column, value, &mut output)?;
        return Ok(output.finish()?);
    }
    if path.as_os_str() == "-" {
        return Err(Usage("bigwig cannot be written to a pipe; name a file with -o".to_owned()).into());
    }
    let mut output = Output::create(Some(path), rules)?;
    // bigWig has no room for it.
    let about = beside(path, ".json", rules)?;
    write_bigwig(&plan, column, value, &mut output)?;
    let mut described = serde_json::json!({ "track": track, "column": column });
    if let [target] = plan.chosen_targets() {
        described["target"] = target.as_str().into();
    }
    finish(output, about, serde_json::to_string_pretty(&described)?.as_bytes())
}

/// The effects on the one target that `pattern` matches.
fn on_target(plan: QueryPlan, pattern: &str) -> anyhow::Result<QueryPlan> {
    let options = EffectOptions { targets: vec![pattern.to_owned()], ..EffectOptions::default() };
    let plan = plan.with_effects(&options).map_err(told)?;
    match plan.chosen_targets() {
        [_, second, ..] => {
            let (count, first) = (plan.chosen_targets().len(), &plan.chosen_targets()[0]);
            Err(Usage(format!("`{pattern}` matches {count} targets, such as {first} and {second}; name one"))
                .into())
        }
        _ => Ok(plan),
    }
}

/// Writes a folder that appears under its name only when it is whole.
fn hive(plan: &QueryPlan, path: &Path, rules: &OutputRules<'_>) -> anyhow::Result<ExitCode> {
    let output = OutputFolder::create(path, rules, hive_contents)?;
    let rows = write_hive(plan, &plan.store().snapshot()?.models, output.folder())?;
    output.finish()?;
    say(format_args!("{} written to {}", plural(rows, "row"), path.display()));
    Ok(ExitCode::SUCCESS)
}

/// The file beside `path` that belongs to it, opened before any work is done.
fn beside(path: &Path, ending: &str, rules: &OutputRules<'_>) -> anyhow::Result<Output> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    Ok(Output::create(Some(Path::new(&name)), rules)?)
}

/// Names an output and then what belongs beside it: an index is never older than its file.
fn finish(output: Output, mut beside: Output, bytes: &[u8]) -> anyhow::Result<()> {
    beside.write_all(bytes)?;
    output.finish()?;
    Ok(beside.finish()?)
}
