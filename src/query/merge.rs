//! Merges the sorted rows of segments into one sorted answer.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    new_null_array,
};
use arrow::compute::{cast, filter_record_batch, interleave};
use arrow::datatypes::{DataType, Field, Int32Type};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use vestore_schema::{Calibration, Position, Scale, Segment, Track};

use super::ANSWER_COLUMNS;
use super::filter::{Bound, BoundFilter};
use super::lists::Lists;
use super::plan::{Part, QueryPlan};
use super::scan::{BATCH_ROWS, SegmentReader, SegmentRows};
use crate::calibration::Calibrated;
use crate::narrow::to_usize;
use crate::store::{RowKeys, StoreError};

/// The part of a batch whose rows, of one segment, are worth a batch of their own, which costs no copy.
const LONG_RUN: usize = 8;

/// The rows of an answer, in batches. Segments are opened when their first row comes near, so that few
/// are open at a time however many hold the answer.
pub struct Rows<'a> {
    plan: &'a QueryPlan,
    names: Names,
    part: usize,
    next_segment: usize,
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
    /// The number of the batch among the sources of the batch in the making.
    source: Option<usize>,
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
        let keys = RowKeys::of(&self.batch);
        let row = |row: usize| {
            let (reference, alternate) = keys.alleles(row);
            place(keys.position(row), [reference.as_bytes(), alternate.as_bytes()])
        };
        self.places.clear();
        self.places.extend((0..self.batch.num_rows()).map(row));
    }

    /// How its row lies to one of another: by position, reference, alternate and track, the order of an answer
    /// within a contig. The places of both must be known.
    fn order(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let (place, other_place) = (self.places[row], other.places[other_row]);
        let settled = place.cmp(&other_place);
        let by_variant = if settled.is_eq() && place & 1 == 1 {
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

/// Position and begins of the alleles as a number that orders as they do. Where it is odd, alleles go on beyond
/// it, and equal places do not mean equal alleles.
fn place(position: Position, [reference, alternate]: [&[u8]; 2]) -> u64 {
    let letter = |allele: &[u8], at: usize| allele.get(at).map_or(0, |byte| u64::from(*byte).min(127));
    // What comes after a byte that was made smaller says nothing.
    let begin = |allele: &[u8]| match letter(allele, 0) {
        127 => (1 << 14) - 1,
        first => first << 7 | letter(allele, 1),
    };
    let whole = |allele: &[u8]| allele.len() <= 2 && allele.iter().all(|byte| *byte < 127);
    // An alternate counts only where the whole reference does; a longer reference comes after its begin.
    let after = if whole(reference) { begin(alternate) } else { (1 << 14) - 1 };
    let open = u64::from(!(whole(reference) && whole(alternate)));
    u64::from(position.zero_based()) << 32 | begin(reference) << 18 | after << 4 | open
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
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        let (mut count, most) = (0, self.most);
        if self.next_segment == 0 {
            self.plan.store().fetch_tails(&part.segments);
        }
        let long_run = (most / LONG_RUN).max(1);
        self.cursors.iter_mut().for_each(|cursor| cursor.source = None);
        while count < most {
            self.open_segments(part)?;
            let Some(least) = self.least() else { break };
            let length = {
                let cursor = &self.cursors[least];
                let others = self.cursors.iter().enumerate().filter(|(index, _)| *index != least);
                let next = others.map(|(_, other)| other).min_by(|a, b| a.order(a.row, b, b.row));
                let mut length = cursor.batch.num_rows() - cursor.row;
                if let Some(next) = next {
                    length = cursor.run(|row| cursor.order(row, next, next.row).is_lt());
                }
                if let Some((_, segment)) = part.segments.get(self.next_segment) {
                    // Its first row may lie anywhere from its first position on.
                    length = length.min(cursor.run(|row| cursor.position(row) < segment.first));
                }
                length.min(most - count)
            };
            let cursor = &mut self.cursors[least];
            if length == 0 {
                return Err(cursor.rows.damaged("another segment holds the same variant of the same track"));
            }
            if length >= long_run && count > 0 {
                break; // It goes out by itself, as a slice.
            }
            let source = *cursor.source.get_or_insert_with(|| {
                sources.push(cursor.batch.clone());
                sources.len() - 1
            });
            runs.push((source, cursor.row..cursor.row + length));
            count += length;
            cursor.row += length;
            if cursor.row == cursor.batch.num_rows() {
                self.advance(least)?;
            }
            if length >= long_run {
                break;
            }
        }
        gather(&sources, &runs)
    }

    /// Opens every segment that may hold a row before or beside the least open one.
    fn open_segments(&mut self, part: &Part) -> Result<(), StoreError> {
        while let Some((track, segment)) = part.segments.get(self.next_segment) {
            let reached = match self.least() {
                None => true,
                Some(least) => segment.first <= self.cursors[least].position(self.cursors[least].row),
            };
            if !reached {
                break;
            }
            self.next_segment += 1;
            let rows = self.read(*track, segment, part)?;
            let empty = RecordBatch::new_empty(Arc::clone(self.plan.schema()));
            let names = [
                repeated(&self.names.contigs, self.part, segment)?,
                repeated(&self.names.models, self.names.model_of[*track], segment)?,
                repeated(&self.names.tracks, *track, segment)?,
            ];
            self.cursors.push(Cursor {
                track: *track,
                names,
                rows,
                batch: empty,
                row: 0,
                places: Vec::new(),
                source: None,
            });
            self.advance(self.cursors.len() - 1)?;
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
            let keys = RowKeys::of(batch);
            let rows: BooleanArray =
                (0..batch.num_rows()).map(|row| Some(self.plan.wants(&keys.variant(contig, row)))).collect();
            wanted = filter_record_batch(batch, &rows)?;
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
            let columns = (0..schema.fields().len()).into_par_iter().map(column);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
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
        let batch = self.next_batch().map_err(|error| error.of_store(self.plan.store())).transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}

#[cfg(test)]
mod tests {
    use vestore_schema::Position;

    use super::place;
    use crate::fixture::Random;

    #[test]
    fn places_order_as_variants_do() {
        let mut random = Random::new(2);
        let allele = |random: &mut Random| -> Vec<u8> {
            let letters = [b"AC".as_slice(), b"A<\x7e\x7f\xc3"][random.below(2) as usize];
            (0..=random.below(4)).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
        };
        let variants: Vec<(u32, Vec<u8>, Vec<u8>)> =
            (0..400).map(|_| (random.below(2) as u32, allele(&mut random), allele(&mut random))).collect();
        let at = |(position, reference, alternate): &(u32, Vec<u8>, Vec<u8>)| {
            place(Position::new(*position), [reference, alternate])
        };
        for a in &variants {
            for b in &variants {
                match at(a).cmp(&at(b)) {
                    std::cmp::Ordering::Equal => assert!(a == b || at(a) & 1 == 1, "{a:?} {b:?}"),
                    order => assert_eq!(order, a.cmp(b), "{a:?} {b:?}"),
                }
            }
        }
    }
}
