//! Writes batches of rows as row groups of a Parquet file.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::streams::StreamPages;

/// A Parquet file that is being written. It differs from an [`ArrowWriter`] in how pages of floats are compressed.
pub(super) struct RowGroups<W: Write> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Compresses the columns of floats, if they come to it uncompressed.
    streams: Option<Arc<StreamPages>>,
    /// Of the row group that is being written, one a leaf; none between two row groups.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
    most_rows: usize,
}

impl<W: Write + Send> RowGroups<W> {
    pub(super) fn new(
        sink: W,
        schema: &SchemaRef,
        properties: WriterProperties,
        streams: Option<StreamPages>,
    ) -> Result<Self> {
        let most_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let streams = streams.map(Arc::new);
        let mut options = ArrowWriterOptions::new().with_properties(properties);
        if let Some(streams) = &streams {
            options = options.with_page_store_factory(Arc::<StreamPages>::clone(streams));
        }
        let writer = ArrowWriter::try_new_with_options(sink, Arc::clone(schema), options)?;
        let (file, factory) = writer.into_serialized_writer()?;
        let schema = Arc::clone(schema);
        Ok(Self { file, factory, schema, streams, columns: Vec::new(), rows: 0, most_rows })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            if self.columns.is_empty() {
                let number = self.file.flushed_row_groups().len();
                self.columns = self.factory.create_column_writers(number)?;
            }
            let rows = (batch.num_rows() - from).min(self.most_rows - self.rows);
            let mut columns = self.columns.iter_mut();
            for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, &array.slice(from, rows))? {
                    let column = columns.next();
                    column
                        .ok_or_else(|| ParquetError::General("too many columns".to_owned()))?
                        .write(&leaf)?;
                }
            }
            (from, self.rows) = (from + rows, self.rows + rows);
            if self.rows == self.most_rows {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (number, column) in self.columns.drain(..).enumerate() {
            let mut chunk = column.close()?;
            if let Some(streams) = &self.streams {
                streams.correct(number, chunk.close_mut())?;
            }
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the row group, so that everything before the page index has reached the sink.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.end_group()?;
        Ok(self.file.flush()?)
    }

    pub(super) fn append_key_value_metadata(&mut self, metadata: KeyValue) {
        self.file.append_key_value_metadata(metadata);
    }

    pub(super) fn sink(&mut self) -> &mut W {
        self.file.inner_mut()
    }

    /// Writes page index and footer.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.end_group()?;
        self.file.finish()?;
        Ok(self.file.flush()?)
    }
}
