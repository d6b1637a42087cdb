//! Merges small segments into few large ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, UInt32Type};
use vestore_schema::{Segment, Table};

use super::Writer;
use super::error::StoreError;
use crate::query::{QueryPlan, Rows, SegmentReader};

/// Most rows of a large segment.
const SEGMENT_ROWS: u64 = 1 << 20;
/// Most bytes of a large segment, about: rows of embeddings are long.
const SEGMENT_BYTES: u64 = 1 << 30;

/// What compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments that were merged.
    pub before: u64,
    /// Segments that stand for them.
    pub after: u64,
    /// Rows of them.
    pub rows: u64,
    /// Bytes of the merged segments.
    pub bytes_before: u64,
    /// Bytes of those that stand for them.
    pub bytes_after: u64,
}

impl Writer {
    /// Merges the segments of each table, track and contig where fewer would do, each group in one
    /// transaction. Readers of older snapshots go on: the files of merged segments stay for a grace period.
    /// Only rows around the place of merging are in memory. `progress` is told the rows merged so far.
    ///
    /// # Errors
    /// When a segment is damaged or the system refuses; groups finished before stay compacted.
    pub fn compact(&mut self, progress: impl FnMut(u64)) -> Result<Compacted, StoreError> {
        self.compact_to(SEGMENT_ROWS, progress)
    }

    /// As [`Writer::compact`], into segments of about `most_rows` rows.
    ///
    /// # Errors
    /// As for [`Writer::compact`].
    pub fn compact_to(
        &mut self,
        most_rows: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<Compacted, StoreError> {
        let snapshot = self.store().snapshot()?;
        let mut groups: BTreeMap<(Table, String, String), Vec<Segment>> = BTreeMap::new();
        for segment in self.store().all_segments()? {
            let group = (segment.table, segment.track.clone(), segment.contig.clone());
            groups.entry(group).or_default().push(segment);
        }
        let mut done = Compacted::default();
        for ((table, track, contig), old) in groups {
            let rows: u64 = old.iter().map(|segment| segment.rows).sum();
            let bytes: u64 = old.iter().map(|segment| segment.bytes).sum();
            let most = (SEGMENT_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, most_rows.max(1));
            if old.len() as u64 <= rows.div_ceil(most) && are_apart(&old) {
                continue;
            }
            let Some(track) = snapshot.tracks.iter().find(|known| known.name == track) else { continue };
            let contig = self.store().assembly().resolve(&contig);
            let contig = contig.expect("a segment's contig is in the assembly; this is a bug");
            let schema = SchemaRef::clone(SegmentReader::open(self.store(), &old[0])?.schema());
            let schema =
                Arc::new(schema.as_ref().clone().with_metadata(arrow::datatypes::Metadata::default()));
            let plan = QueryPlan::of_segments(self.store(), track, contig, old.clone(), &schema);
            let model = snapshot.models.iter().find(|model| model.name == track.model);
            let mut feed = Feed { rows: plan.rows(), schema, rest: None };
            let mut new: Vec<Segment> = Vec::new();
            loop {
                let part = Part { feed: &mut feed, left: most as usize, last: None };
                let Some(segment) = self.write(table, track, model, contig, part)? else { break };
                done.bytes_after += segment.bytes;
                done.rows += segment.rows;
                progress(done.rows);
                new.push(segment);
            }
            done.before += old.len() as u64;
            done.after += new.len() as u64;
            done.bytes_before += bytes;
            self.replace(&new, &old)?;
        }
        Ok(done)
    }
}

/// Whether no two segments, which come by first position, reach into each other.
fn are_apart(segments: &[Segment]) -> bool {
    segments.is_sorted_by(|a, b| a.last <= b.first)
}

/// Merged rows with the columns of segments.
struct Feed<'a> {
    rows: Rows<'a>,
    schema: SchemaRef,
    rest: Option<RecordBatch>,
}

impl Feed<'_> {
    fn next(&mut self) -> Option<Result<RecordBatch, StoreError>> {
        if let Some(rest) = self.rest.take() {
            return Some(Ok(rest));
        }
        let batch = match self.rows.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let columns = self.schema.fields().iter().map(|field| {
            let index = batch.schema().index_of(field.name())?;
            Ok(Arc::clone(batch.column(index)))
        });
        let columns = columns.collect::<Result<Vec<_>, StoreError>>();
        Some(columns.and_then(|columns| Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)))
    }
}

/// The rows of one large segment. It ends with a variant: a table may hold several rows of one, and no
/// variant may stand in two segments.
struct Part<'a, 'b> {
    feed: &'a mut Feed<'b>,
    left: usize,
    /// The last row given.
    last: Option<RecordBatch>,
}

impl Iterator for Part<'_, '_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.feed.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let mut taken = batch.num_rows().min(self.left);
        while taken < batch.num_rows() {
            let goes_on = match (taken.checked_sub(1), &self.last) {
                (Some(before), _) => key(&batch, before) == key(&batch, taken),
                (None, Some(last)) => key(last, 0) == key(&batch, taken),
                (None, None) => false,
            };
            if !goes_on {
                break;
            }
            taken += 1;
        }
        if taken < batch.num_rows() {
            self.feed.rest = Some(batch.slice(taken, batch.num_rows() - taken));
        }
        if taken == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(taken);
        self.last = Some(batch.slice(taken - 1, 1));
        Some(Ok(batch.slice(0, taken)))
    }
}

fn key(batch: &RecordBatch, row: usize) -> (u32, &str, &str) {
    (
        batch.column(0).as_primitive::<UInt32Type>().value(row),
        batch.column(1).as_string::<i32>().value(row),
        batch.column(2).as_string::<i32>().value(row),
    )
}
