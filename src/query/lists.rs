//! How much of the lists of a segment is in memory at once, whoever wrote it.

use arrow::datatypes::{DataType, Fields};
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;

use super::scan::BATCH_ROWS;
use crate::store::{PAGE_NUMBERS, PAGE_ROWS};

/// Numbers in the lists of a batch, about.
const BATCH_NUMBERS: usize = 1 << 22;
/// Entries of lists that are decoded at once, about, if a file holds as many as it can.
const DECODED_ENTRIES: u64 = 1 << 24;
/// Entries of the lists of a page beside one list: twice what its bytes hold, for those without a number.
const PAGE_ENTRIES: u64 = 1 << 19;

/// The lists of a segment's rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lists {
    /// Numbers of a row.
    numbers: usize,
    /// Lists of a row.
    count: usize,
    widest: u64,
    /// Whether long lists are cut in the file.
    grouped: bool,
}

impl Lists {
    /// Those of columns of a file or an answer.
    pub(super) fn of(fields: &Fields) -> Self {
        Self::of_columns(fields, 0..fields.len(), false)
    }

    /// Those of the columns at these indices.
    pub(super) fn of_columns(
        fields: &Fields,
        columns: impl IntoIterator<Item = usize>,
        grouped: bool,
    ) -> Self {
        let mut lists = Self { grouped, ..Self::default() };
        for column in columns {
            let width = width(fields[column].data_type());
            if let Some(width) = width {
                lists.numbers = lists.numbers.saturating_add(usize::try_from(width).unwrap_or(usize::MAX));
                lists.count += 1;
                lists.widest = lists.widest.max(width);
            }
        }
        lists
    }

    /// Rows of one batch: fewer where they are long.
    pub(super) fn batch_rows(self) -> usize {
        (BATCH_NUMBERS / self.numbers.max(1)).clamp(1, BATCH_ROWS)
    }

    /// Rows that are decoded at once. The lists of a row end where the file says, and only when all of them are in
    /// memory does it show that they are too long.
    pub(super) fn decoded_rows(self, metadata: &ParquetMetaData) -> usize {
        if self.count == 0 {
            return BATCH_ROWS;
        }
        let page = PageEntries::of(metadata, self.grouped).most(self.widest).max(1);
        let page = page.saturating_mul(self.count as u64);
        usize::try_from(DECODED_ENTRIES / page).unwrap_or(usize::MAX).clamp(1, self.batch_rows())
    }
}

/// Numbers in each list of a column, if it holds lists.
pub(super) fn width(kind: &DataType) -> Option<u64> {
    match kind {
        DataType::FixedSizeList(_, width) => Some(u64::try_from(*width).unwrap_or_default()),
        _ => None,
    }
}

/// What ends the pages of the lists of a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageEntries {
    /// Their rows, which are as many as have so many numbers.
    Rows,
    /// Their bytes, which missing numbers make few of.
    Bytes,
    /// The same, of a file whose numbers have dictionaries.
    RoundedBytes,
}

impl PageEntries {
    /// Of a file whose long lists are cut if it is `grouped`.
    pub(super) fn of(metadata: &ParquetMetaData, grouped: bool) -> Self {
        match (grouped, is_rounded(metadata)) {
            (true, _) => Self::Rows,
            (false, true) => Self::RoundedBytes,
            (false, false) => Self::Bytes,
        }
    }

    /// Most entries of the lists of a page, of `width` each.
    pub(super) fn most(self, width: u64) -> u64 {
        let page = PAGE_ENTRIES.saturating_add(width);
        match self {
            // A page ends with the batch of rows in which it became full.
            Self::Rows => (PAGE_NUMBERS as u64 + PAGE_ROWS as u64).saturating_add(width),
            Self::Bytes => page,
            Self::RoundedBytes => page.max(width.saturating_mul(2 * PAGE_ROWS as u64)),
        }
    }
}

/// Whether the numbers of lists have dictionaries.
fn is_rounded(metadata: &ParquetMetaData) -> bool {
    metadata.row_groups().iter().flat_map(|group| group.columns()).any(|chunk| {
        let is_list = chunk.column_descr().max_rep_level() > 0;
        is_list && chunk.encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY)
    })
}
