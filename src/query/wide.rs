//! Answers with one row per variant: the rows of its tracks side by side.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, filter_record_batch, interleave, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use vestore_schema::{Assembly, STATUS_COLUMN, Scale, Track};

use super::filter::{BoundFilter, Filter, FilterError};
use super::merge::Rows;
use super::scan::BATCH_ROWS;
use super::{QueryPlan, TRACKS_KEY};
use crate::narrow::{to_index, to_u32};
use crate::store::StoreError;

/// Columns of a wide answer that name the variant.
const KEYS: usize = 4;

/// The schema of a wide answer over the scores of `tracks`: contig, position, alleles, then for each track
/// `<track>.<column>` for its score columns and what calibrations make of them, and `<track>.status`, which is missing
/// where the track has no row.
#[must_use]
pub fn wide_schema(tracks: &[Track]) -> SchemaRef {
    let long = super::answer_schema(tracks);
    let mut fields = long.fields()[..KEYS].to_vec();
    for track in tracks {
        let kind = |scale: Option<Scale>| scale.map_or(DataType::Float32, |_| DataType::Float64);
        let scores = track.scores().map(|(column, scale)| (column, kind(scale)));
        for (column, kind) in scores.chain([(STATUS_COLUMN.to_owned(), DataType::Utf8)]) {
            fields.push(Arc::new(Field::new(format!("{}.{column}", track.name), kind, true)));
        }
    }
    let tracks = serde_json::json!(tracks).to_string();
    let metadata = arrow::datatypes::Metadata::default().with(TRACKS_KEY, tracks);
    Arc::new(Schema::new(fields).with_metadata(metadata))
}

/// The rows of an answer over scores, one for each variant. Where the tracks have the same variants, batches of them
/// stand side by side without a copy; elsewhere their keys are merged, and their columns copied.
pub struct WideRows<'a> {
    sides: Vec<Side<'a>>,
    tracks: &'a [Track],
    schema: SchemaRef,
    filter: Option<BoundFilter>,
    failed: bool,
}

/// The rows of one track.
struct Side<'a> {
    rows: Rows<'a>,
    /// What was read and has not left; none at the end.
    batch: Option<RecordBatch>,
}

/// The keys of a batch.
#[derive(Clone, Copy)]
struct Keys<'a> {
    /// The order of the contig in the answer.
    contigs: &'a [i32],
    positions: &'a [i32],
    references: &'a StringArray,
    alternates: &'a StringArray,
}

impl<'a> Keys<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        Self {
            contigs: batch.column(0).as_dictionary::<Int32Type>().keys().values(),
            positions: batch.column(1).as_primitive::<Int32Type>().values(),
            references: batch.column(2).as_string(),
            alternates: batch.column(3).as_string(),
        }
    }

    fn at(self, row: usize) -> (i32, i32, &'a str, &'a str) {
        (self.contigs[row], self.positions[row], self.references.value(row), self.alternates.value(row))
    }

    fn order(self, row: usize, other: Self, other_row: usize) -> Ordering {
        self.at(row).cmp(&other.at(other_row))
    }

    /// Whether the first `rows` of both are of the same variants.
    fn begin_alike(self, other: Self, rows: usize) -> bool {
        self.contigs[..rows] == other.contigs[..rows]
            && self.positions[..rows] == other.positions[..rows]
            && same_texts(self.references, other.references, rows)
            && same_texts(self.alternates, other.alternates, rows)
    }
}

/// Whether the first `rows` of two columns without nulls are equal.
fn same_texts(one: &StringArray, other: &StringArray, rows: usize) -> bool {
    let [(starts, bytes), (other_starts, other_bytes)] = [one, other].map(|texts| {
        let starts = &texts.value_offsets()[..=rows];
        (starts, &texts.value_data()[to_index(starts[0])..to_index(starts[rows])])
    });
    let lengths = |(start, other): (&i32, &i32)| start - starts[0] == other - other_starts[0];
    bytes == other_bytes && starts.iter().zip(other_starts).all(lengths)
}

impl<'a> WideRows<'a> {
    /// Of the tracks of a plan over scores; `by_track` is [`QueryPlan::by_track`] of it.
    #[must_use]
    pub fn new(plan: &'a QueryPlan, by_track: &'a [QueryPlan]) -> Self {
        let side = |plan: &'a QueryPlan| Side { rows: plan.rows(), batch: None };
        Self {
            sides: by_track.iter().map(side).collect(),
            tracks: &plan.tracks,
            schema: wide_schema(&plan.tracks),
            filter: None,
            failed: false,
        }
    }

    /// Of the variants that fulfil `filter` alone, whose columns are those of [`wide_schema`].
    ///
    /// # Errors
    /// When the answer has no such column, or `assembly` no such contig.
    pub fn with_filter(mut self, filter: &Filter, assembly: &Assembly) -> Result<Self, FilterError> {
        self.filter = Some(filter.bind(&self.schema, assembly)?);
        Ok(self)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            for side in &mut self.sides {
                while side.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
                    side.batch = side.rows.next().transpose()?;
                    if side.batch.is_none() {
                        break;
                    }
                }
            }
            let left = self.sides.iter().filter_map(|side| side.batch.as_ref().map(RecordBatch::num_rows));
            let Some(rows) = left.min() else { return Ok(None) };
            let wide = if self.are_alike(rows) { self.zip(rows)? } else { self.merge()? };
            let wide = match &self.filter {
                Some(filter) => filter_record_batch(&wide, &filter.wanted(&wide))?,
                None => wide,
            };
            if wide.num_rows() > 0 {
                return Ok(Some(wide));
            }
        }
    }

    /// Whether the next `rows` of every track that has some are of the same variants.
    fn are_alike(&self, rows: usize) -> bool {
        let mut keys = self.sides.iter().filter_map(|side| side.batch.as_ref().map(Keys::of));
        let first = keys.next();
        first.is_some_and(|first| keys.all(|other| first.begin_alike(other, rows)))
    }

    /// The next `rows` of all tracks, which are of the same variants.
    fn zip(&mut self, rows: usize) -> Result<RecordBatch, StoreError> {
        let first = self.sides.iter().find_map(|side| side.batch.as_ref());
        let first = first.expect("a track has rows; this is a bug").slice(0, rows);
        let mut columns = first.columns()[..KEYS].to_vec();
        for (side, track) in self.sides.iter_mut().zip(self.tracks) {
            let batch = side.batch.as_ref().map(|batch| batch.slice(0, rows));
            let unchanged = |column: &ArrayRef| Ok(Arc::clone(column));
            add(&mut columns, &self.schema, track, batch.as_ref(), rows, unchanged)?;
            if let Some(batch) = &mut side.batch {
                *batch = batch.slice(rows, batch.num_rows() - rows);
            }
        }
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }

    /// The next variants of all tracks, in order, until the batch of one is used up.
    fn merge(&mut self) -> Result<RecordBatch, StoreError> {
        let batches: Vec<Option<RecordBatch>> = self.sides.iter().map(|side| side.batch.clone()).collect();
        let keys: Vec<Option<Keys<'_>>> = batches.iter().map(|batch| batch.as_ref().map(Keys::of)).collect();
        let mut next = vec![0; keys.len()];
        // The row of each track for each variant, and the track and row that its key is read from.
        let mut rows: Vec<Vec<Option<u32>>> = vec![Vec::new(); keys.len()];
        let mut from: Vec<(usize, usize)> = Vec::new();
        let used_up = |next: &[usize]| {
            keys.iter().zip(next).any(|(keys, next)| keys.is_some_and(|keys| *next == keys.positions.len()))
        };
        while from.len() < BATCH_ROWS && !used_up(&next) {
            let mut least: Option<(usize, Keys<'_>)> = None;
            for (side, of_side) in keys.iter().enumerate() {
                let Some(of_side) = *of_side else { continue };
                let is_less = least
                    .is_none_or(|(least, of_least)| of_side.order(next[side], of_least, next[least]).is_lt());
                if is_less {
                    least = Some((side, of_side));
                }
            }
            let Some((least, of_least)) = least else { break };
            let row = next[least];
            from.push((least, row));
            for (side, of_side) in keys.iter().enumerate() {
                let has = of_side.is_some_and(|keys| keys.order(next[side], of_least, row).is_eq());
                rows[side].push(has.then(|| to_u32(next[side])));
                next[side] += usize::from(has);
            }
        }
        let mut columns = keys_from(&batches, &from)?;
        for ((batch, rows), track) in batches.iter().zip(rows).zip(self.tracks) {
            let rows = UInt32Array::from(rows);
            let taken = |column: &ArrayRef| Ok(take(column, &rows, None)?);
            add(&mut columns, &self.schema, track, batch.as_ref(), rows.len(), taken)?;
        }
        for (side, next) in self.sides.iter_mut().zip(next) {
            if let Some(batch) = &mut side.batch {
                *batch = batch.slice(next, batch.num_rows() - next);
            }
        }
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }
}

/// Adds the columns of a track: those of `batch`, each as `taken` makes it, or missing ones.
fn add(
    columns: &mut Vec<ArrayRef>,
    schema: &SchemaRef,
    track: &Track,
    batch: Option<&RecordBatch>,
    rows: usize,
    taken: impl Fn(&ArrayRef) -> Result<ArrayRef, StoreError>,
) -> Result<(), StoreError> {
    for name in track.scores().map(|(column, _)| column).chain([STATUS_COLUMN.to_owned()]) {
        let kind = schema.field(columns.len()).data_type();
        columns.push(match batch {
            None => new_null_array(kind, rows),
            Some(batch) => {
                let column = taken(batch.column(batch.schema_ref().index_of(&name)?))?;
                // Named as what a calibration of another track makes.
                if column.data_type() == kind { column } else { cast(&column, kind)? }
            }
        });
    }
    Ok(())
}

/// The columns of the keys: of each variant from a row of one of `batches`, which share the names of contigs.
fn keys_from(batches: &[Option<RecordBatch>], from: &[(usize, usize)]) -> Result<Vec<ArrayRef>, StoreError> {
    let empty = batches.iter().flatten().next().map(|batch| batch.slice(0, 0));
    let empty = empty.expect("a track has rows; this is a bug");
    let of = |side: usize| batches[side].as_ref().unwrap_or(&empty);
    let names = empty.column(0).as_dictionary::<Int32Type>().values();
    let contig =
        |(side, row): &(usize, usize)| of(*side).column(0).as_dictionary::<Int32Type>().keys().value(*row);
    let contigs = Int32Array::from_iter_values(from.iter().map(contig));
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(DictionaryArray::<Int32Type>::try_new(contigs, Arc::clone(names))?)];
    for column in 1..KEYS {
        let arrays: Vec<&dyn Array> =
            (0..batches.len()).map(|side| of(side).column(column).as_ref()).collect();
        columns.push(interleave(&arrays, from)?);
    }
    Ok(columns)
}

impl Iterator for WideRows<'_> {
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
