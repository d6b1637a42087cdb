//! Rows on their way out: one file a format.

mod bbi;
mod bigbed;
mod bigwig;
mod cell;
mod csv;
mod folder;
mod form;
mod hive;
mod hub;
mod indexed;
mod info;
mod json;
mod position;
mod spread;
mod table;
mod tsv;
mod vcf;
mod xlsx;

use std::io::{self, Seek, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use thiserror::Error;
use vestore_schema::{Assembly, Track};

pub(crate) use self::cell::write_score;
pub use self::cell::{visible, visible_lines};
pub use self::folder::{browser_contents, write_alternates};
pub use self::form::{FileForm, FileFormat, FormError};
pub use self::hive::{hive_contents, write_hive};
pub use self::hub::{HubOptions, HubWritten, write_hub};
pub use self::indexed::index_ending;
pub(crate) use self::info::InfoField;
pub use self::position::PositionValue;
use crate::query::{QueryPlan, TRACKS_KEY, WideRows};
use crate::store::StoreError;

/// Rows of one row group of exported Parquet, which bounds the memory that writing takes.
const GROUP_ROWS: usize = 122_880;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns aligned for people, floats to six digits.
    Table {
        /// The columns of the terminal that texts are cut for.
        width: Option<usize>,
    },
    /// A header line, then a line per row; floats in their shortest exact form, missing is empty.
    Tsv,
    /// As [`Format::Tsv`], with commas; quoted as RFC 4180 says.
    Csv,
    /// An array with an object per line; missing is null.
    Json,
    /// An Arrow IPC file.
    ArrowFile,
    /// An Arrow IPC stream, for pipes.
    ArrowStream,
    /// One Parquet file.
    Parquet,
    /// A spreadsheet.
    Xlsx,
}

/// Why rows could not be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// They could not be read from the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Spreadsheets have limits.
    #[error(
        "the answer does not fit into a spreadsheet: {what}; ask for fewer rows or columns, or write csv"
    )]
    Sheet {
        /// The limit.
        what: &'static str,
    },
    /// A track hub needs to say which genome it is for.
    #[error(
        "the genome has no name: the store was made without --assembly; expected UCSC's name; give it with --genome, \
         such as `--genome hg38`"
    )]
    NoGenome,
    /// A name that no genome of a browser has.
    #[error(
        "invalid genome name: `{name}`; expected letters, digits, `.`, `_`, `-`; give UCSC's name with --genome"
    )]
    Genome {
        /// The name.
        name: String,
    },
    /// The system refused a write.
    #[error("cannot write the output")]
    Io(#[from] io::Error),
    /// Arrow refused.
    #[error("cannot write Arrow")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parquet refused.
    #[error("cannot write Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// Writes all `rows`, which are wide rows over `tracks`, to `out` as VCF.
///
/// # Errors
/// When reading or writing fails.
pub fn write_vcf<W: Write>(
    assembly: &Assembly,
    tracks: &[Track],
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    mut out: W,
) -> Result<(), ExportError> {
    vcf::write(assembly, tracks, rows, &mut vcf::Plain(&mut out))?;
    Ok(out.flush()?)
}

/// Text formats for other tools, each compressed and indexed on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// A line per variant and track, after a header line; with an index, that line begins with `#`, as tabix expects.
    Tsv,
    /// A record per variant.
    Vcf,
}

/// Writes the answer of `plan` to `out` as text.
///
/// # Errors
/// When reading or writing fails.
pub fn write_text<W: Write>(format: TextFormat, plan: &QueryPlan, mut out: W) -> Result<(), ExportError> {
    match format {
        TextFormat::Tsv => tsv::write(plan.schema(), plan.rows(), &mut out)?,
        TextFormat::Vcf => write_vcf_lines(plan, &mut vcf::Plain(&mut out))?,
    }
    Ok(out.flush()?)
}

/// As [`write_text`], as BGZF. Gives the index that belongs beside the file, under a name that ends in
/// [`index_ending`].
///
/// # Errors
/// When reading or writing fails.
pub fn write_indexed_text<W: Write>(
    format: TextFormat,
    plan: &QueryPlan,
    out: W,
) -> Result<Vec<u8>, ExportError> {
    let lines = match format {
        TextFormat::Tsv => indexed::Lines::Tsv,
        TextFormat::Vcf => indexed::Lines::Vcf,
    };
    let mut sink = indexed::Indexed::new(out, lines, plan.store().assembly());
    match format {
        TextFormat::Tsv => tsv::write_indexed(plan.schema(), plan.rows(), &mut sink)?,
        TextFormat::Vcf => write_vcf_lines(plan, &mut sink)?,
    }
    let (mut out, index) = sink.finish()?;
    out.flush()?;
    Ok(index)
}

fn write_vcf_lines(plan: &QueryPlan, sink: &mut impl vcf::LineSink) -> Result<(), ExportError> {
    let by_track = plan.by_track();
    let rows = WideRows::new(plan, &by_track);
    vcf::write(plan.store().assembly(), &plan.tracks, rows, sink)
}

/// Writes one score `column` of the one track of `plan`, or of a plan over effects the kind `column` of its one target,
/// as bedGraph: one value per position, after comment lines that name track and model.
///
/// # Errors
/// When there is no such column, or reading or writing fails.
///
/// # Panics
/// When the plan has no track.
pub fn write_bedgraph<W: Write>(
    plan: &QueryPlan,
    column: &str,
    value: PositionValue,
    mut out: W,
) -> Result<(), ExportError> {
    let assembly = plan.store().assembly();
    let plan = plan.clone().with_columns(&[column])?;
    let what = match plan.chosen_targets() {
        [target] => format!("{column} on target {target}"),
        _ => column.to_owned(),
    };
    position::write_bedgraph(assembly, &plan.tracks[0], &what, value, plan.rows(), &mut out)?;
    Ok(out.flush()?)
}

/// As [`write_bedgraph`], as bigWig: one value per position, with zoom levels. The format has no room for metadata.
///
/// # Errors
/// When there is no such column, or reading or writing fails.
pub fn write_bigwig<W: Write + Seek>(
    plan: &QueryPlan,
    column: &str,
    value: PositionValue,
    mut out: W,
) -> Result<(), ExportError> {
    let assembly = plan.store().assembly();
    let plan = plan.clone().with_columns(&[column])?;
    bigwig::write(assembly, value, plan.rows(), &mut out)?;
    Ok(out.flush()?)
}

/// As [`write_bedgraph`], the scores of SNVs as bigBed, which UCSC shows as a heatmap with a row for each alternate base.
/// Returns how many variants with a score are not SNVs, which are left out.
///
/// # Errors
/// When there is no such column, or reading or writing fails.
///
/// # Panics
/// When the plan has no track.
pub fn write_bigbed<W: Write + Seek>(plan: &QueryPlan, column: &str, mut out: W) -> Result<u64, ExportError> {
    let assembly = plan.store().assembly();
    let of = folder::Exported::of(plan, column);
    let plan = plan.clone().with_columns(&[column])?;
    let spread = spread::Spread::of(assembly, plan.rows())?;
    let meaning = of.track.meaning(column);
    let scale = bigbed::Scale::new(&spread, meaning.map(|meaning| meaning.direction));
    let labels = bigbed::Labels { name: &visible(column), legend: &hub::legend(&of) };
    bigbed::write((assembly, assembly), &scale, &labels, plan.rows(), &mut out)?;
    out.flush()?;
    Ok(spread.others)
}

/// Writes all `rows`, which have `schema`, to `out`; gives their number.
///
/// # Errors
/// When reading or writing fails.
pub fn write_rows<W: Write + Send>(
    format: Format,
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    mut out: W,
) -> Result<u64, ExportError> {
    let mut count = 0;
    let rows = rows.inspect(|batch| count += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64));
    match format {
        Format::Table { width } => table::write(schema, rows, width, &mut out)?,
        Format::Tsv => tsv::write(schema, rows, &mut out)?,
        Format::Csv => csv::write(schema, rows, &mut out)?,
        Format::Json => json::write(schema, rows, &mut out)?,
        Format::Xlsx => xlsx::write(schema, rows, &mut out)?,
        Format::ArrowFile => {
            let mut writer = FileWriter::try_new(&mut out, schema)?;
            for batch in rows {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
        Format::ArrowStream => {
            let mut writer = StreamWriter::try_new(&mut out, schema)?;
            for batch in rows {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let level = ZstdLevel::try_new(3)?;
            // In the footer itself too: not every reader looks into the Arrow schema that is kept there.
            let tracks = schema.metadata().get(TRACKS_KEY);
            let tracks = tracks.map(|tracks| vec![KeyValue::new(TRACKS_KEY.to_owned(), tracks.clone())]);
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_max_row_group_row_count(Some(GROUP_ROWS))
                .set_key_value_metadata(tracks);
            let mut writer = ArrowWriter::try_new(&mut out, schema.clone(), Some(properties.build()))?;
            for batch in rows {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
    }
    out.flush()?;
    Ok(count)
}
