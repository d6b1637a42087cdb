//! Which of the variants that were asked for have no row.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::RecordBatch;
use vestore_schema::Variant;

use super::AnswerRows;
use super::plan::QueryPlan;
use crate::store::Store;

/// Counts the variants that were asked for and are not among the rows that it sees.
#[derive(Debug)]
pub struct Unseen {
    store: Store,
    /// Sorted, each once.
    variants: Arc<[Variant]>,
    /// Those before are behind the last row.
    next: usize,
    seen: usize,
}

impl Unseen {
    pub(super) fn new(plan: &QueryPlan) -> Self {
        Self { store: plan.store().clone(), variants: Arc::clone(plan.variants()), next: 0, seen: 0 }
    }

    /// How many were asked for and were not seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.variants.len() - self.seen
    }

    /// Looks at rows of an answer, which follow those seen before in its order.
    pub fn see(&mut self, batch: &RecordBatch) {
        if self.next == self.variants.len() {
            return;
        }
        let rows = AnswerRows::of(batch);
        let mut contig = None;
        for row in 0..batch.num_rows() {
            let name = rows.contig(row);
            let index = match contig {
                Some((known, index)) if known == name => index,
                _ => self.store.contig_index(name),
            };
            contig = Some((name, index));
            let Some(index) = index else { continue };
            let (reference, alternate) = rows.keys.alleles(row);
            let key = (index, rows.keys.position(row), reference, alternate);
            while let Some(variant) = self.variants.get(self.next) {
                let of = (variant.contig, variant.position, &*variant.reference, &*variant.alternate);
                match of.cmp(&key) {
                    Ordering::Less => self.next += 1,
                    Ordering::Equal => {
                        self.next += 1;
                        self.seen += 1;
                        break;
                    }
                    Ordering::Greater => break,
                }
            }
        }
    }
}
