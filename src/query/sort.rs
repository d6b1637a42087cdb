//! Rows of an answer in the order of its columns.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};

use super::{AnswerRows, CONTIG_COLUMN};
use crate::narrow::to_u32;
use crate::query::scan::BATCH_ROWS;
use crate::store::{Store, StoreError};

/// Bytes of rows that are held to be sorted.
const MOST_BYTES: usize = 1 << 30;
/// Rows beyond those wanted that are held before the last ones are dropped.
const SLACK: usize = 1 << 17;

/// A column to sort by; `-llr` is from the largest on. Rows without a value come last in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// Name of the column.
    pub column: String,
    /// From the largest on.
    pub descending: bool,
}

impl FromStr for SortKey {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix('-');
        Ok(Self { column: name.unwrap_or(text).to_owned(), descending: name.is_some() })
    }
}

/// Sorts `rows` by `keys`, columns by index and whether from the largest on; equal rows stay in their order. Only the
/// first `limit` are kept.
pub(super) fn sorted(
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    store: &Store,
    keys: &[(usize, bool)],
    limit: usize,
) -> Result<Vec<RecordBatch>, StoreError> {
    let (mut held, mut count, mut bytes) = (Vec::new(), 0, 0);
    for batch in rows {
        let batch = batch?;
        count += batch.num_rows();
        bytes += bytes_of(&batch)?;
        held.push(batch);
        if bytes > MOST_BYTES || count > limit.saturating_mul(2).saturating_add(SLACK) {
            let first = first_of(&held, store, keys, limit)?;
            (count, bytes) = (first.num_rows(), bytes_of(&first)?);
            held = vec![first];
        }
        if bytes > MOST_BYTES {
            return Err(StoreError::TooManyToSort { most: MOST_BYTES });
        }
    }
    if held.is_empty() {
        return Ok(held);
    }
    let all = first_of(&held, store, keys, limit)?;
    let starts = (0..all.num_rows()).step_by(BATCH_ROWS);
    Ok(starts.map(|start| all.slice(start, BATCH_ROWS.min(all.num_rows() - start))).collect())
}

fn first_of(
    held: &[RecordBatch],
    store: &Store,
    keys: &[(usize, bool)],
    limit: usize,
) -> Result<RecordBatch, StoreError> {
    let all = concat_batches(held[0].schema_ref(), held)?;
    let mut columns: Vec<SortColumn> = Vec::with_capacity(keys.len() + 1);
    for (column, descending) in keys {
        let options = SortOptions { descending: *descending, nulls_first: false };
        columns.push(SortColumn { values: comparable(&all, *column, store), options: Some(options) });
    }
    let order = UInt32Array::from_iter_values(0..to_u32(all.num_rows()));
    columns.push(SortColumn { values: Arc::new(order), options: None });
    let indices = lexsort_to_indices(&columns, Some(limit.min(all.num_rows())))?;
    Ok(take_record_batch(&all, &indices)?)
}

/// A column by which rows are compared: contigs stand in the order of the reference.
fn comparable(all: &RecordBatch, column: usize, store: &Store) -> ArrayRef {
    if all.schema().field(column).name() != CONTIG_COLUMN {
        return Arc::clone(all.column(column));
    }
    let rows = AnswerRows::of(all);
    let index = |row| store.contig_index(rows.contig(row)).map(u32::cast_signed);
    Arc::new((0..all.num_rows()).map(index).collect::<Int32Array>())
}

/// What the rows of a batch take, without what a slice of it leaves out.
fn bytes_of(batch: &RecordBatch) -> Result<usize, StoreError> {
    let size = |column: &ArrayRef| column.to_data().get_slice_memory_size();
    Ok(batch.columns().iter().map(size).sum::<Result<usize, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minus_sorts_from_the_largest_on() {
        let key = |text: &str| text.parse::<SortKey>().unwrap();
        assert_eq!(key("-llr"), SortKey { column: "llr".to_owned(), descending: true });
        assert_eq!(key("llr"), SortKey { column: "llr".to_owned(), descending: false });
    }
}
