//! Writing and reading segments.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest as _, Sha256};
use vestore_schema::{
    BLOCKS_KEY, Contig, KEY_COLUMNS, Position, Precision, Segment, Status, Table, Tail, Track, segment_path,
};

use super::Store;
use super::blocks::{Blocks, BlocksBuilder};
use super::effects;
use super::error::StoreError;
use super::files::Written;
use super::groups::{file_schema, split};
use super::medium::{Access, MediumFile};
use super::row_groups::RowGroups;
use super::row_keys::RowKeys;
use super::streams::StreamPages;

/// Rows of one page, the least that a reader decompresses.
pub(crate) const PAGE_ROWS: usize = 8192;
/// The same of letters. Each page has a code of its own, and these are so small that it counts.
const LETTERS_PAGE_ROWS: usize = 4 * PAGE_ROWS;
/// Rows of one row group. DuckDB and Polars skip and share work by row group.
const GROUP_ROWS: usize = 122_880;
/// The same of rounded scores, whose dictionary is written once a row group.
const ROUNDED_GROUP_ROWS: usize = 245_760;
/// Level of zstd. From 14 on it finds the repeats of scores that the three alternates of a position share.
const ZSTD_LEVEL: i32 = 15;
/// Level for lists, of embeddings and effects: so many numbers that the time counts.
const LIST_ZSTD_LEVEL: i32 = 3;

/// Writes one segment under a temporary name. It is part of nothing until a commit gave it its name and put it
/// into the catalog.
pub(super) struct SegmentWriter {
    temporary: PathBuf,
    place: PathBuf,
    writer: RowGroups<HashedFile>,
    /// Of the file.
    schema: SchemaRef,
    segment: Segment,
    previous: Option<(Position, String, String, u32, String)>,
}

impl SegmentWriter {
    pub(super) fn create(
        store: &Store,
        number: u64,
        table: Table,
        track: &Track,
        contig: &Contig,
        schema: &SchemaRef,
        metadata: Vec<(String, String)>,
    ) -> Result<Self, StoreError> {
        let place = store.root.join(segment_path(table, &track.name, &contig.name, number));
        let temporary = place.with_extension("parquet.partial");
        let file = store.medium.open(&temporary, Access::Create);
        let file = file.map_err(StoreError::io("create", &temporary))?;
        let schema = if has_effects(table) { file_schema(schema) } else { Arc::clone(schema) };
        let level = if has_lists(&schema) { LIST_ZSTD_LEVEL } else { ZSTD_LEVEL };
        // Numbers that are multiples of a step are few enough for a dictionary.
        let stepped = matches!(track.recipe.rounding(), Some(Precision::Step(_)));
        let properties = properties(&schema, table, stepped, level, metadata);
        let file = HashedFile {
            file: Arc::from(file),
            written: 0,
            hash: Sha256::new(),
            blocks: BlocksBuilder::default(),
            tail: None,
        };
        let streams = (!stepped).then(|| StreamPages::new(level));
        let writer =
            RowGroups::new(file, &schema, properties, streams).map_err(|error| refused(&temporary, error))?;
        let segment = Segment {
            number,
            table,
            track: track.name.clone(),
            contig: contig.name.clone(),
            rows: 0,
            first: Position::default(),
            last: Position::default(),
            bytes: 0,
            checksum: vestore_schema::Digest::of(b""),
            tail: Tail::default(),
            statuses: BTreeMap::new(),
            runs: Vec::new(),
        };
        Ok(Self { temporary, place, writer, schema, segment, previous: None })
    }

    /// Appends rows. They must follow those before in strictly ascending order of position, reference and
    /// alternate, and layer or gene where there is one.
    ///
    /// # Errors
    /// When the system refuses a write or the batch has another schema.
    ///
    /// # Panics
    /// When rows are out of order, which is a bug of the caller.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = RowKeys::of(batch);
        let before = self.previous.as_ref().map(|(position, reference, alternate, layer, gene)| {
            (*position, reference.as_str(), alternate.as_str(), *layer, gene.as_str())
        });
        let sorted = before.is_none_or(|before| before < keys.key(0))
            && (1..batch.num_rows()).all(|row| keys.key(row - 1) < keys.key(row));
        assert!(sorted, "rows of a segment are out of order; this is a bug");
        if self.segment.rows == 0 {
            self.segment.first = keys.key(0).0;
        }
        let last = keys.key(batch.num_rows() - 1);
        self.segment.last = last.0;
        self.previous = Some((last.0, last.1.to_owned(), last.2.to_owned(), last.3, last.4.to_owned()));
        self.segment.rows += batch.num_rows() as u64;
        let statuses = batch.column(batch.num_columns() - 1).as_string::<i32>();
        for status in statuses.iter().flatten().filter_map(Status::parse) {
            *self.segment.statuses.entry(status).or_default() += 1;
        }
        let cut = has_effects(self.segment.table).then(|| split(batch, &self.schema)).transpose()?;
        let batch = cut.as_ref().unwrap_or(batch);
        self.writer.write(batch).map_err(|error| refused(&self.temporary, error))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn finish(mut self) -> Result<(Segment, Written), StoreError> {
        let failed = |error| refused(&self.temporary, error);
        // The footer holds the checksums of all before it; the catalog holds that of what follows.
        self.writer.flush().map_err(failed)?;
        let (start, blocks) = self.writer.sink().begin_tail();
        self.writer.append_key_value_metadata(KeyValue::new(BLOCKS_KEY.to_owned(), blocks.to_text()));
        self.writer.finish().map_err(failed)?;
        let HashedFile { file, written, hash, tail, .. } = self.writer.sink();
        let tail = tail.take().expect("the tail was begun above; this is a bug");
        self.segment.tail = Tail { start, crc32: tail.finalize() };
        self.segment.bytes = *written;
        self.segment.checksum = <[u8; 32]>::from(hash.clone().finalize()).into();
        let file = Arc::clone(file);
        Ok((self.segment, Written { temporary: self.temporary, place: self.place, file: Some(file) }))
    }
}

/// Whether a table may hold lists of effects, which are cut.
fn has_effects(table: Table) -> bool {
    matches!(table, Table::Effects | Table::GeneEffects)
}

fn refused(path: &Path, error: ParquetError) -> StoreError {
    StoreError::parquet("write", path, error, StoreError::Parquet)
}

fn has_lists(schema: &SchemaRef) -> bool {
    schema.fields().iter().any(|field| matches!(field.data_type(), DataType::FixedSizeList(..)))
}

fn properties(
    schema: &SchemaRef,
    table: Table,
    stepped: bool,
    level: i32,
    metadata: Vec<(String, String)>,
) -> WriterProperties {
    let lists = has_lists(schema);
    let level = ZstdLevel::try_new(level).expect("zstd has these levels; this is a bug");
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let group_rows = if stepped { ROUNDED_GROUP_ROWS } else { GROUP_ROWS };
    let (page_rows, group_rows) = match table {
        Table::Effects | Table::GeneEffects if lists => effects::layout(schema, group_rows),
        _ => (PAGE_ROWS, group_rows),
    };
    let letters_rows = if lists { page_rows } else { LETTERS_PAGE_ROWS };
    let mut builder = WriterProperties::builder()
        .set_created_by("vestore".to_owned())
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(page_rows)
        // Pages end where a batch does.
        .set_write_batch_size(page_rows)
        // Bounds of effects and of letters would take much of the footer, and nobody asks for them.
        .set_statistics_enabled(if lists && has_effects(table) {
            EnabledStatistics::None
        } else {
            EnabledStatistics::Page
        })
        .set_key_value_metadata(Some(metadata));
    // Floats, also those in lists, unless a column below says otherwise.
    builder = if stepped {
        builder.set_dictionary_enabled(true).set_compression(Compression::ZSTD(level))
    } else {
        // Compressed by `StreamPages`.
        builder
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::BYTE_STREAM_SPLIT)
            .set_compression(Compression::UNCOMPRESSED)
    };
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        if matches!(field.data_type(), DataType::FixedSizeList(..)) {
            continue;
        }
        builder = builder.set_column_statistics_enabled(column.clone(), EnabledStatistics::Page);
        if *field.data_type() == DataType::Float32 {
            continue;
        }
        builder = builder.set_column_compression(column.clone(), Compression::ZSTD(level));
        if field.name() == KEY_COLUMNS[0] {
            builder = builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        } else {
            builder = builder
                .set_column_dictionary_enabled(column.clone(), true)
                .set_column_encoding(column.clone(), Encoding::PLAIN);
            if *field.data_type() == DataType::Utf8 {
                builder = builder
                    .set_column_statistics_enabled(column.clone(), EnabledStatistics::Chunk)
                    .set_column_data_page_row_count_limit(column, letters_rows);
            }
        }
    }
    builder.build()
}

/// A file written from its start to its end, digested on the way.
struct HashedFile {
    file: Arc<dyn MediumFile>,
    written: u64,
    hash: Sha256,
    blocks: BlocksBuilder,
    /// Of what is written since the tail began.
    tail: Option<crc32fast::Hasher>,
}

impl HashedFile {
    /// What follows is the tail; gives its first byte and the checksums of all before it.
    fn begin_tail(&mut self) -> (u64, Blocks) {
        self.tail = Some(crc32fast::Hasher::new());
        (self.written, std::mem::take(&mut self.blocks).finish())
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.written)?;
        self.hash.update(bytes);
        match &mut self.tail {
            Some(tail) => tail.update(bytes),
            None => self.blocks.update(bytes),
        }
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
