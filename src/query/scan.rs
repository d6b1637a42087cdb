//! Reads the rows of one segment that lie in some ranges, decompressing only the pages that can hold them.

use std::io::{self, Cursor};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection, RowSelector,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};
use vestore_schema::{Segment, check_segment_format};

use crate::store::{Access, MediumFile, Store, StoreError};

/// Rows of one batch.
pub(crate) const BATCH_ROWS: usize = 8192;

/// An open segment.
#[derive(Debug)]
pub struct SegmentReader {
    segment: Segment,
    source: Source,
    metadata: ArrowReaderMetadata,
}

impl SegmentReader {
    /// Opens a segment and reads its footer and page index.
    ///
    /// # Errors
    /// When the file is missing, is not what the catalog says, or is in an unknown format.
    pub fn open(store: &Store, segment: &Segment) -> Result<Self, StoreError> {
        let path = segment.path();
        let damaged = |reason: String| damaged(segment, reason);
        let file = store
            .medium()
            .open(&store.root().join(&path), Access::Read)
            .map_err(|error| damaged(format!("it cannot be opened: {error}")))?;
        let length = file.len().map_err(|error| damaged(error.to_string()))?;
        if length != segment.bytes {
            return Err(damaged(format!("it is {length} bytes long, not {}", segment.bytes)));
        }
        let source = Source { file: Arc::from(file), length };
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata =
            ArrowReaderMetadata::load(&source, options).map_err(|error| damaged(error.to_string()))?;
        check_segment_format(&path, metadata.schema().metadata())?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(segment.rows) {
            return Err(damaged(format!("its footer says {rows} rows, not {}", segment.rows)));
        }
        Ok(Self { segment: segment.clone(), source, metadata })
    }

    /// The rows whose 0-based position lies in one of `ranges` (sorted, apart from each other), in order,
    /// with the columns at the indices `columns` or all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(self, ranges: &[Range<u32>], columns: Option<&[usize]>) -> Result<SegmentRows, StoreError> {
        let failed = |error: ParquetError| damaged(&self.segment, error.to_string());
        let selection = select(self.metadata.metadata(), ranges).map_err(failed)?;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.source, self.metadata.clone())
                .with_batch_size(BATCH_ROWS)
                .with_row_selection(selection);
        if let Some(columns) = columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader = builder.build().map_err(|error| damaged(&self.segment, error.to_string()))?;
        Ok(SegmentRows { segment: self.segment, reader, ranges: ranges.to_vec(), ready: Vec::new() })
    }
}

/// Batches of the rows of one segment that lie in the asked ranges.
pub struct SegmentRows {
    segment: Segment,
    reader: ParquetRecordBatchReader,
    ranges: Vec<Range<u32>>,
    ready: Vec<RecordBatch>,
}

impl Iterator for SegmentRows {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop() {
                return Some(Ok(batch));
            }
            match self.reader.next()? {
                Ok(batch) => self.ready = cut(&batch, &self.ranges),
                Err(error) => return Some(Err(damaged(&self.segment, error.to_string()))),
            }
        }
    }
}

/// The parts of `batch` that lie in `ranges`, last first.
fn cut(batch: &RecordBatch, ranges: &[Range<u32>]) -> Vec<RecordBatch> {
    let positions = batch.column(0).as_primitive::<UInt32Type>().values();
    let mut parts = Vec::new();
    for range in ranges.iter().rev() {
        // Positions are stored 1-based: 0-based start..end is start < position <= end.
        let from = positions.partition_point(|position| *position <= range.start);
        let to = positions.partition_point(|position| *position <= range.end);
        if from < to {
            parts.push(batch.slice(from, to - from));
        }
    }
    parts
}

/// The rows of the pages that can hold a position of `ranges`.
fn select(metadata: &ParquetMetaData, ranges: &[Range<u32>]) -> ParquetResult<RowSelection> {
    let missing = || ParquetError::General("it has no page index".to_owned());
    let mut selectors = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows() as usize;
        let page_index = metadata.page_index_for_row_group(number);
        let Some(ColumnIndexMetaData::INT32(index)) = page_index.column_index(0) else {
            return Err(missing());
        };
        let pages = page_index.offset_index(0).ok_or_else(missing)?.page_locations();
        for (page, location) in pages.iter().enumerate() {
            let first = location.first_row_index as usize;
            let next = pages.get(page + 1).map_or(rows, |next| next.first_row_index as usize);
            // Unsigned positions are stored in Parquet's INT32.
            let may_hold = match (index.min_value(page), index.max_value(page)) {
                (Some(low), Some(high)) => {
                    let (low, high) = (low.cast_unsigned(), high.cast_unsigned());
                    ranges.iter().any(|range| low <= range.end && high > range.start)
                }
                _ => true,
            };
            let count = next.checked_sub(first).ok_or_else(missing)?;
            selectors.push(if may_hold { RowSelector::select(count) } else { RowSelector::skip(count) });
        }
    }
    Ok(RowSelection::from(selectors))
}

fn damaged(segment: &Segment, reason: String) -> StoreError {
    StoreError::Damaged {
        path: segment.path(),
        track: segment.track.clone(),
        range: format!("{}:{}-{}", segment.contig, segment.first + 1, segment.last + 1),
        reason,
    }
}

/// A segment's file as Parquet reads it.
#[derive(Clone, Debug)]
struct Source {
    file: Arc<dyn MediumFile>,
    length: u64,
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Source {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Asked for headers only; what follows is read as whole chunks.
        let length = self.length.saturating_sub(start).min(64 << 10) as usize;
        self.get_bytes(start, length).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::External(Box::new(io::Error::from(io::ErrorKind::UnexpectedEof))));
        }
        let mut buffer = vec![0; length];
        self.file.read_at(&mut buffer, start).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(buffer.into())
    }
}
