//! `vestore export`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore::{Format, QueryPlan, Request, Store, write_rows};
use vestore_schema::Region;

use super::output::{Output, say};

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
    /// The file to write; `-` is stdout (Arrow goes there as a stream)
    #[arg(short, value_name = "PATH")]
    output: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ExportFormat {
    Arrow,
    Parquet,
    Tsv,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let regions = arguments
        .regions
        .iter()
        .map(|text| Region::parse(text, store.assembly()))
        .collect::<Result<Vec<_>, _>>()?;
    let request = Request { regions, tracks: arguments.track.clone(), ..Request::default() };
    let plan = QueryPlan::new(&store, &request)?;
    let format = match arguments.format {
        ExportFormat::Arrow if arguments.output.as_os_str() == "-" => Format::ArrowStream,
        ExportFormat::Arrow => Format::ArrowFile,
        ExportFormat::Parquet => Format::Parquet,
        ExportFormat::Tsv => Format::Tsv,
    };
    let mut output = Output::create(Some(&arguments.output))?;
    let rows = write_rows(format, plan.schema(), plan.rows(), &mut output)?;
    output.finish()?;
    say(format_args!("{rows} rows written to {}", arguments.output.display()));
    Ok(ExitCode::SUCCESS)
}
