//! Merges small segments into few large ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Metadata, SchemaRef};
use vestore_schema::{FORMAT_VERSION, Model, Position, Segment, Table, Track, UNRECORDED_RUN};

use super::Writer;
use super::error::StoreError;
use super::row_keys::RowKeys;
use crate::query::{Filter, QueryPlan, Rows, SegmentReader};

/// Most rows of a large segment.
const SEGMENT_ROWS: u64 = 1 << 20;
/// Most bytes of a large segment, about: rows of embeddings are long.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Segments that are replaced in one transaction, about.
const TOGETHER: usize = 1024;

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
    /// Merges the segments of each table, track and contig where fewer would do. Readers of older snapshots go on:
    /// the files of merged segments stay for a grace period. Only rows around the place of merging are in memory.
    /// `progress` is told the rows merged so far.
    ///
    /// # Errors
    /// When a segment is damaged or the system refuses; what was replaced before stays compacted.
    pub fn compact(&mut self, progress: impl FnMut(u64)) -> Result<Compacted, StoreError> {
        self.compact_to(SEGMENT_ROWS, false, progress)
    }

    /// As [`Writer::compact`], and writes every segment of an older format version anew.
    ///
    /// # Errors
    /// As for [`Writer::compact`].
    pub fn upgrade(&mut self, progress: impl FnMut(u64)) -> Result<Compacted, StoreError> {
        self.compact_to(SEGMENT_ROWS, true, progress)
    }

    /// As [`Writer::compact`], into segments of about `most_rows` rows; also those of an older format version when
    /// they are to be upgraded.
    ///
    /// # Errors
    /// As for [`Writer::compact`].
    pub fn compact_to(
        &mut self,
        most_rows: u64,
        upgrade: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<Compacted, StoreError> {
        let snapshot = self.store().snapshot()?;
        let mut groups: BTreeMap<(Table, String, String), Vec<Segment>> = BTreeMap::new();
        for segment in self.store().all_segments()? {
            let group = (segment.table, segment.track.clone(), segment.contig.clone());
            groups.entry(group).or_default().push(segment);
        }
        let mut done = Compacted::default();
        let (mut replacing, mut written) = (<(Vec<Segment>, Vec<Segment>)>::default(), 0);
        for ((_, track, _), old) in groups {
            let rows: u64 = old.iter().map(|segment| segment.rows).sum();
            let bytes: u64 = old.iter().map(|segment| segment.bytes).sum();
            let most = (SEGMENT_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, most_rows.max(1));
            let few = old.len() as u64 <= rows.div_ceil(most) && are_apart(&old);
            if few && !(upgrade && self.is_any_older(&old)?) {
                continue;
            }
            let Some(track) = snapshot.tracks.iter().find(|known| known.name == track) else { continue };
            let model = snapshot.models.iter().find(|model| model.name == track.model);
            let new = self.rewrite(track, model, &old, None, most, |rows| progress(done.rows + rows))?;
            done.before += old.len() as u64;
            done.after += new.len() as u64;
            done.rows += rows;
            done.bytes_before += bytes;
            done.bytes_after += new.iter().map(|segment| segment.bytes).sum::<u64>();
            written += rows;
            replacing.0.extend(new);
            replacing.1.extend(old);
            // A transaction for each of many small contigs would take longer than all else.
            if written >= most_rows || replacing.1.len() >= TOGETHER {
                let (new, old) = std::mem::take(&mut replacing);
                self.replace(&new, &old, |_| Ok(()))?;
                written = 0;
            }
        }
        if !replacing.1.is_empty() {
            self.replace(&replacing.0, &replacing.1, |_| Ok(()))?;
        }
        Ok(done)
    }

    /// Writes the rows of `old`, segments of one table, track and contig, anew, those alone that fulfil `filter`,
    /// into segments of about `most_rows` rows.
    pub(super) fn rewrite(
        &mut self,
        track: &Track,
        model: Option<&Model>,
        old: &[Segment],
        filter: Option<&Filter>,
        most_rows: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<Vec<Segment>, StoreError> {
        let store = self.store().clone();
        let schema = SchemaRef::clone(SegmentReader::open(&store, &old[0])?.schema());
        let schema = Arc::new(schema.as_ref().clone().with_metadata(Metadata::default()));
        let contig = store.contig_index(&old[0].contig).ok_or_else(|| StoreError::Unknown {
            kind: "contig",
            name: old[0].contig.clone(),
            known: store.assembly().contigs.iter().take(5).map(|contig| contig.name.clone()).collect(),
        })?;
        let mut plan = QueryPlan::of_segments(&store, track, contig, old.to_vec(), &schema);
        if let Some(filter) = filter {
            plan = plan.with_filter(filter).expect("every table has a status; this is a bug");
        }
        let mut feed = Feed::new(plan.rows(), schema);
        let (mut new, mut rows): (Vec<Segment>, u64) = (Vec::new(), 0);
        loop {
            let part =
                Part { feed: &mut feed, left: usize::try_from(most_rows).unwrap_or(usize::MAX), last: None };
            let Some(mut segment) = self.write(old[0].table, track, model, contig, part)? else { break };
            segment.runs = runs_within(old, segment.first, segment.last);
            rows += segment.rows;
            progress(rows);
            new.push(segment);
        }
        Ok(new)
    }

    /// Whether one of `segments` has an older format version.
    fn is_any_older(&self, segments: &[Segment]) -> Result<bool, StoreError> {
        for segment in segments {
            if SegmentReader::open(self.store(), segment)?.format().version < FORMAT_VERSION {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The runs that may have committed rows of `segments` at `first..=last`.
fn runs_within(segments: &[Segment], first: Position, last: Position) -> Vec<u64> {
    let mut runs = BTreeSet::new();
    for segment in segments.iter().filter(|segment| segment.first <= last && segment.last >= first) {
        match segment.runs.as_slice() {
            [] => runs.extend([UNRECORDED_RUN]),
            recorded => runs.extend(recorded),
        }
    }
    runs.into_iter().collect()
}

/// Whether no two segments, which come by first position, reach into each other.
fn are_apart(segments: &[Segment]) -> bool {
    segments.is_sorted_by(|a, b| a.last <= b.first)
}

/// Merged rows with the columns of segments.
pub(super) struct Feed<'a> {
    rows: Rows<'a>,
    schema: SchemaRef,
    rest: Option<RecordBatch>,
}

impl<'a> Feed<'a> {
    pub(super) fn new(rows: Rows<'a>, schema: SchemaRef) -> Self {
        Self { rows, schema, rest: None }
    }

    pub(super) fn next(&mut self) -> Option<Result<RecordBatch, StoreError>> {
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
        let keys = RowKeys::of(&batch);
        let mut taken = batch.num_rows().min(self.left);
        while taken < batch.num_rows() {
            let goes_on = match (taken.checked_sub(1), &self.last) {
                (Some(before), _) => keys.same_variant(before, taken),
                (None, Some(last)) => RowKeys::of(last).variant(0, 0) == keys.variant(0, taken),
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
