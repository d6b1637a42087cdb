//! Puts rows that are nearly in order into order, and notices when they are not.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use vestore_schema::Position;

use super::ImportError;
use crate::narrow::to_u32;
use crate::store::{RowKeys, StoreError};

/// How many bases a row may stand behind its place: alternates in any order at one position, and indels that
/// move left when they are normalized.
const SLACK: i32 = 1000;
/// Rows that may be held back while others are merged with them. More of them, at nearly one place, are left to the
/// sort: merging them again and again would be quadratic.
const MOST_HELD: usize = 1 << 18;
/// And the most bytes of their alleles.
pub(super) const MOST_HELD_BYTES: usize = 64 << 20;

type Key<'a> = (Position, &'a str, &'a str);

/// The rows of one contig, of which the last are held back until nothing can come before them.
pub(super) struct Ordered {
    pub(super) contig: u32,
    held: Option<RecordBatch>,
    /// The most bytes of alleles that are held back.
    most_bytes: usize,
    /// The last row given.
    last: Option<(Position, String, String)>,
}

impl Ordered {
    pub(super) fn new(contig: u32, most_bytes: usize) -> Self {
        Self { contig, held: None, most_bytes, last: None }
    }

    /// Takes a batch in order; gives what is in order with all that came before.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, ImportError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let (mut given, mut batch) = (Vec::new(), batch);
        if let Some(held) = self.held.take() {
            if key(&held, held.num_rows() - 1) < key(&batch, 0) {
                self.check(&held)?;
                self.remember(&held);
                given.push(held);
            } else if held.num_rows() > MOST_HELD || allele_bytes(&held) > self.most_bytes {
                return Err(ImportError::Unsorted);
            } else {
                batch = merge(&held, &batch)?;
            }
        }
        self.check(&batch)?;
        let positions = RowKeys::of(&batch).one_based();
        let settled = positions[positions.len() - 1].saturating_sub(SLACK);
        let end = positions.partition_point(|position| *position < settled);
        if end > 0 {
            let ready = batch.slice(0, end);
            self.remember(&ready);
            given.push(ready);
        }
        self.held = Some(batch.slice(end, batch.num_rows() - end));
        Ok(given)
    }

    /// The rows that were held back.
    pub(super) fn finish(self) -> Option<(u32, RecordBatch)> {
        self.held.map(|held| (self.contig, held))
    }

    /// An error when `batch` begins before what was given.
    fn check(&self, batch: &RecordBatch) -> Result<(), ImportError> {
        match &self.last {
            Some((position, reference, alternate)) if key(batch, 0) <= (*position, reference, alternate) => {
                Err(ImportError::Unsorted)
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self, batch: &RecordBatch) {
        let (position, reference, alternate) = key(batch, batch.num_rows() - 1);
        self.last = Some((position, reference.to_owned(), alternate.to_owned()));
    }
}

/// Bytes of the alleles of a batch of rows.
pub(super) fn allele_bytes(batch: &RecordBatch) -> usize {
    RowKeys::of(batch).allele_bytes()
}

fn key(batch: &RecordBatch, row: usize) -> Key<'_> {
    variant_key(&RowKeys::of(batch), row)
}

fn variant_key<'a>(keys: &RowKeys<'a>, row: usize) -> Key<'a> {
    let (reference, alternate) = keys.alleles(row);
    (keys.position(row), reference, alternate)
}

/// Both in one order; rows of the same variant stay in theirs.
fn merge(first: &RecordBatch, second: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let whole = concat_batches(&first.schema(), [first, second])?;
    let mut order: Vec<u32> = (0..to_u32(whole.num_rows())).collect();
    let keys = RowKeys::of(&whole);
    order.sort_by(|a, b| variant_key(&keys, *a as usize).cmp(&variant_key(&keys, *b as usize)));
    Ok(take_record_batch(&whole, &UInt32Array::from(order))?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::*;

    /// Rows at position 5 with these alternates.
    fn batch(alternates: &[&str]) -> RecordBatch {
        let rows = alternates.len();
        RecordBatch::try_from_iter([
            ("position", Arc::new(Int32Array::from_value(5, rows)) as _),
            ("reference", Arc::new(StringArray::from(vec!["A"; rows])) as _),
            ("alternate", Arc::new(StringArray::from(alternates.to_vec())) as _),
        ])
        .unwrap()
    }

    #[test]
    fn rows_that_hold_more_bytes_than_may_be_held_back_are_left_to_the_sort() {
        for (most, fits) in [(11, true), (10, false)] {
            let mut ordered = Ordered::new(0, most);
            assert!(ordered.push(batch(&["CC", "TTTTTTT"])).unwrap().is_empty());
            assert_eq!(ordered.push(batch(&["G"])).is_ok(), fits, "{most}");
            if fits {
                let (_, rows) = ordered.finish().unwrap();
                assert_eq!(rows, batch(&["CC", "G", "TTTTTTT"]));
            }
        }
    }
}
