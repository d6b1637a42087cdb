//! Which variants a track has rows for.

use std::collections::BTreeSet;

use vestore_schema::{Segment, Variant};

use super::Store;
use super::error::StoreError;
use super::row_keys::RowKeys;
use crate::query::SegmentReader;

impl Store {
    /// The variants at 0-based `start..end` that have a row in one of `segments`, which are of one contig.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn stored_variants(
        &self,
        segments: &[Segment],
        contig: u32,
        start: u32,
        end: u32,
    ) -> Result<BTreeSet<Variant>, StoreError> {
        let mut found = BTreeSet::new();
        let range = start..end;
        let reached =
            |segment: &&Segment| segment.first.zero_based() < end && segment.last.zero_based() >= start;
        for segment in segments.iter().filter(reached) {
            let reader = SegmentReader::open(self, segment)?;
            for batch in reader.read(std::slice::from_ref(&range), Some(&[0, 1, 2]))? {
                let batch = batch?;
                let keys = RowKeys::of(&batch);
                found.extend((0..batch.num_rows()).map(|row| keys.variant(contig, row)));
            }
        }
        Ok(found)
    }
}
