//! Rows on their way out: one file a format.

mod cell;
mod json;
mod table;
mod tsv;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use thiserror::Error;

use crate::store::StoreError;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns aligned for people, floats to six digits.
    Table,
    /// A header line, then a line per row; floats in their shortest exact form, missing is empty.
    Tsv,
    /// An array with an object per line; missing is null.
    Json,
    /// An Arrow IPC file.
    ArrowFile,
    /// An Arrow IPC stream, for pipes.
    ArrowStream,
    /// One Parquet file.
    Parquet,
}

/// Why rows could not be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// They could not be read from the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused a write.
    #[error("cannot write the output: {0}")]
    Io(#[from] io::Error),
    /// Arrow refused.
    #[error("cannot write Arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parquet refused.
    #[error("cannot write Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
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
        Format::Table => table::write(schema, rows, &mut out)?,
        Format::Tsv => tsv::write(schema, rows, &mut out)?,
        Format::Json => json::write(schema, rows, &mut out)?,
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
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level));
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
