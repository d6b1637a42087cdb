//! Decodes the rows of a segment on all cores, some parts ahead of who reads them.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::vec::IntoIter;

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::lists::Lists;
use super::source::Source;
use super::wanted::Wanted;
use crate::narrow::{to_index, to_usize};

/// Batches of one part at most: several pages, so that what a part costs at its begin does not count.
const PART_BATCHES: usize = 8;
/// The same of a file on a server, or where few rows are wanted: a row group.
const LARGE_PART_BATCHES: usize = 32;
/// Bytes of one part in the file, about, where rows are long.
const PART_BYTES: u64 = 4 << 20;

/// Batches of the selected rows of a segment, in order.
pub(super) enum Decoded {
    /// Little is selected: decoded as it is asked for.
    Alone(Box<ParquetRecordBatchReader>),
    /// As many parts as there are cores are being decoded.
    Ahead(Box<Ahead>),
}

/// Selected rows of one row group.
struct Part {
    group: usize,
    selection: RowSelection,
}

pub(super) struct Ahead {
    file: File,
    waiting: VecDeque<Part>,
    begun: VecDeque<Receiver<ParquetResult<Vec<RecordBatch>>>>,
    ready: IntoIter<RecordBatch>,
}

/// What a part is read from.
#[derive(Clone)]
struct File {
    source: Source,
    metadata: ArrowReaderMetadata,
    columns: ProjectionMask,
    /// Rows that are decoded at once.
    rows: usize,
    /// Where to look before other columns than positions are decoded.
    narrowed: Option<Wanted>,
}

impl File {
    fn reader(&self, part: Part) -> ParquetResult<ParquetRecordBatchReader> {
        let source = self.source.fetched(&self.ranges(&part))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, self.metadata.clone())
            .with_batch_size(self.rows)
            .with_projection(self.columns.clone())
            .with_row_groups(vec![part.group])
            .with_row_selection(part.selection);
        let file = self.metadata.parquet_schema();
        match &self.narrowed {
            Some(wanted) => builder.with_row_filter(wanted.filter(file)).build(),
            None => builder.build(),
        }
    }
}

impl File {
    /// The bytes of a part: the pages that its selection touches, and the dictionaries of their columns.
    fn ranges(&self, part: &Part) -> Vec<Range<u64>> {
        let metadata = self.metadata.metadata();
        let Some(group) = metadata.row_groups().get(part.group) else { return Vec::new() };
        let index = metadata.page_index_for_row_group(part.group);
        let mut ranges = Vec::new();
        for (column, chunk) in group.columns().iter().enumerate() {
            let pages = index.offset_index(column).map(|index| index.page_locations());
            let Some(pages) = pages.filter(|_| self.columns.leaf_included(column)) else { continue };
            let selected = part.selection.scan_ranges(pages);
            let (start, first) =
                (chunk.byte_range().0, pages.first().map(|page| page.offset.cast_unsigned()));
            ranges.extend(first.filter(|_| !selected.is_empty()).map(|first| start..first));
            ranges.extend(selected);
        }
        ranges
    }
}

impl Decoded {
    /// The rows of `selection` with the columns of `columns`, in which there are `lists`; row groups and pages without
    /// one are not read. Those that are not at a position of `narrowed` may be left out.
    pub(super) fn new(
        source: Source,
        metadata: ArrowReaderMetadata,
        columns: ProjectionMask,
        selection: RowSelection,
        lists: Lists,
        narrowed: Option<Wanted>,
    ) -> ParquetResult<Self> {
        // Where each read takes long, a part is what one of them brings.
        let is_small = source.is_local() && narrowed.is_none();
        let batches = if is_small { PART_BATCHES } else { LARGE_PART_BATCHES };
        let mut parts = parts(&metadata, selection, lists.batch_rows(), batches);
        let rows = lists.decoded_rows(metadata.metadata());
        let file = File { source, metadata, columns, rows, narrowed };
        if parts.len() < 2 {
            let none = Part { group: 0, selection: RowSelection::default() };
            let reader = guarded(|| file.reader(parts.pop_front().unwrap_or(none)))?;
            return Ok(Self::Alone(Box::new(reader)));
        }
        let mut ahead = Ahead { file, waiting: parts, begun: VecDeque::new(), ready: Vec::new().into_iter() };
        ahead.begin();
        Ok(Self::Ahead(Box::new(ahead)))
    }
}

/// Cuts a selection of all rows into parts of at most `batches` batches of `batch` rows; those without a row are left out.
fn parts(
    metadata: &ArrowReaderMetadata,
    mut rest: RowSelection,
    batch: usize,
    batches: usize,
) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    for (group, of) in metadata.metadata().row_groups().iter().enumerate() {
        let rows = to_index(of.num_rows());
        let bytes = of.compressed_size().max(1).cast_unsigned();
        let most = to_usize(PART_BYTES.saturating_mul(rows as u64) / bytes).clamp(batch, batches * batch);
        let mut in_group = rest.split_off(rows);
        for start in (0..rows).step_by(most) {
            let selection = in_group.split_off(most.min(rows - start));
            if selection.selects_any() {
                let before = (start > 0).then(|| RowSelector::skip(start));
                let selection = before.into_iter().chain(Vec::from(selection)).collect::<Vec<_>>().into();
                parts.push_back(Part { group, selection });
            }
        }
    }
    parts
}

impl Ahead {
    /// Has as many parts decoded as there are cores.
    fn begin(&mut self) {
        while self.begun.len() < rayon::current_num_threads() {
            let Some(part) = self.waiting.pop_front() else { return };
            let (file, (sender, receiver)) = (self.file.clone(), sync_channel(1));
            rayon::spawn(move || {
                let decode = || file.reader(part)?.map(|batch| Ok::<_, ParquetError>(batch?)).collect();
                // Whoever asked may have had enough and be gone.
                drop(sender.send(guarded(decode)));
            });
            self.begun.push_back(receiver);
        }
    }

    fn next(&mut self) -> Option<ParquetResult<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Some(Ok(batch));
            }
            self.begin();
            let outcome = self.begun.pop_front()?.recv();
            self.begin();
            match outcome.expect("a part is sent in any case; this is a bug") {
                Ok(batches) => self.ready = batches.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Runs the reader of Parquet, which a file with checksums that fit can still lead into a panic.
pub(crate) fn guarded<T>(read: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(ParquetError::General(format!("its reader gave up ({text})")))
    })
}

impl Iterator for Decoded {
    type Item = ParquetResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Alone(reader) => guarded(|| Ok(reader.next().transpose()?)).transpose(),
            Self::Ahead(ahead) => ahead.next(),
        }
    }
}
