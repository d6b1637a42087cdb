//! Cuts the rows that one thread makes into the segments that another writes, whatever batches they come in.

use std::sync::mpsc::Receiver;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::ImportError;
use super::ordered::{MOST_HELD_BYTES, allele_bytes};
use crate::store::{PAGE_ROWS, StoreError};

/// Rows of one segment, in whole pages.
const SEGMENT_ROWS: usize = 128 * PAGE_ROWS;

/// What is handed from the thread that makes rows to the one that writes them.
pub(super) type Handed = Result<(u32, RecordBatch), ImportError>;

/// Batches as they come from the other thread.
pub(super) struct Feed<'a> {
    batches: &'a Receiver<Handed>,
    waiting: Option<(u32, RecordBatch)>,
    pub(super) error: Option<ImportError>,
}

impl<'a> Feed<'a> {
    pub(super) fn new(batches: &'a Receiver<Handed>) -> Self {
        Self { batches, waiting: None, error: None }
    }

    /// The contig of the next batch.
    pub(super) fn contig(&mut self) -> Option<u32> {
        if self.waiting.is_none() && self.error.is_none() {
            match self.batches.recv() {
                Ok(Ok(batch)) => self.waiting = Some(batch),
                Ok(Err(error)) => self.error = Some(error),
                Err(_) => {}
            }
        }
        self.waiting.as_ref().map(|(contig, _)| *contig)
    }

    /// The next rows of a contig, about `most` at most: whole pages, so that a file has the same pages however the rows
    /// came, and the rest at the end. Rows of very long alleles are given as they come.
    fn pages(&mut self, contig: u32, most: usize) -> Result<Option<RecordBatch>, StoreError> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while rows < PAGE_ROWS && self.contig() == Some(contig) {
            let Some((_, batch)) = self.waiting.take() else { break };
            bytes += allele_bytes(&batch);
            if bytes > MOST_HELD_BYTES && !parts.is_empty() {
                self.waiting = Some((contig, batch));
                break;
            }
            // Few rows are copied: what lies in one batch as whole pages is a slice.
            let whole =
                if parts.is_empty() { batch.num_rows() / PAGE_ROWS * PAGE_ROWS } else { PAGE_ROWS - rows };
            let whole = if whole == 0 { batch.num_rows() } else { whole.min(batch.num_rows()).min(most) };
            if whole < batch.num_rows() {
                self.waiting = Some((contig, batch.slice(whole, batch.num_rows() - whole)));
            }
            rows += whole;
            parts.push(batch.slice(0, whole));
        }
        Ok(match &parts[..] {
            [] => None,
            [only] => Some(only.clone()),
            [first, ..] => Some(concat_batches(&first.schema(), &parts)?),
        })
    }
}

/// The batches of one segment.
pub(super) struct Part<'a, 'b> {
    feed: &'a mut Feed<'b>,
    contig: u32,
    rows: usize,
}

impl<'a, 'b> Part<'a, 'b> {
    pub(super) fn new(feed: &'a mut Feed<'b>, contig: u32) -> Self {
        Self { feed, contig, rows: 0 }
    }
}

impl Iterator for Part<'_, '_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = SEGMENT_ROWS.checked_sub(self.rows).filter(|left| *left > 0)?;
        let batch = self.feed.pages(self.contig, left).transpose()?;
        self.rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use arrow::array::{AsArray, Int32Array, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(from: usize, rows: usize) -> RecordBatch {
        RecordBatch::try_from_iter([
            ("position", Arc::new(Int32Array::from_iter_values(from as i32..(from + rows) as i32)) as _),
            ("reference", Arc::new(StringArray::from(vec!["A"; rows])) as _),
            ("alternate", Arc::new(StringArray::from(vec!["C"; rows])) as _),
        ])
        .unwrap()
    }

    #[test]
    fn segments_and_pages_are_the_same_however_the_rows_came() {
        let total = 2 * SEGMENT_ROWS + 3 * PAGE_ROWS + 77;
        for size in [100, PAGE_ROWS - 1, PAGE_ROWS, 3 * PAGE_ROWS + 5, 200_000, total] {
            let (sender, batches) = sync_channel(total / size + 2);
            for from in (0..total).step_by(size) {
                sender.send(Ok((3, batch(from, size.min(total - from))))).unwrap();
            }
            sender.send(Ok((4, batch(0, 5)))).unwrap();
            drop(sender);
            let mut feed = Feed::new(&batches);
            let (mut at, mut segments) = (0, Vec::new());
            while feed.contig() == Some(3) {
                let start = at;
                for batch in Part::new(&mut feed, 3) {
                    let batch = batch.unwrap();
                    let positions = batch.column(0).as_primitive::<Int32Type>().values();
                    assert!(positions.iter().copied().eq(at as i32..(at + batch.num_rows()) as i32));
                    at += batch.num_rows();
                    assert!((at - start).is_multiple_of(PAGE_ROWS) || at == total, "{size}: {at}");
                }
                segments.push(at - start);
            }
            assert_eq!(segments, [SEGMENT_ROWS, SEGMENT_ROWS, 3 * PAGE_ROWS + 77], "{size}");
            assert_eq!((feed.contig(), Part::new(&mut feed, 4).count()), (Some(4), 1));
        }
    }
}
