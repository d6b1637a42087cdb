//! A segment's file as Parquet reads it: every byte is checked before it is used.

use std::fmt::Display;
use std::io::{self, Cursor};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use vestore_schema::Segment;

use super::lists::{PageEntries, width};
use super::scan::rows_of_page;
use super::shape::check_page;
use crate::narrow::{to_index, to_usize};
use crate::store::{Blocks, MediumFile, Store, StoreError};

/// Most bytes of a tail, whatever a catalog says.
const MOST_TAIL: u64 = 1 << 30;

/// A segment's file. Its tail — page index and footer — is read and checked when it is opened, the rest
/// block by block, by checksums that the footer holds.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<dyn MediumFile>,
    path: Arc<Path>,
    is_published: bool,
    length: u64,
    /// First byte of the tail, and the tail.
    tail_start: u64,
    tail: Bytes,
    /// Of nothing, until the footer is read.
    blocks: Arc<Blocks>,
    /// First bytes of pages, ascending, each with the most entries of its lists if it is one of lists.
    pages: Arc<[(u64, Option<u64>)]>,
    /// What the system said when it refused a read; Parquet keeps only the text of errors.
    refused: Arc<Mutex<Option<io::Error>>>,
}

impl Source {
    /// Opens the file of a segment, which must be as long as the catalog says.
    ///
    /// # Errors
    /// When it is missing, cannot be read, or is not what it was.
    pub(super) fn open(store: &Store, segment: &Segment) -> Result<Self, StoreError> {
        let path = store.root().join(segment.path());
        let file = store.open_segment(segment).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if store.is_published() => StoreError::Incomplete { path: path.clone() },
            io::ErrorKind::NotFound => damaged(segment, "the file is missing"),
            _ => StoreError::io("open", &path)(error),
        })?;
        let length = segment.bytes;
        let tail_start = segment.tail.start.min(length);
        let size = length - tail_start;
        if size > MOST_TAIL {
            return Err(damaged(segment, &format!("a footer of {size} bytes; expected at most {MOST_TAIL}")));
        }
        let mut source = Self {
            file: Arc::from(file),
            path: path.into(),
            is_published: store.is_published(),
            length,
            tail_start,
            tail: Bytes::new(),
            blocks: Arc::default(),
            pages: Arc::from([]),
            refused: Arc::default(),
        };
        // Read before the length is asked: a server tells it with the first bytes.
        let tail = source.read(tail_start, to_usize(size));
        if tail.is_err() && source.is_refused() {
            return tail.map(|_| source.clone()).map_err(|error| source.failed(segment, &error));
        }
        let found = source.file.len().map_err(StoreError::io("read", &source.path))?;
        if found != length {
            return Err(damaged(segment, &format!("it is {found} bytes long, not {length}")));
        }
        source.tail = tail.map_err(|error| source.failed(segment, &error))?;
        if crc32fast::hash(&source.tail) != segment.tail.crc32 {
            return Err(damaged(segment, &format!("its last {size} bytes have changed")));
        }
        Ok(source)
    }

    /// Checks what lies before the tail against `text` of the footer from now on.
    pub(super) fn check_blocks(&mut self, text: Option<&str>) -> ParquetResult<()> {
        let blocks = text.and_then(|text| Blocks::parse(text, self.tail_start));
        let missing = || ParquetError::General("its footer has no checksums that fit".to_owned());
        self.blocks = Arc::new(blocks.ok_or_else(missing)?);
        Ok(())
    }

    /// Checks pages before they are decompressed from now on; `schema` is that of the file, whose long lists are cut if it
    /// is `grouped`.
    pub(super) fn check_pages(&mut self, metadata: &ParquetMetaData, schema: &Schema, grouped: bool) {
        let mut pages = Vec::new();
        let columns = metadata.file_metadata().schema_descr();
        let entries = PageEntries::of(metadata, grouped);
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let index = metadata.page_index_for_row_group(number);
            for (column, chunk) in group.columns().iter().enumerate() {
                pages.push((chunk.byte_range().0, None));
                let Some(index) = index.offset_index(column) else { continue };
                let width = width(schema.field(columns.get_column_root_idx(column)).data_type());
                let most = width.map(|width| (width, entries.most(width)));
                for (page, location) in index.page_locations().iter().enumerate() {
                    let rows = rows_of_page(index.page_locations(), page, to_index(group.num_rows()));
                    let entries =
                        most.map(|(width, most)| most.min(width.saturating_mul(rows.unwrap_or(0) as u64)));
                    pages.push((location.offset.cast_unsigned(), entries));
                }
            }
        }
        // Of what is said twice, the stricter counts.
        pages.sort_unstable_by_key(|(start, most)| (*start, most.unwrap_or(u64::MAX)));
        pages.dedup_by_key(|(start, _)| *start);
        self.pages = pages.into();
    }

    /// Checks `bytes` that begin at `start`, if a page does.
    fn check_page(&self, start: u64, bytes: &[u8]) -> ParquetResult<()> {
        match self.pages.binary_search_by_key(&start, |(start, _)| *start) {
            Ok(page) => check_page(bytes, self.pages[page].1).map_err(ParquetError::General),
            Err(_) => Ok(()),
        }
    }

    /// Whether the system refused a read.
    fn is_refused(&self) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether its file is one of this machine, of which a read takes no time.
    pub(super) fn is_local(&self) -> bool {
        self.file.local().is_some()
    }

    /// The same, with the bytes in `ranges` at hand where reading each alone would take long.
    pub(super) fn fetched(&self, ranges: &[Range<u64>]) -> ParquetResult<Self> {
        let blocks: Vec<Range<u64>> = ranges
            .iter()
            .filter(|range| range.start < range.end && range.end <= self.tail_start)
            .filter_map(|range| self.blocks.around(range))
            .collect();
        match self.file.fetched(&blocks) {
            Ok(None) => Ok(self.clone()),
            Ok(Some(file)) => Ok(Self { file: Arc::from(file), ..self.clone() }),
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// The error of a read that failed: the system's when it refused, else the segment is damaged.
    pub(super) fn failed(&self, segment: &Segment, reason: &dyn Display) -> StoreError {
        match self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) if self.is_published && error.kind() == io::ErrorKind::NotFound => {
                StoreError::Incomplete { path: self.path.to_path_buf() }
            }
            Some(error) => StoreError::io("read", &self.path)(error),
            None => damaged(segment, reason),
        }
    }

    fn read(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut buffer = vec![0; length];
        match self.file.read_at(&mut buffer, start) {
            Ok(()) => Ok(buffer.into()),
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Keeps an error of the system, of which Parquet's has the text.
    fn refuse(&self, error: io::Error) -> ParquetError {
        let text = error.to_string();
        // A file that ends too early is damaged; the system did its part.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        ParquetError::General(text)
    }
}

pub(crate) fn damaged(segment: &Segment, reason: &(impl Display + ?Sized)) -> StoreError {
    StoreError::Damaged {
        path: segment.path(),
        track: segment.track.clone(),
        range: format!("{}:{}-{}", segment.contig, segment.first.one_based(), segment.last.one_based()),
        reason: reason.to_string(),
    }
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
        let end = if start < self.tail_start { self.tail_start } else { self.length };
        let length = to_usize(end.saturating_sub(start)).min(64 << 10);
        let bytes = self.get_bytes(start, length)?;
        if start < self.tail_start {
            check_page(&bytes, None).map_err(ParquetError::General)?;
            self.check_page(start, &bytes)?;
        }
        Ok(Cursor::new(bytes))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.length);
        let end = end.ok_or_else(|| ParquetError::EOF("it ends before its data do".to_owned()))?;
        if start >= self.tail_start {
            return Ok(self.tail.slice(to_usize(start - self.tail_start)..to_usize(end - self.tail_start)));
        }
        let unchecked = || ParquetError::General(format!("bytes {start} to {end} have no checksum"));
        let around = self.blocks.around(&(start..end)).ok_or_else(unchecked)?;
        let bytes = self.read(around.start, to_usize(around.end - around.start))?;
        if let Some(at) = self.blocks.find_damage(around.start, &bytes) {
            return Err(ParquetError::General(format!("bytes from {at} on have changed")));
        }
        let skipped = to_usize(start - around.start);
        let bytes = bytes.slice(skipped..skipped + length);
        self.check_page(start, &bytes)?;
        Ok(bytes)
    }
}
