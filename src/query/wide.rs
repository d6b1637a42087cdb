//! Answers with one row per variant: the rows of its tracks side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use vestore_schema::{Assembly, STATUS_COLUMN, Scale, Track};

use super::filter::{BoundFilter, Filter, FilterError};
use super::{AnswerRows, TRACKS_KEY};
use crate::narrow::{to_index, to_u32};
use crate::store::StoreError;

/// Columns of a wide answer that name the variant.
const KEYS: usize = 4;
const TRACK: usize = 5;

/// The schema of a wide answer over the scores of `tracks`: contig, position, alleles, then for each track
/// `<track>.<column>` for its score columns and what calibrations make of them, and `<track>.status`, which is missing where the track has no
/// row.
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

/// Turns the rows of an answer over scores into one row per variant.
pub struct WideRows<R> {
    rows: R,
    tracks: Vec<Track>,
    schema: SchemaRef,
    filter: Option<BoundFilter>,
    /// Rows of the last variant so far, of which more may come.
    rest: Option<RecordBatch>,
    done: bool,
}

impl<R: Iterator<Item = Result<RecordBatch, StoreError>>> WideRows<R> {
    /// Of `rows`, which answer over `tracks` and are sorted as answers are.
    #[must_use]
    pub fn new(rows: R, tracks: &[Track]) -> Self {
        let schema = wide_schema(tracks);
        Self { rows, tracks: tracks.to_vec(), schema, filter: None, rest: None, done: false }
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
        while !self.done {
            let batch = match (self.rest.take(), self.rows.next().transpose()?) {
                (rest, None) => {
                    self.done = true;
                    let Some(rest) = rest else { return Ok(None) };
                    rest
                }
                (None, Some(batch)) => batch,
                (Some(rest), Some(batch)) => concat_batches(&batch.schema(), [&rest, &batch])?,
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let starts = starts(&batch);
            let complete = if self.done { starts.len() } else { starts.len() - 1 };
            let end = starts.get(complete).map_or(batch.num_rows(), |start| *start as usize);
            if end < batch.num_rows() {
                self.rest = Some(batch.slice(end, batch.num_rows() - end));
            }
            let wide = self.widen(&batch.slice(0, end), &starts[..complete])?;
            let wide = match &self.filter {
                Some(filter) => filter_record_batch(&wide, &filter.wanted(&wide))?,
                None => wide,
            };
            if wide.num_rows() > 0 {
                return Ok(Some(wide));
            }
        }
        Ok(None)
    }

    /// `batch` with a row for each of `starts`, the numbers of the first rows of its variants.
    fn widen(&self, batch: &RecordBatch, starts: &[u32]) -> Result<RecordBatch, StoreError> {
        let named = batch.column(TRACK).as_dictionary::<Int32Type>();
        let names = named.values().as_string::<i32>();
        let track_of: Vec<Option<usize>> = names
            .iter()
            .map(|name| self.tracks.iter().position(|track| Some(track.name.as_str()) == name))
            .collect();
        // For each track, the row of each variant.
        let mut rows: Vec<Vec<Option<u32>>> = vec![vec![None; starts.len()]; self.tracks.len()];
        for (variant, start) in starts.iter().enumerate() {
            let end = starts.get(variant + 1).map_or(to_u32(batch.num_rows()), |next| *next);
            for row in *start..end {
                if let Some(track) = track_of[to_index(named.keys().value(row as usize))] {
                    rows[track][variant] = Some(row);
                }
            }
        }
        let firsts = UInt32Array::from(starts.to_vec());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for column in &batch.columns()[..KEYS] {
            columns.push(take(column, &firsts, None)?);
        }
        for (track, rows) in self.tracks.iter().zip(rows) {
            let rows = UInt32Array::from(rows);
            for column in track.scores().map(|(column, _)| column).chain([STATUS_COLUMN.to_owned()]) {
                let taken = take(batch.column(batch.schema().index_of(&column)?), &rows, None)?;
                columns.push(cast(&taken, self.schema.field(columns.len()).data_type())?);
            }
        }
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }
}

/// The numbers of the rows where another variant begins.
fn starts(batch: &RecordBatch) -> Vec<u32> {
    let rows = AnswerRows::of(batch);
    let begins = |row: usize| row == 0 || !rows.same_variant(row - 1, row);
    (0..batch.num_rows()).filter(|row| begins(*row)).map(to_u32).collect()
}

impl<R: Iterator<Item = Result<RecordBatch, StoreError>>> Iterator for WideRows<R> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch().transpose();
        self.done |= matches!(batch, Some(Err(_)));
        batch
    }
}
