//! Rows of one variant become one.

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Float32Type;
use vestore_schema::{Assembly, Status, Variant};

use super::ImportError;
use super::rows::Normalizer;
use crate::narrow::{to_score, to_u32};
use crate::store::{RowKeys, ScoreRow, StoreError};

/// Which of several scores of one variant counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// The one that comes first in the file.
    #[default]
    First,
    /// None: they are an error.
    Fail,
    /// Their mean, column by column, over the rows that have a score. Rows of equal scores count once.
    Mean,
    /// The largest, column by column.
    Max,
}

impl Duplicates {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::First, Self::Fail, Self::Mean, Self::Max];

    /// Whether rows are combined, so that all of them have to be seen.
    pub(super) fn combines(self) -> bool {
        matches!(self, Self::Mean | Self::Max)
    }

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Fail => "fail",
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }
}

/// The rows of `batch`, which is in order, each variant once: the first of its scored rows, else the first. Scores
/// that differ are only counted here; a mean of them, or a listing with their lines, needs the sort.
pub(super) fn distinct(
    batch: RecordBatch,
    contig: u32,
    normalizer: &mut Normalizer<'_>,
) -> Result<RecordBatch, ImportError> {
    let (keys, rows) = (RowKeys::of(&batch), batch.num_rows());
    if (1..rows).all(|row| !keys.same_variant(row - 1, row)) {
        return Ok(batch);
    }
    let statuses = batch.column(batch.num_columns() - 1).as_string::<i32>();
    let scored = |row: usize| statuses.value(row) == Status::Scored.as_str();
    let scores: Vec<_> = batch.columns()[3..batch.num_columns() - 1]
        .iter()
        .map(|column| column.as_primitive::<Float32Type>())
        .collect();
    let values = |row: usize| -> Vec<Option<f32>> {
        scores.iter().map(|scores| scores.is_valid(row).then(|| scores.value(row))).collect()
    };
    let mut kept: Vec<u32> = Vec::with_capacity(rows);
    let mut from = 0;
    while from < rows {
        let end = (from + 1..rows).find(|row| !keys.same_variant(from, *row)).unwrap_or(rows);
        let first = (from..end).find(|row| scored(*row)).unwrap_or(from);
        kept.push(to_u32(first));
        for row in (from..end).filter(|row| *row != first) {
            if statuses.value(row) == statuses.value(first) && values(row) == values(first) {
                normalizer.report.duplicates += 1;
            } else if normalizer.duplicates.combines()
                || normalizer.reordered
                || normalizer.report.has_listing()
            {
                return Err(ImportError::Unsorted);
            } else {
                // Without a listing nobody asks for the line.
                normalizer.conflict(&keys.variant(contig, row), 0, [&values(first), &values(row)])?;
            }
        }
        from = end;
    }
    Ok(take_record_batch(&batch, &UInt32Array::from(kept)).map_err(StoreError::from)?)
}

/// Rows of one variant, which become one: the first. They come in the order of the file, for a mean in that of their
/// scores; scored ones come first in either.
pub(super) struct Group {
    row: ScoreRow,
    /// The scores of the row added last.
    latest: Vec<Option<f32>>,
    /// Of each column, the sum and the number of the scores; of rows of equal scores, those of one.
    sums: Vec<(f64, u32)>,
    /// Of each column, the largest score.
    largest: Vec<Option<f32>>,
    conflicting: bool,
}

impl Group {
    pub(super) fn new(row: ScoreRow) -> Self {
        let sums =
            row.values.iter().map(|value| value.map_or((0.0, 0), |value| (f64::from(value), 1))).collect();
        Self { latest: row.values.clone(), largest: row.values.clone(), row, sums, conflicting: false }
    }

    pub(super) fn holds(&self, variant: &Variant) -> bool {
        self.row.variant == *variant
    }

    /// Takes another row of the same variant, which stands at `line` of the file.
    pub(super) fn add(
        &mut self,
        row: &ScoreRow,
        line: u64,
        normalizer: &mut Normalizer<'_>,
    ) -> Result<(), ImportError> {
        let rounded = |value: &Option<f32>| match normalizer.precision {
            Some(precision) => value.map(|value| precision.round(value)),
            None => *value,
        };
        let combines = normalizer.duplicates.combines();
        let other = if combines { &self.latest } else { &self.row.values };
        let equal =
            self.row.status == row.status && other.iter().map(rounded).eq(row.values.iter().map(rounded));
        if equal {
            normalizer.report.duplicates += 1;
        } else {
            self.conflicting = true;
            normalizer.conflict(&row.variant, line, [other, &row.values])?;
        }
        if combines && !equal {
            for (largest, value) in self.largest.iter_mut().zip(&row.values) {
                *largest = match (*largest, *value) {
                    (Some(largest), Some(value)) => Some(largest.max(value)),
                    (largest, value) => largest.or(value),
                };
            }
            for ((sum, count), value) in self.sums.iter_mut().zip(&row.values) {
                if let Some(value) = value {
                    *sum += f64::from(*value);
                    *count += 1;
                }
            }
            self.latest.clone_from(&row.values);
        }
        Ok(())
    }

    /// The row that counts.
    pub(super) fn finish(mut self, duplicates: Duplicates) -> ScoreRow {
        if self.conflicting && duplicates == Duplicates::Mean {
            let mean = |&(sum, count): &(f64, u32)| (count > 0).then(|| to_score(sum / f64::from(count)));
            self.row.values = self.sums.iter().map(mean).collect();
        }
        if self.conflicting && duplicates == Duplicates::Max {
            self.row.values = self.largest;
        }
        self.row
    }
}

/// A variant for messages.
pub(super) fn variant_name(variant: &Variant, assembly: &Assembly) -> String {
    let Variant { position, reference, alternate, .. } = variant;
    format!("{}-{}-{reference}-{alternate}", assembly.contig(variant.contig).name, position.one_based())
}

/// Scores for messages.
pub(super) fn score_names(rows: [&[Option<f32>]; 2]) -> String {
    let row = |values: &[Option<f32>]| {
        let names =
            values.iter().map(|value| value.map_or_else(|| "none".to_owned(), |value| value.to_string()));
        names.collect::<Vec<_>>().join(", ")
    };
    format!("{} and {}", row(rows[0]), row(rows[1]))
}
