//! `vestore export`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use vestore::{
    EffectOptions, FileForm, FileFormat, FormError, Format, HubOptions, Output, OutputFolder, OutputRules,
    PositionValue, QueryPlan, Request, TextFormat, browser_contents, hive_contents, index_ending,
    write_alternates, write_bedgraph, write_bigbed, write_bigwig, write_hive, write_hub, write_indexed_text,
    write_rows, write_text,
};
use vestore_schema::{Table, Track};

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
    /// Regions to export, such as `17:43,044,295-43,125,483` (1-based inclusive) or `BRCA1`; all rows without any
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// Write in this format; by default the extension of -o decides
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// Export only this track; may be repeated
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// Write this score column to bedgraph, bigwig and bigbed, or with --target this kind of effect, such as `log_sum`;
    /// by default the first of the track. In a hub, by default all score columns
    #[arg(long, value_name = "COLUMN|KIND")]
    score: Option<String>,
    /// Write the effects on this target of a regulatory model to bedgraph, bigwig or bigbed, instead of a score; `*`
    /// matches any letters and `?` one, as long as only one target matches
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Summarize the alleles of a position in bedgraph and bigwig by the value of largest absolute size, or by the mean
    #[arg(long, default_value = "extreme", value_parser = one_of(&PositionValue::ALL, PositionValue::as_str))]
    value: PositionValue,
    /// Write one bigwig of a value per position, or a folder of four, one for each alternate base of SNVs
    #[arg(long, value_enum, default_value = "position")]
    by: By,
    /// Write this contact to hub.txt; UCSC requires it
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Name the genome of a hub as UCSC and IGV do, such as `hg38`; by default from the store's assembly name
    #[arg(long, value_name = "NAME")]
    genome: Option<String>,
    /// Write to this file; `-` writes to stdout (Arrow as a stream). `.gz` and `.bgz` compress text (BGZF) and index tsv
    /// and vcf for tabix; with parquet, a folder or a name that ends in `/` becomes a Hive-partitioned folder; a folder
    /// with --format hub and --by alternate
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
    Bigbed,
    Hub,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Position,
    Alternate,
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
            FileFormat::Bigbed => Self::Bigbed,
            FileFormat::Csv | FileFormat::Json | FileFormat::Bcf | FileFormat::Xlsx => return None,
        })
    }

    /// The format of its file; none of a folder.
    fn file_format(self) -> Option<FileFormat> {
        Some(match self {
            Self::Arrow => FileFormat::Arrow,
            Self::Parquet => FileFormat::Parquet,
            Self::Tsv => FileFormat::Tsv,
            Self::Vcf => FileFormat::Vcf,
            Self::Bedgraph => FileFormat::Bedgraph,
            Self::Bigwig => FileFormat::Bigwig,
            Self::Bigbed => FileFormat::Bigbed,
            Self::Hub => return None,
        })
    }

    /// Whether it is of one track and score.
    fn is_of_one_score(self) -> bool {
        matches!(self, Self::Bedgraph | Self::Bigwig | Self::Bigbed)
    }
}

/// The format that was asked for by option or by name, and whether it is compressed.
fn form(arguments: &Arguments) -> anyhow::Result<(ExportFormat, bool)> {
    let path = arguments.output.as_path();
    if let Some(asked) = arguments.format {
        let Some(format) = asked.file_format() else { return Ok((asked, false)) };
        return Ok((asked, FileForm::with_format(path, format)?.compressed));
    }
    let form = FileForm::of(path)?;
    match form.format.and_then(ExportFormat::named) {
        Some(format) => Ok((format, form.compressed)),
        None => Err(FormError::unknown(path, |format| ExportFormat::named(format).is_some()).into()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (format, zipped) = form(arguments)?;
    check(arguments, format)?;
    let store = arguments.reading.open(&arguments.store)?;
    let regions = regions(&arguments.regions, &store)?;
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
        ExportFormat::Bedgraph | ExportFormat::Bigwig | ExportFormat::Bigbed => {
            write_score(arguments, (format, zipped), plan, &rules)?;
        }
        ExportFormat::Hub => hub(arguments, &plan, &request, &rules)?,
    }
    say(format_args!("written to {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Refuses flags that the format does not have.
fn check(arguments: &Arguments, format: ExportFormat) -> anyhow::Result<()> {
    let usage = |why: &str| Err(Usage(why.to_owned()).into());
    if arguments.target.is_some() && !format.is_of_one_score() {
        return usage(
            "--target is for bedgraph, bigwig and bigbed; `vestore query --effects` prints effects in other formats",
        );
    }
    if arguments.by == By::Alternate && format != ExportFormat::Bigwig {
        return usage("--by alternate is for bigwig; leave it out, or add --format bigwig");
    }
    let by_position =
        matches!(format, ExportFormat::Bedgraph | ExportFormat::Bigwig) && arguments.by == By::Position;
    if !by_position && arguments.value != PositionValue::default() {
        return usage(
            "--value is for one value per position: bedgraph, and bigwig by position; leave it out",
        );
    }
    if format != ExportFormat::Hub && (arguments.email.is_some() || arguments.genome.is_some()) {
        return usage("--email and --genome are for track hubs; leave them out, or add --format hub");
    }
    Ok(())
}

/// A column of `track` that was asked for, or its first.
fn column(track: &Track, asked: Option<&String>, of_target: bool) -> anyhow::Result<String> {
    let (columns, what): (Vec<String>, _) = if of_target {
        (track.effect_columns.clone(), "kind of effect")
    } else {
        (track.scores().map(|(column, _)| column).collect(), "score column")
    };
    let Some(column) = asked.or(columns.first()) else {
        return Err(Usage(format!("track {} has no {what}", track.name)).into());
    };
    if !columns.contains(column) {
        let known = columns.join(", ");
        return Err(Usage(format!("track {} has no {what} `{column}`; it has {known}", track.name)).into());
    }
    Ok(column.clone())
}

/// Writes a format that holds one score of one track.
fn write_score(
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
    let column = column(track, arguments.score.as_ref(), arguments.target.is_some())?;
    let column = column.as_str();
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
        return Err(Usage("this format cannot be written to a pipe; name a file with -o".to_owned()).into());
    }
    if arguments.by == By::Alternate {
        let output = OutputFolder::create(path, rules, browser_contents)?;
        let others = write_alternates(&plan, column, output.folder())?;
        output.finish()?;
        left_out(others);
        return Ok(());
    }
    let mut output = Output::create(Some(path), rules)?;
    // The format has no room for it.
    let about = beside(path, ".json", rules)?;
    if format == ExportFormat::Bigbed {
        left_out(write_bigbed(&plan, column, &mut output)?);
    } else {
        write_bigwig(&plan, column, value, &mut output)?;
    }
    let mut described = serde_json::json!({ "track": track, "column": column });
    if let [target] = plan.chosen_targets() {
        described["target"] = target.as_str().into();
    }
    finish(output, about, serde_json::to_string_pretty(&described)?.as_bytes())
}

/// Writes a folder for the UCSC Genome Browser and IGV.
fn hub(
    arguments: &Arguments,
    plan: &QueryPlan,
    request: &Request,
    rules: &OutputRules<'_>,
) -> anyhow::Result<()> {
    let path = arguments.output.as_path();
    if path.as_os_str() == "-" {
        return Err(Usage("a hub cannot be written to a pipe; name a folder with -o".to_owned()).into());
    }
    let Some(email) = &arguments.email else {
        let why = "a track hub needs a contact, which UCSC requires; give it with --email ADDRESS";
        return Err(Usage(why.to_owned()).into());
    };
    let plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if !(email.contains('@') && email.chars().all(plain)) {
        return Err(Usage(format!("invalid address `{email}`; expected one such as lab@example.org")).into());
    }
    let mut plans = Vec::new();
    for track in plan.tracks.iter() {
        let columns = match &arguments.score {
            None => track.columns.clone(),
            asked => vec![column(track, asked.as_ref(), false)?],
        };
        let request = Request { tracks: vec![track.name.clone()], ..request.clone() };
        plans.push((QueryPlan::new(plan.store(), &request)?, columns));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let name: String = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    let name = if name.is_empty() { "vestore".to_owned() } else { name };
    let options = HubOptions { name, email: email.clone(), genome: arguments.genome.clone() };
    let output = OutputFolder::create(path, rules, browser_contents)?;
    let written = write_hub(&plans, &options, output.folder())?;
    output.finish()?;
    left_out(written.others);
    if written.unnamed > 0 {
        let contigs = plural(written.unnamed as u64, "contig");
        say(format_args!("{contigs} kept their names, under which UCSC may not show them"));
    }
    say(format_args!(
        "{} of {}",
        plural(written.scores as u64, "score"),
        plural(plans.len() as u64, "track")
    ));
    Ok(())
}

/// Reports variants that a format of SNVs does not hold.
fn left_out(others: u64) {
    if others > 0 {
        say(format_args!("{} skipped: not an SNV", plural(others, "scored variant")));
    }
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
