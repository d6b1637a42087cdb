//! Means of rows that stand side by side.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, NullBufferBuilder, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Float32Type};
use vestore_schema::{
    KEY_COLUMNS, STATUS_COLUMN, Status, Table, Track, Variant, effects_schema, effects_type, scores_schema,
};

use super::MeanError;
use super::lockstep::Lockstep;
use crate::narrow::{to_index, to_score, to_usize};
use crate::store::{RowKeys, StoreError, rounding};

/// What a score column is called that holds the largest absolute effect of a kind over its targets.
const LARGEST: &str = "_max_abs";

/// The largest absolute effects of the rows of a segment.
pub(super) struct Maxima {
    variants: Vec<Variant>,
    /// By kind and row.
    kinds: Vec<Vec<Option<f32>>>,
}

impl Maxima {
    pub(super) fn rows(&self) -> u64 {
        self.variants.len() as u64
    }
}

/// The rows of one segment of averaged effects.
pub(super) struct EffectMeans<'a, 'b> {
    track: &'a Track,
    rows: &'a mut Lockstep<'b>,
    left: usize,
    maxima: Maxima,
    failed: Option<MeanError>,
}

impl<'a, 'b> EffectMeans<'a, 'b> {
    /// Of the next rows, at most `most`.
    pub(super) fn new(track: &'a Track, rows: &'a mut Lockstep<'b>, most: u64) -> Self {
        let kinds = vec![Vec::new(); track.effect_columns.len()];
        let maxima = Maxima { variants: Vec::new(), kinds };
        Self { track, rows, left: to_usize(most), maxima, failed: None }
    }

    /// The largest effects of what was written.
    pub(super) fn finish(self) -> Result<Maxima, MeanError> {
        self.failed.map_or(Ok(self.maxima), Err)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, MeanError> {
        let Some(sides) = self.rows.next(self.left)? else { return Ok(None) };
        let rows = sides[0].num_rows();
        self.left -= rows;
        let keys = RowKeys::of(&sides[0]);
        self.maxima.variants.extend((0..rows).map(|row| keys.variant(0, row)));
        let mut columns = keys_of(&sides[0])?;
        for (kind, name) in self.track.effect_columns.iter().enumerate() {
            let lists = column(&sides, name)?;
            let lists: Vec<&FixedSizeListArray> =
                lists.iter().map(|list| list.as_fixed_size_list()).collect();
            let mean = list_mean(self.track, &lists)?;
            self.maxima.kinds[kind].extend((0..rows).map(|row| largest(&mean, row)));
            columns.push(Arc::new(mean));
        }
        columns.push(statuses(&sides, &columns[KEY_COLUMNS.len()..])?);
        let targets = self.track.targets.map_or(0, |targets| targets.count);
        let schema = effects_schema(&self.track.effect_columns, targets);
        Ok(Some(RecordBatch::try_new(schema, columns).map_err(StoreError::from)?))
    }
}

impl Iterator for EffectMeans<'_, '_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        handed_on(self.next_batch(), &mut self.failed)
    }
}

/// The rows of one segment of averaged scores.
pub(super) struct ScoreMeans<'a, 'b> {
    track: &'a Track,
    rows: &'a mut Lockstep<'b>,
    left: usize,
    /// The largest effects of these rows, of tracks with effects.
    maxima: Option<Maxima>,
    done: usize,
    incomplete: u64,
    failed: Option<MeanError>,
}

impl<'a, 'b> ScoreMeans<'a, 'b> {
    /// Of the next rows, at most `most`, or those that the largest effects are of.
    pub(super) fn new(
        track: &'a Track,
        rows: &'a mut Lockstep<'b>,
        most: u64,
        maxima: Option<Maxima>,
    ) -> Self {
        Self { track, rows, left: to_usize(most), maxima, done: 0, incomplete: 0, failed: None }
    }

    /// How many rows lack a value that some of the tracks have.
    pub(super) fn finish(self) -> Result<u64, MeanError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.maxima.filter(|_| self.left > 0) {
            Some(maxima) => Err(self.rows.lacking(&maxima.variants[self.done], Table::Effects)),
            None => Ok(self.incomplete),
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, MeanError> {
        let Some(sides) = self.rows.next(self.left)? else { return Ok(None) };
        let (rows, done) = (sides[0].num_rows(), self.done);
        self.left -= rows;
        self.done += rows;
        if let Some(maxima) = &self.maxima {
            let keys = RowKeys::of(&sides[0]);
            for (row, with) in (0..rows).zip(&maxima.variants[done..]) {
                let variant = keys.variant(0, row);
                if variant < *with {
                    return Err(self.rows.lacking(&variant, Table::Scores));
                }
                if variant > *with {
                    return Err(self.rows.lacking(with, Table::Effects));
                }
            }
        }
        let mut columns = keys_of(&sides[0])?;
        let mut incomplete = vec![false; rows];
        for name in &self.track.columns {
            let values = column(&sides, name)?;
            let values: Vec<&Float32Array> =
                values.iter().map(|values| values.as_primitive::<Float32Type>()).collect();
            for (row, incomplete) in incomplete.iter_mut().enumerate() {
                let missing = values.iter().filter(|values| values.is_null(row)).count();
                *incomplete |= missing > 0 && missing < values.len();
            }
            columns.push(match self.largest(name) {
                Some(largest) => {
                    Arc::new(largest[done..done + rows].iter().copied().collect::<Float32Array>())
                }
                None => Arc::new(mean(self.track, &values)),
            });
        }
        self.incomplete += incomplete.into_iter().map(u64::from).sum::<u64>();
        columns.push(statuses(&sides, &columns[KEY_COLUMNS.len()..])?);
        let schema = scores_schema(&self.track.columns);
        Ok(Some(RecordBatch::try_new(schema, columns).map_err(StoreError::from)?))
    }

    /// The largest absolute effects that a score column holds, if it does.
    fn largest(&self, column: &str) -> Option<&[Option<f32>]> {
        let kind = column.strip_suffix(LARGEST)?;
        let kind = self.track.effect_columns.iter().position(|name| name == kind)?;
        self.maxima.as_ref().map(|maxima| maxima.kinds[kind].as_slice())
    }
}

impl Iterator for ScoreMeans<'_, '_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        handed_on(self.next_batch(), &mut self.failed)
    }
}

/// A batch, or the end: what failed is told when the segment is done.
fn handed_on(
    batch: Result<Option<RecordBatch>, MeanError>,
    failed: &mut Option<MeanError>,
) -> Option<Result<RecordBatch, StoreError>> {
    match batch {
        Ok(batch) => batch.map(Ok),
        Err(error) => {
            *failed = Some(error);
            None
        }
    }
}

fn keys_of(batch: &RecordBatch) -> Result<Vec<ArrayRef>, StoreError> {
    KEY_COLUMNS.iter().map(|name| Ok(Arc::clone(batch.column(batch.schema().index_of(name)?)))).collect()
}

/// A column of each side.
fn column<'a>(sides: &'a [RecordBatch], name: &str) -> Result<Vec<&'a ArrayRef>, StoreError> {
    sides.iter().map(|batch| Ok(batch.column(batch.schema().index_of(name)?))).collect()
}

/// The mean of a number of each side; none where one is missing.
fn mean_of(sides: impl ExactSizeIterator<Item = Option<f32>>) -> Option<f32> {
    let count = sides.len() as f64;
    let sum = sides.map(|value| value.map(f64::from)).sum::<Option<f64>>()?;
    Some(to_score(sum / count))
}

/// A number, if it is there.
fn at(values: &Float32Array, row: usize) -> Option<f32> {
    values.is_valid(row).then(|| values.value(row))
}

/// Means of numbers.
fn mean(track: &Track, sides: &[&Float32Array]) -> Float32Array {
    let rounded = rounding(track);
    let mean = |row: usize| mean_of(sides.iter().map(|values| at(values, row))).map(&rounded);
    (0..sides[0].len()).map(mean).collect()
}

/// Means of lists, target by target. A list without a number is missing.
fn list_mean(track: &Track, sides: &[&FixedSizeListArray]) -> Result<FixedSizeListArray, StoreError> {
    let targets = track.targets.map_or(0, |targets| targets.count);
    let DataType::FixedSizeList(item, width) = effects_type(targets) else {
        unreachable!("effects are lists; this is a bug")
    };
    let (count, rounded) = (targets as usize, rounding(track));
    let numbers: Vec<&Float32Array> =
        sides.iter().map(|side| side.values().as_primitive::<Float32Type>()).collect();
    let mut present = NullBufferBuilder::new(sides[0].len());
    let mut means: Vec<Option<f32>> = Vec::with_capacity(sides[0].len() * count);
    for row in 0..sides[0].len() {
        let begin = means.len();
        if sides.iter().all(|side| side.is_valid(row)) {
            let begins: Vec<usize> = sides.iter().map(|side| to_index(side.value_offset_at(row))).collect();
            means.extend((0..count).map(|target| {
                let of = numbers.iter().zip(&begins);
                mean_of(of.map(|(numbers, begin)| at(numbers, begin + target))).map(&rounded)
            }));
        } else {
            means.resize(begin + count, None);
        }
        present.append(means[begin..].iter().any(Option::is_some));
    }
    let means = Arc::new(Float32Array::from(means));
    Ok(FixedSizeListArray::try_new(item, width, means, present.finish())?)
}

/// The largest absolute number of a list.
fn largest(lists: &FixedSizeListArray, row: usize) -> Option<f32> {
    let list = lists.is_valid(row).then(|| lists.value(row))?;
    list.as_primitive::<Float32Type>().iter().flatten().map(f32::abs).reduce(f32::max)
}

/// The statuses of averaged rows: of one without any of `values`, why the first track lacks them that does.
fn statuses(sides: &[RecordBatch], values: &[ArrayRef]) -> Result<ArrayRef, StoreError> {
    let of = column(sides, STATUS_COLUMN)?;
    let of: Vec<&StringArray> = of.iter().map(|statuses| statuses.as_string::<i32>()).collect();
    let status = |row: usize| {
        if values.iter().any(|column| column.is_valid(row)) {
            return Status::Scored.as_str();
        }
        let mut reasons = of.iter().map(|statuses| statuses.value(row));
        reasons.find(|reason| *reason != Status::Scored.as_str()).unwrap_or(Status::NonFinite.as_str())
    };
    Ok(Arc::new(StringArray::from_iter_values((0..sides[0].num_rows()).map(status))))
}
