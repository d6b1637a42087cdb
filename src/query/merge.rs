//! Merges the sorted rows of segments into one sorted answer.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    new_null_array,
};
use arrow::compute::{filter_record_batch, interleave};
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use vestore_schema::{Segment, Variant};

use super::ANSWER_COLUMNS;
use super::filter::{Bound, BoundFilter};
use super::plan::{Part, QueryPlan};
use super::scan::{BATCH_ROWS, SegmentReader, SegmentRows};
use crate::store::StoreError;

/// Rows of one segment that are worth a batch of their own, which costs no copy.
const LONG_RUN: usize = BATCH_ROWS / 8;

/// The rows of an answer, in batches. Segments are opened when their first row comes near, so that few
/// are open at a time however many hold the answer.
pub struct Rows<'a> {
    plan: &'a QueryPlan,
    names: Names,
    part: usize,
    next_segment: usize,
    cursors: Vec<Cursor>,
    failed: bool,
}

/// Names of contigs, models and tracks, as dictionaries that all batches share.
struct Names {
    contigs: ArrayRef,
    models: ArrayRef,
    tracks: ArrayRef,
}

/// One of `names` as often as a batch has rows at most.
fn repeated(names: &ArrayRef, index: usize) -> Result<ArrayRef, StoreError> {
    let keys = Int32Array::from_value(index as i32, BATCH_ROWS);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(names))?))
}

/// Where reading of one segment stands: at `row` of `batch`.
struct Cursor {
    track: usize,
    /// Contig, model and track, each repeated; batches have slices of them.
    names: [ArrayRef; 3],
    rows: SegmentRows,
    batch: RecordBatch,
    row: usize,
}

/// Position, reference, alternate, track: the order of an answer within a contig.
type Key<'a> = (u32, &'a str, &'a str, usize);

impl Cursor {
    fn key(&self, row: usize) -> Key<'_> {
        let position = self.batch.column(1).as_primitive::<UInt32Type>().value(row);
        let reference = self.batch.column(2).as_string::<i32>().value(row);
        let alternate = self.batch.column(3).as_string::<i32>().value(row);
        (position, reference, alternate, self.track)
    }

    fn head(&self) -> Key<'_> {
        self.key(self.row)
    }

    /// How many rows of the batch, from `row` on, come before `bound`.
    fn before(&self, bound: Key<'_>) -> usize {
        let end = self.batch.num_rows();
        if self.key(end - 1) < bound {
            return end - self.row;
        }
        // Gallop: where segments interleave, runs are short.
        let mut step = 1;
        while self.row + step < end && self.key(self.row + step) < bound {
            step *= 2;
        }
        let (mut low, mut high) = (step / 2, step.min(end - self.row));
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(self.row + middle) < bound { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(plan: &'a QueryPlan) -> Self {
        let contigs = plan.store().assembly().contigs.iter().map(|contig| contig.name.as_str());
        let names = Names {
            contigs: Arc::new(StringArray::from_iter_values(contigs)),
            models: Arc::new(StringArray::from_iter_values(plan.tracks.iter().map(|track| &track.model))),
            tracks: Arc::new(StringArray::from_iter_values(plan.tracks.iter().map(|track| &track.name))),
        };
        Self { plan, names, part: 0, next_segment: 0, cursors: Vec::new(), failed: false }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        while let Some(part) = self.plan.parts.get(self.part) {
            if let Some(batch) = self.next_of_part(part)? {
                return Ok(Some(batch));
            }
            self.part += 1;
            self.next_segment = 0;
        }
        Ok(None)
    }

    /// Rows of one contig up to a full batch, or none when it is done.
    fn next_of_part(&mut self, part: &'a Part) -> Result<Option<RecordBatch>, StoreError> {
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        let mut count = 0;
        while count < BATCH_ROWS {
            self.open_segments(part)?;
            let Some(least) = self.least() else { break };
            let length = {
                let cursor = &self.cursors[least];
                let others = self.cursors.iter().enumerate().filter(|(index, _)| *index != least);
                let mut bound = others.map(|(_, other)| other.head()).min();
                if let Some((_, segment)) = part.segments.get(self.next_segment) {
                    // Its first row may lie anywhere from its first position on.
                    let opening = (segment.first + 1, "", "", 0);
                    bound = Some(bound.map_or(opening, |bound| bound.min(opening)));
                }
                let rest = cursor.batch.num_rows() - cursor.row;
                bound.map_or(rest, |bound| cursor.before(bound)).min(BATCH_ROWS - count)
            };
            let cursor = &mut self.cursors[least];
            assert!(length > 0, "merging made no progress; this is a bug");
            if length >= LONG_RUN && count > 0 {
                break; // It goes out by itself, as a slice.
            }
            let known =
                sources.iter().rposition(|batch| Arc::ptr_eq(batch.column(1), cursor.batch.column(1)));
            let source = known.unwrap_or_else(|| {
                sources.push(cursor.batch.clone());
                sources.len() - 1
            });
            runs.push((source, cursor.row..cursor.row + length));
            count += length;
            cursor.row += length;
            if cursor.row == cursor.batch.num_rows() {
                self.advance(least)?;
            }
            if length >= LONG_RUN {
                break;
            }
        }
        gather(&sources, &runs)
    }

    /// Opens every segment that may hold a row before or beside the least open one.
    fn open_segments(&mut self, part: &Part) -> Result<(), StoreError> {
        while let Some((track, segment)) = part.segments.get(self.next_segment) {
            let reached = self.least().is_none_or(|least| segment.first < self.cursors[least].head().0);
            if !reached {
                break;
            }
            self.next_segment += 1;
            let rows = self.read(segment, part)?;
            let empty = RecordBatch::new_empty(Arc::clone(self.plan.schema()));
            let names = [
                repeated(&self.names.contigs, part.contig as usize)?,
                repeated(&self.names.models, *track)?,
                repeated(&self.names.tracks, *track)?,
            ];
            self.cursors.push(Cursor { track: *track, names, rows, batch: empty, row: 0 });
            self.advance(self.cursors.len() - 1)?;
        }
        Ok(())
    }

    fn read(&self, segment: &Segment, part: &Part) -> Result<SegmentRows, StoreError> {
        let plan = self.plan;
        let reader = SegmentReader::open(plan.store(), segment)?;
        let names = plan.schema().fields().iter().map(|field| field.name().as_str());
        let columns: Option<Vec<usize>> =
            plan.projected.then(|| names.filter_map(|name| reader.column(name)).collect());
        let bounds: Vec<Bound<'_>> = plan.filter.as_ref().map(BoundFilter::bounds).unwrap_or_default();
        reader.read_where(&part.ranges, columns.as_deref(), &bounds)
    }

    /// Moves a cursor to its next batch with rows, or drops it at its end.
    fn advance(&mut self, index: usize) -> Result<(), StoreError> {
        loop {
            let cursor = &mut self.cursors[index];
            let Some(batch) = cursor.rows.next() else {
                self.cursors.remove(index);
                return Ok(());
            };
            let batch = self.answer(index, &batch?)?;
            if batch.num_rows() > 0 {
                let cursor = &mut self.cursors[index];
                (cursor.batch, cursor.row) = (batch, 0);
                return Ok(());
            }
        }
    }

    fn least(&self) -> Option<usize> {
        let heads = self.cursors.iter().enumerate();
        heads.min_by(|(_, a), (_, b)| compare(a, b)).map(|(index, _)| index)
    }

    /// A segment's batch with the columns of the answer, without rows that nobody asked for.
    fn answer(&self, cursor: usize, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let (rows, contig) = (batch.num_rows(), self.plan.parts[self.part].contig);
        let [contigs, models, tracks] = &self.cursors[cursor].names;
        let column = |name: &str| batch.column_by_name(name).map(Arc::clone);
        let mut columns = Vec::with_capacity(self.plan.schema().fields().len());
        for field in self.plan.schema().fields() {
            columns.push(match field.name().as_str() {
                "contig" => contigs.slice(0, rows),
                "model" => models.slice(0, rows),
                "track" => tracks.slice(0, rows),
                other => column(other).unwrap_or_else(|| new_null_array(field.data_type(), rows)),
            });
        }
        debug_assert_eq!(self.plan.schema().field(0).name(), ANSWER_COLUMNS[0]);
        let batch = RecordBatch::try_new(Arc::clone(self.plan.schema()), columns)?;
        let batch = match &self.plan.filter {
            Some(filter) => filter_record_batch(&batch, &filter.wanted(&batch))?,
            None => batch,
        };
        if !self.plan.is_selective() {
            return Ok(batch);
        }
        let rows = batch.num_rows();
        let positions = batch.column(1).as_primitive::<UInt32Type>();
        let (references, alternates) =
            (batch.column(2).as_string::<i32>(), batch.column(3).as_string::<i32>());
        let wanted: BooleanArray = (0..rows)
            .map(|row| {
                Some(self.plan.wants(&Variant {
                    contig,
                    position: positions.value(row) - 1,
                    reference: references.value(row).into(),
                    alternate: alternates.value(row).into(),
                }))
            })
            .collect();
        Ok(filter_record_batch(&batch, &wanted)?)
    }
}

fn compare(a: &Cursor, b: &Cursor) -> Ordering {
    a.head().cmp(&b.head())
}

/// One batch from runs of rows: a slice when one run is all, else a copy.
fn gather(
    sources: &[RecordBatch],
    runs: &[(usize, Range<usize>)],
) -> Result<Option<RecordBatch>, StoreError> {
    match runs {
        [] => Ok(None),
        [(source, rows)] => Ok(Some(sources[*source].slice(rows.start, rows.len()))),
        runs => {
            let indices: Vec<(usize, usize)> =
                runs.iter().flat_map(|(source, rows)| rows.clone().map(move |row| (*source, row))).collect();
            let schema = sources[0].schema();
            let column = |number: usize| -> Result<ArrayRef, StoreError> {
                let arrays: Vec<&dyn Array> =
                    sources.iter().map(|batch| batch.column(number).as_ref()).collect();
                if !matches!(arrays[0].data_type(), DataType::Dictionary(..)) {
                    return Ok(interleave(&arrays, &indices)?);
                }
                // All share their values, which must stay the same ones: an Arrow file knows no others.
                let named: Vec<_> = arrays.iter().map(|array| array.as_dictionary::<Int32Type>()).collect();
                let keys = indices.iter().map(|(source, row)| named[*source].keys().value(*row));
                let keys = Int32Array::from_iter_values(keys);
                Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(named[0].values()))?))
            };
            let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(RecordBatch::try_new(schema, columns)?))
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}
