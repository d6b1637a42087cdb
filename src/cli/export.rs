//! `vestore export`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use vestore::{
    Format, PositionValue, QueryPlan, Request, Store, TextFormat, write_bedgraph, write_bigwig, write_hive,
    write_indexed_text, write_rows, write_text,
};

use super::output::{Output, say};
use super::{Usage, regions};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Regions such as `17:43,044,295-43,125,483`, 1-based inclusive; without any, all rows
    #[arg(value_name = "REGION")]
    regions: Vec<String>,
    /// How rows are written
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// Only this track; may be repeated
    #[arg(long, value_name = "NAME")]
    track: Vec<String>,
    /// The score column of bedgraph and bigwig; the track's first without it
    #[arg(long, value_name = "COLUMN")]
    score: Option<String>,
    /// What stands for the alleles of one position in bedgraph and bigwig: the value of largest absolute
    /// size, or the mean
    #[arg(long, value_enum, default_value_t = Value::Extreme)]
    value: Value,
    /// The file to write; `-` is stdout (Arrow goes there as a stream). tsv and vcf are compressed and
    /// indexed for tabix when it ends in `.gz`; parquet becomes a Hive-partitioned folder when it is a
    /// folder or ends in `/`
    #[arg(short, value_name = "PATH")]
    output: PathBuf,
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum Value {
    Extreme,
    Mean,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let regions = regions(&arguments.regions, &store)?;
    let request = Request { regions, tracks: arguments.track.clone(), ..Request::default() };
    let plan = QueryPlan::new(&store, &request)?;
    let path = arguments.output.as_path();
    let zipped = path.extension().is_some_and(|ending| ending == "gz");
    match arguments.format {
        ExportFormat::Arrow | ExportFormat::Parquet => {
            let folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
            if arguments.format == ExportFormat::Parquet && folder {
                return hive(&plan, path);
            }
            let format = match arguments.format {
                ExportFormat::Parquet => Format::Parquet,
                _ if path.as_os_str() == "-" => Format::ArrowStream,
                _ => Format::ArrowFile,
            };
            let mut output = Output::create(Some(path))?;
            let rows = write_rows(format, plan.schema(), plan.rows(), &mut output)?;
            output.finish()?;
            say(format_args!("{rows} rows written to {}", path.display()));
            return Ok(ExitCode::SUCCESS);
        }
        ExportFormat::Tsv | ExportFormat::Vcf => {
            let format =
                if arguments.format == ExportFormat::Tsv { TextFormat::Tsv } else { TextFormat::Vcf };
            let mut output = Output::create(Some(path))?;
            if zipped {
                let (index, ending) = write_indexed_text(format, &plan, &mut output)?;
                output.finish()?;
                beside(path, ending, &index)?;
            } else {
                write_text(format, &plan, &mut output)?;
                output.finish()?;
            }
        }
        ExportFormat::Bedgraph | ExportFormat::Bigwig => by_position(arguments, &plan)?,
    }
    say(format_args!("written to {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes a format that holds one value per position.
fn by_position(arguments: &Arguments, plan: &QueryPlan) -> anyhow::Result<()> {
    let [track] = plan.tracks.as_slice() else {
        let names: Vec<&str> = plan.tracks.iter().map(|track| track.name.as_str()).collect();
        return Err(Usage(format!(
            "this format holds one track; choose one with --track, of {}",
            names.join(", ")
        ))
        .into());
    };
    let column =
        arguments.score.as_ref().or(track.columns.first()).context("the track has no score column")?;
    if !track.columns.contains(column) {
        return Err(Usage(format!(
            "track {} has no score column `{column}`; it has {}",
            track.name,
            track.columns.join(", ")
        ))
        .into());
    }
    let value = match arguments.value {
        Value::Extreme => PositionValue::Extreme,
        Value::Mean => PositionValue::Mean,
    };
    let path = arguments.output.as_path();
    if arguments.format == ExportFormat::Bedgraph {
        let mut output = Output::create(Some(path))?;
        write_bedgraph(plan, column, value, &mut output)?;
        return output.finish();
    }
    if path.as_os_str() == "-" {
        return Err(Usage("bigwig cannot be written to a pipe; give a file with -o".to_owned()).into());
    }
    let mut output = Output::create(Some(path))?;
    write_bigwig(plan, column, value, &mut output)?;
    output.finish()?;
    // bigWig has no room for it.
    let about = serde_json::json!({ "track": track, "column": column });
    beside(path, ".json", serde_json::to_string_pretty(&about)?.as_bytes())
}

/// Writes a folder that appears under its name only when it is whole.
fn hive(plan: &QueryPlan, folder: &Path) -> anyhow::Result<ExitCode> {
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        anyhow::bail!("{} is not empty; choose another folder, or empty it", folder.display());
    }
    let mut temporary = folder.components().as_path().as_os_str().to_owned();
    temporary.push(".partial");
    let temporary = PathBuf::from(temporary);
    std::fs::create_dir_all(&temporary).with_context(|| format!("cannot make {}", temporary.display()))?;
    let rows = write_hive(plan, &plan.store().snapshot()?.models, &temporary)?;
    std::fs::rename(&temporary, folder.components().as_path())
        .with_context(|| format!("cannot write {}", folder.display()))?;
    say(format_args!("{rows} rows written to {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes what belongs to `path` beside it.
fn beside(path: &Path, ending: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    let path = PathBuf::from(name);
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
