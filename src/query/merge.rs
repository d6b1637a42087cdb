//! Merges the sorted rows of segments into one sorted answer.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, SchemaRef};
use vestore_schema::{Calibration, Position, Scale, Segment, Track};

use super::ANSWER_COLUMNS;
use super::filter::{Bound, BoundFilter};
use super::gather::{Pick, gather, in_turn};
use super::lists::Lists;
use super::order::{are_alike, find_places, first_place, is_open};
use super::plan::{Part, QueryPlan};
use super::scan::{BATCH_ROWS, SegmentReader, SegmentRows};
use crate::calibration::Calibrated;
use crate::narrow::{to_u32, to_usize};
use crate::store::{RowKeys, StoreError};

/// The part of a batch whose rows, of one segment, are worth a batch of their own, which costs no copy.
const LONG_RUN: usize = 8;

/// Consecutive rows of one segment after which counting those that follow is worthwhile.
const MOST_ALONE: usize = 64;

/// Rows of the same variants in all tracks that are worth a batch of their own.
const FEWEST_ALIKE: usize = 64;

/// Why a segment is damaged.
const TWICE: &str = "another segment holds the same variant of the same track";

/// The rows of an answer, in batches. Segments are opened when their first row comes near, so that few
/// are open at a time however many hold the answer.
pub struct Rows<'a> {
    plan: &'a QueryPlan,
    names: Names,
    part: usize,
    next_segment: usize,
    /// The next segment, opened while those before are read.
    ahead: Option<Result<SegmentRows, StoreError>>,
    /// By track.
    cursors: Vec<Cursor>,
    /// Rows of one batch.
    most: usize,
    /// The calibrations in use.
    calibrated: Vec<Calibrated>,
    failed: bool,
}

/// Names of contigs, models and tracks, as dictionaries that all batches share. No name is in one twice: pandas takes
/// no such categories.
struct Names {
    contigs: ArrayRef,
    models: ArrayRef,
    /// Of each track, the index of its model's name.
    model_of: Vec<usize>,
    tracks: ArrayRef,
}

/// One of `names` as often as a batch of `segment` has rows at most.
fn repeated(names: &ArrayRef, index: usize, segment: &Segment) -> Result<ArrayRef, StoreError> {
    let key = i32::try_from(index).expect("a catalog has fewer names; this is a bug");
    let keys = Int32Array::from_value(key, to_usize(segment.rows).min(BATCH_ROWS));
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
    /// The places of the batch's rows, as soon as there is another cursor.
    places: Vec<u64>,
    /// The number of the batch among the sources of the batch in the making, and its first row there.
    source: Option<(u32, usize)>,
}

impl Cursor {
    fn position(&self, row: usize) -> Position {
        Position::from_column(self.batch.column(1).as_primitive::<Int32Type>().value(row))
    }

    fn alleles(&self, row: usize) -> (&str, &str) {
        (
            self.batch.column(2).as_string::<i32>().value(row),
            self.batch.column(3).as_string::<i32>().value(row),
        )
    }

    /// Makes sure that the places of its rows are known.
    fn locate(&mut self) {
        if self.places.len() == self.batch.num_rows() {
            return;
        }
        find_places(&RowKeys::of(&self.batch), &mut self.places);
    }

    /// How its row lies to one of another: by position, reference, alternate and track, the order of an answer
    /// within a contig. The places of both must be known.
    fn order(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let (place, other_place) = (self.places[row], other.places[other_row]);
        let settled = place.cmp(&other_place);
        let by_variant = if settled.is_eq() && is_open(place) {
            self.alleles(row).cmp(&other.alleles(other_row))
        } else {
            settled
        };
        by_variant.then(self.track.cmp(&other.track))
    }

    /// How many rows of the batch, from `row` on, are `before` something; the first of them is.
    fn run(&self, before: impl Fn(usize) -> bool) -> usize {
        let end = self.batch.num_rows();
        if before(end - 1) {
            return end - self.row;
        }
        // Gallop: where segments interleave, runs are short.
        let mut step = 1;
        while self.row + step < end && before(self.row + step) {
            step *= 2;
        }
        let (mut low, mut high) = (step / 2, step.min(end - self.row));
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(self.row + middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(plan: &'a QueryPlan) -> Self {
        // Those of the answer alone: an assembly may have a hundred thousand.
        let assembly = plan.store().assembly();
        let contigs = plan.parts.iter().map(|part| assembly.contig(part.contig).name.as_str());
        let (mut models, mut model_of): (Vec<&str>, _) = (Vec::new(), Vec::new());
        for track in plan.tracks.iter() {
            let known = models.iter().position(|model| *model == track.model);
            model_of.push(known.unwrap_or(models.len()));
            if known.is_none() {
                models.push(&track.model);
            }
        }
        let names = Names {
            contigs: Arc::new(StringArray::from_iter_values(contigs)),
            models: Arc::new(StringArray::from_iter_values(models)),
            model_of,
            tracks: Arc::new(StringArray::from_iter_values(plan.tracks.iter().map(|track| &track.name))),
        };
        let most = Lists::of(plan.schema().fields()).batch_rows();
        Self {
            plan,
            names,
            part: 0,
            next_segment: 0,
            ahead: None,
            cursors: Vec::new(),
            most,
            calibrated: Vec::new(),
            failed: false,
        }
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
        if self.next_segment == 0 {
            self.plan.store().fetch_tails(&part.segments);
        }
        let mut picked = Picked::default();
        let long_run = (self.most / LONG_RUN).max(1);
        self.cursors.iter_mut().for_each(|cursor| cursor.source = None);
        while picked.rows.len() < self.most {
            self.open_segments(part)?;
            if let Some(rows) = self.rows_alike(part) {
                if picked.rows.is_empty() {
                    return self.in_turn(rows).map(Some);
                }
                break;
            }
            let Some(least) = self.least() else { break };
            // The first row of a segment may lie anywhere from its first position on.
            let bound = part.segments.get(self.next_segment).map(|(_, segment)| segment.first);
            let length = {
                let cursor = &self.cursors[least];
                let others = self.cursors.iter().enumerate().filter(|(index, _)| *index != least);
                let next = others.map(|(_, other)| other).min_by(|a, b| a.order(a.row, b, b.row));
                let mut length = cursor.batch.num_rows() - cursor.row;
                if let Some(next) = next {
                    length = cursor.run(|row| cursor.order(row, next, next.row).is_lt());
                }
                if let Some(bound) = bound {
                    length = length.min(cursor.run(|row| cursor.position(row) < bound));
                }
                length.min(self.most - picked.rows.len())
            };
            let cursor = &mut self.cursors[least];
            if length == 0 {
                return Err(cursor.rows.damaged(TWICE));
            }
            if length >= long_run {
                if picked.rows.is_empty() {
                    let batch = cursor.batch.slice(cursor.row, length);
                    cursor.row += length;
                    self.advance_ended(&mut picked)?;
                    return Ok(Some(batch));
                }
                break; // It goes out by itself, as a slice.
            }
            for _ in 0..length {
                picked.next_of(cursor);
            }
            if cursor.row < cursor.batch.num_rows() {
                self.interleave(bound, &mut picked)?;
            }
            self.advance_ended(&mut picked)?;
        }
        for cursor in &self.cursors {
            picked.end(cursor);
        }
        picked.gather(self.plan.schema())
    }

    /// How many of the next rows are of the same variants in all tracks, one row each; none where there are few.
    fn rows_alike(&self, part: &Part) -> Option<usize> {
        let (first, others) = self.cursors.split_first().filter(|(_, others)| !others.is_empty())?;
        let left = self.cursors.iter().map(|cursor| cursor.batch.num_rows() - cursor.row).min()?;
        // In equal pieces: none is small where there are many rows.
        let pieces = left.div_ceil((self.most / self.cursors.len()).max(1)).max(1);
        let mut rows = left.div_ceil(pieces);
        if let Some((_, segment)) = part.segments.get(self.next_segment) {
            rows = rows.min(first.run(|row| first.position(row) < segment.first));
        }
        let keys = RowKeys::of(&first.batch);
        let is_alike =
            |other: &Cursor| are_alike((keys, first.row), (RowKeys::of(&other.batch), other.row), rows);
        let by_track = self.cursors.windows(2).all(|pair| pair[0].track < pair[1].track);
        let found = rows >= FEWEST_ALIKE && by_track && keys.are_of_variants() && others.iter().all(is_alike);
        found.then_some(rows)
    }

    /// The next `rows` of all tracks, which are of the same variants.
    fn in_turn(&mut self, rows: usize) -> Result<RecordBatch, StoreError> {
        let batches: Vec<RecordBatch> =
            self.cursors.iter().map(|cursor| cursor.batch.slice(cursor.row, rows)).collect();
        for index in (0..self.cursors.len()).rev() {
            let cursor = &mut self.cursors[index];
            cursor.row += rows;
            if cursor.row == cursor.batch.num_rows() {
                self.advance(index)?;
            }
        }
        let column = |number: usize| {
            let columns: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(number)).collect();
            in_turn(&columns, rows)
        };
        let columns = (0..self.plan.schema().fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(SchemaRef::clone(self.plan.schema()), columns)?)
    }

    /// Picks rows of all cursors in turn, up to a full batch, the end of the batch of a cursor, the first position
    /// of a segment that is not open, a place that does not hold whole alleles, or many rows of one cursor.
    fn interleave(&mut self, bound: Option<Position>, picked: &mut Picked) -> Result<(), StoreError> {
        let bound = bound.map_or(u64::MAX, first_place);
        let head = |cursor: &Cursor| cursor.places.get(cursor.row).copied();
        let Some(mut heads) = self.cursors.iter().map(head).collect::<Option<Vec<u64>>>() else {
            return Ok(());
        };
        let mut alone = 0;
        while picked.rows.len() < self.most {
            let least = heads.iter().copied().min().unwrap_or(bound);
            if least >= bound || is_open(least) || alone == MOST_ALONE {
                return Ok(());
            }
            let mut track = None;
            for (cursor, head) in self.cursors.iter_mut().zip(&mut heads) {
                if *head == least && track.replace(cursor.track) == Some(cursor.track) {
                    return Err(cursor.rows.damaged(TWICE));
                }
                while *head == least {
                    if picked.rows.len() == self.most {
                        return Ok(());
                    }
                    picked.next_of(cursor);
                    alone = if picked.of_one_source() { alone + 1 } else { 0 };
                    match cursor.places.get(cursor.row) {
                        Some(next) => *head = *next,
                        None => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves the cursors that are at the end of their batches.
    fn advance_ended(&mut self, picked: &mut Picked) -> Result<(), StoreError> {
        for index in (0..self.cursors.len()).rev() {
            if self.cursors[index].row == self.cursors[index].batch.num_rows() {
                picked.end(&self.cursors[index]);
                self.advance(index)?;
            }
        }
        Ok(())
    }

    /// Opens every segment that may hold a row before or beside the least open one.
    fn open_segments(&mut self, part: &Part) -> Result<(), StoreError> {
        while let Some((track, segment)) = part.segments.get(self.next_segment) {
            let least = self.cursors.iter().map(|cursor| cursor.position(cursor.row)).min();
            if least.is_some_and(|least| least < segment.first) {
                break;
            }
            self.next_segment += 1;
            let ahead = self.ahead.take();
            let rows = ahead.unwrap_or_else(|| self.read(*track, segment, part))?;
            let empty = RecordBatch::new_empty(Arc::clone(self.plan.schema()));
            let names = [
                repeated(&self.names.contigs, self.part, segment)?,
                repeated(&self.names.models, self.names.model_of[*track], segment)?,
                repeated(&self.names.tracks, *track, segment)?,
            ];
            let cursor =
                Cursor { track: *track, names, rows, batch: empty, row: 0, places: Vec::new(), source: None };
            let index = self.cursors.partition_point(|cursor| cursor.track <= *track);
            self.cursors.insert(index, cursor);
            self.advance(index)?;
        }
        if let (None, Some((track, segment))) = (&self.ahead, part.segments.get(self.next_segment)) {
            self.ahead = Some(self.read(*track, segment, part));
        }
        Ok(())
    }

    /// Reads the calibrations of a track whose columns are asked for.
    fn calibrate(&mut self, track: &Track) -> Result<(), StoreError> {
        for field in self.plan.schema().fields() {
            if let Some((calibration, _)) = made(track, field)
                && !self.calibrated.iter().any(|known| known.calibration().id == calibration.id)
            {
                self.calibrated.push(Calibrated::new(self.plan.store(), calibration)?);
            }
        }
        Ok(())
    }

    fn read(&mut self, track: usize, segment: &Segment, part: &Part) -> Result<SegmentRows, StoreError> {
        let plan = self.plan;
        self.calibrate(&plan.tracks[track])?;
        let of = &plan.tracks[track];
        let reader = SegmentReader::open(plan.store(), segment)?.of_track(&plan.tracks[track])?;
        let reader = reader.with_targets(plan.targets.as_ref().map(|targets| &targets.indices));
        let stored =
            |field| made(of, field).map_or(Field::name(field), |(calibration, _)| &calibration.column);
        let names = plan.schema().fields().iter().map(|field| stored(field));
        let columns: Option<Vec<usize>> =
            plan.projected.then(|| names.filter_map(|name| reader.column(name)).collect());
        let bounds: Vec<Bound<'_>> = plan.filter.as_ref().map(BoundFilter::bounds).unwrap_or_default();
        let bounds: Vec<Bound<'_>> = bounds.into_iter().filter_map(|bound| self.stored(of, bound)).collect();
        reader.read_where(&part.ranges, columns.as_deref(), &bounds)
    }

    /// What a bound means for a column that is stored, if it can be said.
    fn stored<'b>(&'b self, track: &Track, bound: Bound<'b>) -> Option<Bound<'b>> {
        let Some((calibration, scale)) = track.calibrated(bound.column) else { return Some(bound) };
        let known = self.calibrated.iter().find(|known| known.calibration().id == calibration.id)?;
        known.bound(scale, &bound)
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
                (cursor.batch, cursor.row, cursor.source) = (batch, 0, None);
                cursor.places.clear();
                return Ok(());
            }
        }
    }

    /// The cursor whose row comes first.
    fn least(&mut self) -> Option<usize> {
        if self.cursors.len() > 1 {
            self.cursors.iter_mut().for_each(Cursor::locate);
        }
        let heads = self.cursors.iter().enumerate();
        heads.min_by(|(_, a), (_, b)| a.order(a.row, b, b.row)).map(|(index, _)| index)
    }

    /// A segment's batch with the columns of the answer, without rows that nobody asked for.
    fn answer(&mut self, cursor: usize, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let contig = self.plan.parts[self.part].contig;
        let wanted;
        let batch = if self.plan.is_selective() {
            wanted = filter_record_batch(batch, &self.plan.wanted(contig, &RowKeys::of(batch)))?;
            &wanted
        } else {
            batch
        };
        let rows = batch.num_rows();
        let Cursor { names: [contigs, models, tracks], track, .. } = &self.cursors[cursor];
        let track = &self.plan.tracks[*track];
        let mut columns = Vec::with_capacity(self.plan.schema().fields().len());
        for field in self.plan.schema().fields() {
            columns.push(match field.name().as_str() {
                "contig" => contigs.slice(0, rows),
                "model" => models.slice(0, rows),
                "track" => tracks.slice(0, rows),
                other => match (made(track, field), batch.column_by_name(other)) {
                    (Some((calibration, scale)), _) => {
                        let known =
                            self.calibrated.iter_mut().find(|known| known.calibration().id == calibration.id);
                        let known = known.expect("it was read with the segment; this is a bug");
                        let column = batch.column_by_name(&calibration.column);
                        let Some(scores) = column.and_then(|column| column.as_primitive_opt()) else {
                            let rows = &self.cursors[cursor].rows;
                            return Err(rows.damaged("it has no scores to calibrate"));
                        };
                        known.column(scale, scores, batch, contig)?
                    }
                    // Named as what a calibration of another track makes.
                    (None, Some(column)) if *field.data_type() == DataType::Float64 => {
                        cast(column, field.data_type())?
                    }
                    (None, Some(column)) => Arc::clone(column),
                    (None, None) => new_null_array(field.data_type(), rows),
                },
            });
        }
        debug_assert_eq!(self.plan.schema().field(0).name(), ANSWER_COLUMNS[0]);
        let batch = RecordBatch::try_new(Arc::clone(self.plan.schema()), columns)?;
        match &self.plan.filter {
            Some(filter) => Ok(filter_record_batch(&batch, &filter.wanted(&batch))?),
            None => Ok(batch),
        }
    }
}

/// The calibration and the scale that make a column of an answer. Stored scores are float32, what is made of them is
/// float64.
fn made<'a>(track: &'a Track, field: &Field) -> Option<(&'a Calibration, Scale)> {
    (*field.data_type() == DataType::Float64).then(|| track.calibrated(field.name())).flatten()
}

/// The rows of a batch in the making.
#[derive(Default)]
struct Picked {
    /// Batches, from their first picked rows on; up to their last where they have ended.
    sources: Vec<RecordBatch>,
    rows: Vec<Pick>,
}

impl Picked {
    /// Picks the next row of a cursor.
    fn next_of(&mut self, cursor: &mut Cursor) {
        let (source, first) = *cursor.source.get_or_insert_with(|| {
            self.sources.push(cursor.batch.slice(cursor.row, cursor.batch.num_rows() - cursor.row));
            (to_u32(self.sources.len() - 1), cursor.row)
        });
        self.rows.push((source, to_u32(cursor.row - first)));
        cursor.row += 1;
    }

    /// Whether the last two rows are of one source.
    fn of_one_source(&self) -> bool {
        matches!(self.rows.as_slice(), [.., (before, _), (last, _)] if before == last)
    }

    /// Nothing more will be picked of the batch of a cursor.
    fn end(&mut self, cursor: &Cursor) {
        if let Some((source, first)) = cursor.source {
            let source = &mut self.sources[source as usize];
            *source = source.slice(0, cursor.row - first);
        }
    }

    /// Them as one batch: of one source a slice, else a copy.
    fn gather(&self, schema: &SchemaRef) -> Result<Option<RecordBatch>, StoreError> {
        match self.sources.as_slice() {
            [] => Ok(None),
            [source] => Ok(Some(source.clone())),
            sources => {
                let column = |number: usize| {
                    let columns: Vec<&ArrayRef> = sources.iter().map(|batch| batch.column(number)).collect();
                    gather(&columns, &self.rows)
                };
                let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
                Ok(Some(RecordBatch::try_new(SchemaRef::clone(schema), columns)?))
            }
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.next_batch().map_err(|error| error.of_store(self.plan.store())).transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}
