//! The places of one segment that are asked for, and the rows at them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::schema::types::SchemaDescriptor;
use vestore_schema::{Position, Segment};

/// Parts of a batch that are handed on as slices.
const MOST_SLICES: usize = 4;
/// Rows at one base, about, where every SNV is scored.
const ROWS_PER_BASE: u64 = 3;
/// Reading positions before other columns pays where at most one row in so many is asked for.
const WORTH: u64 = 4;

/// 0-based half-open ranges, sorted, apart from each other. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Arc<[Range<u32>]>);

impl Wanted {
    /// Those of `ranges` that reach into a segment.
    pub(super) fn within(ranges: &[Range<u32>], segment: &Segment) -> Self {
        let (first, last) = (segment.first.zero_based(), segment.last.zero_based());
        let from = ranges.partition_point(|range| range.end <= first);
        let to = ranges.partition_point(|range| range.start <= last);
        Self(ranges.get(from..to).unwrap_or_default().into())
    }

    /// Whether one of them has a position from `low` to `high`, both included.
    pub(super) fn touches(&self, low: Position, high: Position) -> bool {
        let next = self.0.partition_point(|range| range.end <= low.zero_based());
        self.0.get(next).is_some_and(|range| range.start <= high.zero_based())
    }

    /// Whether few of so many rows are asked for, as far as can be said.
    pub(super) fn are_few_of(&self, rows: usize) -> bool {
        let bases = self.0.iter().map(|range| u64::from(range.end.saturating_sub(range.start)));
        let likely = bases.fold(0_u64, u64::saturating_add).saturating_mul(ROWS_PER_BASE);
        likely.saturating_mul(WORTH) < rows as u64
    }

    /// Has a reader of a file look at positions, its first column, before it decodes others.
    pub(super) fn filter(&self, file: &SchemaDescriptor) -> RowFilter {
        let wanted = self.clone();
        let select = move |batch: RecordBatch| Ok(wanted.inside(&batch));
        let predicate = ArrowPredicateFn::new(ProjectionMask::roots(file, [0]), select);
        RowFilter::new(vec![Box::new(predicate)])
    }

    /// Which rows are asked for. Their positions are unchecked, and unsigned integers in version 1; where they do not
    /// ascend, any rows may be found.
    fn inside(&self, batch: &RecordBatch) -> BooleanArray {
        let column = batch.column(0);
        let zero_based: Vec<u32> = if *column.data_type() == DataType::UInt32 {
            let positions = column.as_primitive::<UInt32Type>().values();
            positions.iter().map(|position| position.wrapping_sub(1)).collect()
        } else {
            let positions = column.as_primitive::<Int32Type>().values();
            positions.iter().map(|position| position.wrapping_sub(1).cast_unsigned()).collect()
        };
        let mut inside = BooleanBufferBuilder::new(zero_based.len());
        for rows in self.rows(&zero_based) {
            inside.append_n(rows.start - inside.len(), false);
            inside.append_n(rows.len(), true);
        }
        inside.append_n(zero_based.len() - inside.len(), false);
        BooleanArray::new(inside.finish(), None)
    }

    /// The runs of rows that are asked for.
    fn rows(&self, zero_based: &[u32]) -> Vec<Range<usize>> {
        let (Some(first), Some(last)) = (zero_based.first(), zero_based.last()) else { return Vec::new() };
        let from = self.0.partition_point(|range| range.end <= *first);
        let to = self.0.partition_point(|range| range.start <= *last);
        let mut ends = 0;
        let rows = self.0.get(from..to).unwrap_or_default().iter().filter_map(|range| {
            let start = ends + gallop(&zero_based[ends..], range.start);
            ends = start + gallop(&zero_based[start..], range.end);
            (start < ends).then_some(start..ends)
        });
        rows.collect()
    }

    /// The parts of `batch`, whose first column is the checked position, that are asked for, last first: slices, or one
    /// copy where they are many.
    pub(super) fn cut(&self, batch: &RecordBatch) -> Result<Vec<RecordBatch>, ArrowError> {
        let positions = batch.column(0).as_primitive::<Int32Type>().values();
        let zero_based: Vec<u32> =
            positions.iter().map(|position| Position::from_column(*position).zero_based()).collect();
        let rows = self.rows(&zero_based);
        let count: usize = rows.iter().map(ExactSizeIterator::len).sum();
        if count == batch.num_rows() {
            return Ok(vec![batch.clone()]);
        }
        if rows.len() <= MOST_SLICES {
            return Ok(rows.into_iter().rev().map(|rows| batch.slice(rows.start, rows.len())).collect());
        }
        Ok(vec![filter_record_batch(batch, &self.inside(batch))?])
    }
}

/// How many of some sorted numbers are less than `bound`, which is likely near their begin.
pub(crate) fn gallop<T: Copy + PartialOrd>(sorted: &[T], bound: T) -> usize {
    let mut step = 1;
    while step < sorted.len() && sorted[step - 1] < bound {
        step *= 2;
    }
    let (from, end) = (step / 2, step.min(sorted.len()));
    from + sorted[from..end].partition_point(|number| *number < bound)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::fixture::Random;

    #[test]
    fn rows_are_found_as_a_look_at_every_row_finds_them() {
        let mut random = Random::new(5);
        for round in 0..300 {
            let mut positions: Vec<i32> =
                (0..random.below(60)).map(|_| random.below(90) as i32 + 1).collect();
            positions.sort_unstable();
            let mut bounds: Vec<u32> = (0..2 * random.below(16)).map(|_| random.below(100) as u32).collect();
            bounds.sort_unstable();
            bounds.dedup();
            let wanted = Wanted(bounds.chunks_exact(2).map(|bound| bound[0]..bound[1]).collect());
            let field = Field::new("position", DataType::Int32, false);
            let column = Arc::new(Int32Array::from(positions.clone()));
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap();
            let parts = wanted.cut(&batch).unwrap();
            let found: Vec<i32> = parts
                .iter()
                .rev()
                .flat_map(|part| part.column(0).as_primitive::<Int32Type>().values().to_vec())
                .collect();
            let is_inside =
                |position: &i32| wanted.0.iter().any(|range| range.contains(&(*position as u32 - 1)));
            let expected: Vec<i32> = positions.iter().copied().filter(is_inside).collect();
            assert_eq!(found, expected, "round {round}: {wanted:?}");
            let expected: Vec<bool> = positions.iter().map(is_inside).collect();
            assert_eq!(wanted.inside(&batch), BooleanArray::from(expected), "round {round}: {wanted:?}");
        }
    }

    #[test]
    fn positions_that_nobody_checked_are_no_reason_to_panic() {
        for positions in [vec![0, i32::MIN, 7, -1, 3], vec![9, 1, 9, 1], vec![i32::MAX, i32::MIN]] {
            let field = Field::new("position", DataType::Int32, false);
            let column = Arc::new(Int32Array::from(positions.clone()));
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap();
            for wanted in [Wanted(Arc::from([])), Wanted(vec![0..3, 5..9, 20..u32::MAX].into())] {
                assert_eq!(wanted.inside(&batch).len(), positions.len());
            }
        }
    }

    #[test]
    fn galloping_equals_a_search() {
        for length in 0..40_u32 {
            let positions: Vec<u32> = (0..length).map(|number| number / 2 * 3).collect();
            for bound in 0..70 {
                let expected = positions.partition_point(|position| *position < bound);
                assert_eq!(gallop(&positions, bound), expected, "{bound} in {positions:?}");
            }
        }
    }
}
