//! Reads the rows of one segment that lie in some ranges, decompressing only the pages that can hold them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt32Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use vestore_schema::{
    BLOCKS_KEY, Format, GROUPED_VERSION, Position, Segment, TARGETS_KEY, Table, Track, effects_type,
    row_schema, segment_format,
};

use super::ANSWER_COLUMNS;
use super::ahead::{Decoded, guarded};
use super::filter::Bound;
use super::lists::Lists;
use super::shape::{check_index, check_rows};
use super::source::{Source, damaged};
use super::wanted::Wanted;
use crate::narrow::to_index;
use crate::store::{Groups, Store, StoreError};

/// Rows of one batch.
pub(crate) const BATCH_ROWS: usize = 8192;

/// An open segment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    segment: Segment,
    source: Source,
    metadata: ArrowReaderMetadata,
    format: Format,
    groups: Groups,
    /// Of rows: the lists of a kind are one column.
    schema: SchemaRef,
}

impl SegmentReader {
    /// Opens a segment and reads its footer and page index.
    ///
    /// # Errors
    /// When the file is missing, is not what the catalog says, or is in an unknown format.
    pub fn open(store: &Store, segment: &Segment) -> Result<Self, StoreError> {
        let mut source = Source::open(store, segment)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata = guarded(|| ArrowReaderMetadata::load(&source, options))
            .map_err(|error| source.failed(segment, &error))?;
        let format = segment_format(&segment.path(), metadata.schema().metadata())?;
        let blocks = metadata.schema().metadata().get(BLOCKS_KEY).map(String::as_str);
        source.check_blocks(blocks).map_err(|error| damaged(segment, &error))?;
        check_index(metadata.metadata()).map_err(|reason| damaged(segment, &reason))?;
        let grouped = is_grouped(segment.table, &format);
        source.check_pages(metadata.metadata(), metadata.schema(), grouped);
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(segment.rows) {
            return Err(damaged(segment, &format!("its footer says {rows} rows, not {}", segment.rows)));
        }
        let schema = row_schema(segment.table, &format, metadata.schema())
            .map_err(|reason| damaged(segment, &reason))?;
        let (groups, schema) = Groups::of(&schema, grouped);
        Ok(Self { segment: segment.clone(), source, metadata, format, groups, schema })
    }

    /// The format of the file, which may be older than the catalog's.
    pub(crate) fn format(&self) -> &Format {
        &self.format
    }

    /// Whether long lists are cut in its file.
    fn is_grouped(&self) -> bool {
        is_grouped(self.segment.table, &self.format)
    }

    /// Refuses a segment that lacks one of the columns of numbers of its track, or whose effects are not on as many
    /// targets.
    pub(crate) fn of_track(self, track: &Track) -> Result<Self, StoreError> {
        let expected = match (self.segment.table, track.list_length(self.segment.table)) {
            (_, Some(targets)) => Some(effects_type(targets)),
            (Table::GeneEffects, None) => Some(DataType::Float32),
            _ => None,
        };
        for name in track.columns_of(self.segment.table) {
            let Some(column) = self.column(name) else {
                return Err(damaged(&self.segment, &format!("it has no column `{name}`")));
            };
            let kind = self.schema.field(column).data_type();
            if expected.as_ref().is_some_and(|expected| kind != expected) {
                let reason = match track.list_length(self.segment.table) {
                    Some(targets) => format!("its column `{name}` is not of lists of {targets} numbers"),
                    None => format!("its column `{name}` is not of numbers"),
                };
                return Err(damaged(&self.segment, &reason));
            }
        }
        Ok(self)
    }

    /// Refuses a segment whose footer does not name the targets of its track.
    pub(crate) fn names_targets(self, track: &Track) -> Result<Self, StoreError> {
        let table = self.segment.table;
        let Some(targets) = track.targets.filter(|_| track.list_length(table).is_some()) else {
            return Ok(self);
        };
        let text = self.metadata.schema().metadata().get(TARGETS_KEY);
        let names = text.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
        let checked = names.ok_or("they are missing".to_owned()).and_then(|names| targets.check(&names));
        checked
            .map(|()| self.clone())
            .map_err(|reason| damaged(&self.segment, &format!("names of targets in its footer: {reason}")))
    }

    /// The same, whose lists of effects hold these targets alone, ascending; pages of others are not read.
    pub(crate) fn with_targets(self, chosen: Option<&Arc<[u32]>>) -> Self {
        match chosen {
            Some(chosen) => Self { groups: self.groups.with_targets(Arc::clone(chosen)), ..self },
            None => self,
        }
    }

    /// The index of a column of its rows.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// The schema of its rows.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows whose 0-based position lies in one of `ranges` (sorted, apart from each other), in order,
    /// with the columns at the indices `columns` or all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(self, ranges: &[Range<u32>], columns: Option<&[usize]>) -> Result<SegmentRows, StoreError> {
        self.read_where(ranges, columns, &[])
    }

    /// As [`SegmentReader::read`], with other rows of their pages among them.
    pub(crate) fn read_near(self, ranges: &[Range<u32>], columns: &[usize]) -> Result<Checked, StoreError> {
        Ok(self.read_where(ranges, Some(columns), &[])?.reader)
    }

    /// As [`SegmentReader::read`], leaving out pages without a row that fulfils all of `bounds`. Other
    /// rows that do not are among those read.
    pub(crate) fn read_where(
        self,
        ranges: &[Range<u32>],
        columns: Option<&[usize]>,
        bounds: &[Bound<'_>],
    ) -> Result<SegmentRows, StoreError> {
        let failed = |error: ParquetError| self.source.failed(&self.segment, &error);
        let wanted = Wanted::within(ranges, &self.segment);
        let mut selection =
            select(self.metadata.metadata(), |low, high| wanted.touches(low, high)).map_err(failed)?;
        for bound in bounds {
            match self.column(bound.column) {
                Some(column) => {
                    let column = self.groups.roots([column])[0];
                    let fulfilling = select_bound(self.metadata.metadata(), column, bound).map_err(failed)?;
                    selection = selection.intersection(&fulfilling);
                }
                // Missing throughout, and a comparison with a missing value is false.
                None if !ANSWER_COLUMNS.contains(&bound.column) => selection = RowSelection::default(),
                None => {}
            }
        }
        let columns = columns.map_or_else(|| (0..self.groups.count()).collect(), <[usize]>::to_vec);
        let narrow = wanted.are_few_of(selection.row_count());
        let reader = self.checked(selection, columns, narrow.then(|| wanted.clone()))?;
        Ok(SegmentRows { reader, wanted, ready: Vec::new() })
    }
}

/// Whether long lists are cut in a file.
fn is_grouped(table: Table, format: &Format) -> bool {
    matches!(table, Table::Effects | Table::GeneEffects) && format.version >= GROUPED_VERSION
}

impl SegmentReader {
    /// The rows of `selection`, with these columns; of pages, only what is `narrowed` down to where that is said.
    fn checked(
        self,
        selection: RowSelection,
        mut columns: Vec<usize>,
        narrowed: Option<Wanted>,
    ) -> Result<Checked, StoreError> {
        columns.sort_unstable();
        columns.dedup();
        let roots = self.groups.roots(columns.iter().copied());
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots.iter().copied());
        let lists = Lists::of_columns(self.metadata.schema().fields(), roots, self.is_grouped());
        let Self { segment, source, metadata, groups, schema, .. } = self;
        let reader = Decoded::new(source.clone(), metadata, mask, selection, lists, narrowed)
            .map_err(|error| source.failed(&segment, &error))?;
        Ok(Checked { segment, source, reader, groups, columns, schema, previous: 0 })
    }
}

/// Batches of a segment, each checked.
pub(crate) struct Checked {
    segment: Segment,
    source: Source,
    reader: Decoded,
    groups: Groups,
    /// Of its rows, ascending, and all that there are.
    columns: Vec<usize>,
    schema: SchemaRef,
    /// The last position so far.
    previous: i32,
}

impl Iterator for Checked {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(self.source.failed(&self.segment, &error))),
        };
        Some(hand_on(&self.segment, batch).and_then(|batch| {
            let checked = check_rows(&batch, &mut self.previous);
            checked.map_err(|reason| damaged(&self.segment, &reason))?;
            self.groups.join(batch, &self.columns, &self.schema)
        }))
    }
}

/// Batches of the rows of one segment that lie in the asked ranges.
pub struct SegmentRows {
    reader: Checked,
    wanted: Wanted,
    ready: Vec<RecordBatch>,
}

impl SegmentRows {
    /// The error of a segment that cannot be as it is.
    pub(super) fn damaged(&self, reason: &str) -> StoreError {
        damaged(&self.reader.segment, reason)
    }
}

impl Iterator for SegmentRows {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop() {
                return Some(Ok(batch));
            }
            match self.reader.next()? {
                Ok(batch) => match self.wanted.cut(&batch) {
                    Ok(parts) => self.ready = parts,
                    Err(error) => return Some(Err(error.into())),
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A batch of a file, whose first column is the position, as everybody above sees it: the unsigned integers of
/// version 1 are signed.
fn hand_on(segment: &Segment, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
    let schema = batch.schema();
    let is_unsigned = |field: &Arc<Field>| *field.data_type() == DataType::UInt32;
    let batch = if schema.fields().iter().any(is_unsigned) {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if is_unsigned(field) {
                let bits = column.as_primitive::<UInt32Type>().values().inner().clone();
                fields.push(Arc::new(field.as_ref().clone().with_data_type(DataType::Int32)));
                columns.push(Arc::new(Int32Array::new(bits.into(), None)) as _);
            } else {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?
    } else {
        batch
    };
    let positions = batch.column(0).as_primitive::<Int32Type>().values();
    let known = segment.first.to_column()..=segment.last.to_column();
    match positions.iter().find(|position| !known.contains(position)) {
        None => Ok(batch),
        Some(position) => Err(damaged(
            segment,
            &format!("a row is at position {position}, which the catalog does not name"),
        )),
    }
}

/// How many rows of a row group of `rows` are in one of its pages; `None` where the page index says what cannot be.
pub(super) fn rows_of_page(pages: &[PageLocation], page: usize, rows: usize) -> Option<usize> {
    let first = usize::try_from(pages[page].first_row_index).ok()?;
    let next = pages.get(page + 1).map_or(Some(rows), |next| usize::try_from(next.first_row_index).ok())?;
    next.checked_sub(first)
}

/// The rows of the pages whose least and greatest position are `wanted`.
fn select(
    metadata: &ParquetMetaData,
    wanted: impl Fn(Position, Position) -> bool,
) -> ParquetResult<RowSelection> {
    let missing = || ParquetError::General("it has no page index".to_owned());
    let mut selectors = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = to_index(group.num_rows());
        let page_index = metadata.page_index_for_row_group(number);
        let Some(ColumnIndexMetaData::INT32(index)) = page_index.column_index(0) else {
            return Err(missing());
        };
        let pages = page_index.offset_index(0).ok_or_else(missing)?.page_locations();
        for page in 0..pages.len() {
            // Nobody has checked the bounds; what is no position says nothing of the page.
            let bound = |one_based: &i32| Position::from_one_based(u64::try_from(*one_based).ok()?);
            let bounds = (index.min_value(page).and_then(bound), index.max_value(page).and_then(bound));
            let may_hold = match bounds {
                (Some(low), Some(high)) => wanted(low, high),
                _ => true,
            };
            let count = rows_of_page(pages, page, rows).ok_or_else(missing)?;
            selectors.push(if may_hold { RowSelector::select(count) } else { RowSelector::skip(count) });
        }
    }
    Ok(RowSelection::from(selectors))
}

/// The rows of the pages of one column of numbers that can fulfil `bound`; all rows where the file does
/// not tell.
fn select_bound(metadata: &ParquetMetaData, column: usize, bound: &Bound<'_>) -> ParquetResult<RowSelection> {
    let missing = || ParquetError::General("it has no page index".to_owned());
    // Lists make more leaf columns than columns; then nothing is known about where this one lies.
    let flat = metadata.row_groups().iter().all(|group| {
        let columns = group.columns();
        columns.get(column).is_some_and(|chunk| chunk.column_path().parts() == [bound.column])
    });
    let mut selectors = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = to_index(group.num_rows());
        let page_index = metadata.page_index_for_row_group(number);
        let range = |page: usize| match page_index.column_index(column) {
            Some(ColumnIndexMetaData::FLOAT(index)) if index.is_null_page(page) => Some(None),
            Some(ColumnIndexMetaData::FLOAT(index)) => {
                let (low, high) = (index.min_value(page)?, index.max_value(page)?);
                Some(Some((f64::from(*low), f64::from(*high))))
            }
            Some(ColumnIndexMetaData::INT32(index)) => {
                let (low, high) = (index.min_value(page)?, index.max_value(page)?);
                Some(Some((f64::from(low.cast_unsigned()), f64::from(high.cast_unsigned()))))
            }
            _ => None,
        };
        if !flat {
            selectors.push(RowSelector::select(rows));
            continue;
        }
        let pages = page_index.offset_index(column).ok_or_else(missing)?.page_locations();
        for page in 0..pages.len() {
            let count = rows_of_page(pages, page, rows).ok_or_else(missing)?;
            let may_hold = match range(page) {
                Some(Some((low, high))) => bound.can_hold(low, high),
                Some(None) => false,
                None => true,
            };
            selectors.push(if may_hold { RowSelector::select(count) } else { RowSelector::skip(count) });
        }
    }
    Ok(RowSelection::from(selectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_index_that_says_what_cannot_be_is_refused() {
        let count = |firsts: &[i64], page: usize| {
            let location =
                |first: &i64| PageLocation { offset: 0, compressed_page_size: 0, first_row_index: *first };
            rows_of_page(&firsts.iter().map(location).collect::<Vec<_>>(), page, 10)
        };
        assert_eq!([0, 1].map(|page| count(&[0, 4], page)), [Some(4), Some(6)]);
        assert_eq!([0, 1].map(|page| count(&[-9, -5], page)), [None, None]);
        assert_eq!(count(&[4, 2], 0), None);
        assert_eq!(count(&[11], 0), None);
    }
}
