//! The columns of an answer's batch, by their names.

use arrow::array::{Array, AsArray, Float32Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type};
use vestore_schema::{STATUS_COLUMN, TARGET_COLUMN, Variant};

use super::{CONTIG_COLUMN, TRACK_COLUMN};
use crate::narrow::to_index;
use crate::store::{RowKeys, Store};

/// The rows of a batch of an answer.
pub struct AnswerRows<'a> {
    batch: &'a RecordBatch,
    contigs: Names<'a>,
    /// Positions, alleles and layers.
    pub keys: RowKeys<'a>,
}

/// A column of names.
struct Names<'a> {
    keys: &'a Int32Array,
    values: &'a StringArray,
}

impl<'a> Names<'a> {
    fn of(batch: &'a RecordBatch, column: &str) -> Self {
        let column = batch.column_by_name(column).expect("answers have this column; this is a bug");
        let names = column.as_dictionary::<Int32Type>();
        Self { keys: names.keys(), values: names.values().as_string() }
    }

    fn get(&self, row: usize) -> &'a str {
        self.values.value(to_index(self.keys.value(row)))
    }
}

impl<'a> AnswerRows<'a> {
    /// The rows of `batch`, also of a wide answer.
    ///
    /// # Panics
    /// When the batch is of no answer, which is a bug.
    #[must_use]
    pub fn of(batch: &'a RecordBatch) -> Self {
        Self { batch, contigs: Names::of(batch, CONTIG_COLUMN), keys: RowKeys::of(batch) }
    }

    /// The name of a row's contig.
    #[must_use]
    pub fn contig(&self, row: usize) -> &'a str {
        self.contigs.get(row)
    }

    /// Whether two rows are of one variant.
    #[must_use]
    pub fn same_variant(&self, row: usize, other: usize) -> bool {
        // Joined batches may hold the same name under two keys.
        let keys = self.contigs.keys;
        let same_contig = keys.value(row) == keys.value(other) || self.contig(row) == self.contig(other);
        same_contig && self.keys.same_variant(row, other)
    }

    /// The variant of a row; none where `store` does not know its contig.
    #[must_use]
    pub fn variant(&self, store: &Store, row: usize) -> Option<Variant> {
        Some(self.keys.variant(store.contig_index(self.contig(row))?, row))
    }

    /// The name of a row's track. Not of wide answers.
    ///
    /// # Panics
    /// When the answer is wide, which is a bug.
    #[must_use]
    pub fn track(&self, row: usize) -> &'a str {
        Names::of(self.batch, TRACK_COLUMN).get(row)
    }

    /// The name of the target of a row of effects; empty where the variant has none.
    ///
    /// # Panics
    /// When the answer is not over effects, which is a bug.
    #[must_use]
    pub fn target(&self, row: usize) -> &'a str {
        Names::of(self.batch, TARGET_COLUMN).get(row)
    }

    /// The status of a row. Not of wide answers.
    ///
    /// # Panics
    /// When the answer is wide, which is a bug.
    #[must_use]
    pub fn status(&self, row: usize) -> &'a str {
        let column = self.batch.column_by_name(STATUS_COLUMN);
        column.expect("answers have a status; this is a bug").as_string::<i32>().value(row)
    }

    /// A column of scores, if the answer has it.
    #[must_use]
    fn scores(&self, column: &str) -> Option<&'a Float32Array> {
        self.batch.column_by_name(column)?.as_primitive_opt::<Float32Type>()
    }

    /// What a calibration makes of a row's score, in `column`; none where it is missing.
    #[must_use]
    pub fn scale(&self, column: &str, row: usize) -> Option<f64> {
        let scales = self.batch.column_by_name(column)?.as_primitive_opt::<Float64Type>()?;
        scales.is_valid(row).then(|| scales.value(row))
    }

    /// A row's score in `column`; none where it is missing.
    #[must_use]
    pub fn score(&self, column: &str, row: usize) -> Option<f32> {
        self.scores(column).filter(|scores| scores.is_valid(row)).map(|scores| scores.value(row))
    }
}
