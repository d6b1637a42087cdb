//! Rows of a scores table on their way into a segment.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, StringArray, UInt32Array};
use vestore_schema::{Status, Track, Variant, scores_schema};

use super::error::StoreError;

/// One row of a scores table.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// What was scored.
    pub variant: Variant,
    /// A score per column of the track, in order.
    pub values: Vec<Option<f32>>,
    /// Why it has scores or none.
    pub status: Status,
}

/// The rows of one contig as a batch of a track's scores table, rounded where the recipe says so.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn score_batch(track: &Track, rows: &[ScoreRow]) -> Result<RecordBatch, StoreError> {
    let step: Option<f64> = track.recipe.precision.as_deref().and_then(|step| step.parse().ok());
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.variant.position + 1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.variant.reference))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.variant.alternate))),
    ];
    for column in 0..track.columns.len() {
        let values = rows.iter().map(|row| row.values.get(column).copied().flatten());
        let values: Float32Array = values
            .map(|value| match step {
                Some(step) => value.map(|value| round(value, step)),
                None => value,
            })
            .collect();
        columns.push(Arc::new(values));
    }
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.status.as_str()))));
    Ok(RecordBatch::try_new(scores_schema(&track.columns), columns)?)
}

/// The multiple of `step` nearest to `value`, as float32. Dividing by the reciprocal where that is a
/// whole number gives the float32 that is nearest to the decimal people read.
fn round(value: f32, step: f64) -> f32 {
    let inverse = (1.0 / step).round();
    let count = (f64::from(value) / step).round() + 0.0; // never −0
    if (inverse * step - 1.0).abs() < 1e-12 { (count / inverse) as f32 } else { (count * step) as f32 }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn rounded_scores_are_the_decimals_people_read() {
        assert_eq!(round(-3.141_592_7, 0.001), -3.142);
        assert_eq!(round(0.000_4, 0.001), 0.0);
        assert_eq!(round(7.3, 0.25), 7.25);
        assert_eq!(round(12.0, 5.0), 10.0);
    }
}
