//! Which rows of a batch fulfil a condition.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type};

use super::{BoundFilter, Comparison, Condition, Operand};
use crate::narrow::{to_index, to_score};

impl BoundFilter {
    /// Which rows of `batch`, which has the schema of the filter, are wanted.
    pub(crate) fn wanted(&self, batch: &RecordBatch) -> BooleanArray {
        evaluate(&self.condition, batch).into()
    }
}

fn evaluate(condition: &Condition<usize>, batch: &RecordBatch) -> Vec<bool> {
    let joined = |left, right, join: fn(bool, bool) -> bool| {
        let (left, right) = (evaluate(left, batch), evaluate(right, batch));
        left.into_iter().zip(right).map(|(left, right)| join(left, right)).collect()
    };
    match condition {
        Condition::And(left, right) => joined(left, right, |left, right| left && right),
        Condition::Or(left, right) => joined(left, right, |left, right| left || right),
        Condition::Not(inner) => evaluate(inner, batch).into_iter().map(|wanted| !wanted).collect(),
        Condition::IsNull(column) => {
            let column = batch.column(*column);
            (0..batch.num_rows()).map(|row| column.is_null(row)).collect()
        }
        Condition::Compare(left, comparison, right) => compare(left, *comparison, right, batch),
    }
}

fn compare(
    left: &Operand<usize>,
    comparison: Comparison,
    right: &Operand<usize>,
    batch: &RecordBatch,
) -> Vec<bool> {
    let rows = 0..batch.num_rows();
    let single = [left, right].iter().any(|operand| is_single(operand, batch));
    if let (Some(left), Some(right)) = (Numbers::of(left, single, batch), Numbers::of(right, single, batch)) {
        return rows
            .map(|row| match (left.get(row), right.get(row)) {
                (Some(left), Some(right)) => comparison.holds(&left, &right),
                _ => false,
            })
            .collect();
    }
    let (left, right) = (Texts::of(left, batch), Texts::of(right, batch));
    rows.map(|row| match (left.get(row), right.get(row)) {
        (Some(left), Some(right)) => comparison.holds(left, right),
        _ => false,
    })
    .collect()
}

fn is_single(operand: &Operand<usize>, batch: &RecordBatch) -> bool {
    matches!(operand, Operand::Column(column) if *batch.column(*column).data_type() == DataType::Float32)
}

/// One side of a comparison of numbers.
enum Numbers {
    Same(f64),
    Each(Vec<Option<f64>>),
}

impl Numbers {
    fn of(operand: &Operand<usize>, single: bool, batch: &RecordBatch) -> Option<Self> {
        match operand {
            // `llr = 0.1` means the float32 that is printed as 0.1.
            Operand::Number(number) if single => Some(Self::Same(f64::from(to_score(*number)))),
            Operand::Number(number) => Some(Self::Same(*number)),
            Operand::Text(_) => None,
            Operand::Column(column) => numbers(batch.column(*column)).map(Self::Each),
        }
    }

    fn get(&self, row: usize) -> Option<f64> {
        match self {
            Self::Same(number) => Some(*number),
            Self::Each(numbers) => numbers[row],
        }
    }
}

fn numbers(column: &ArrayRef) -> Option<Vec<Option<f64>>> {
    fn all<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> Vec<Option<f64>>
    where
        T::Native: Into<f64>,
    {
        values.iter().map(|value| value.map(Into::into)).collect()
    }
    match column.data_type() {
        DataType::Float32 => Some(all(column.as_primitive::<Float32Type>())),
        DataType::Float64 => Some(all(column.as_primitive::<Float64Type>())),
        DataType::Int32 => Some(all(column.as_primitive::<Int32Type>())),
        _ => None,
    }
}

/// One side of a comparison of texts.
enum Texts<'a> {
    Same(&'a str),
    Each(&'a ArrayRef),
}

impl<'a> Texts<'a> {
    fn of(operand: &'a Operand<usize>, batch: &'a RecordBatch) -> Self {
        match operand {
            Operand::Text(text) => Self::Same(text),
            Operand::Column(column) => Self::Each(batch.column(*column)),
            Operand::Number(_) => unreachable!("numbers are never compared with texts"),
        }
    }

    fn get(&self, row: usize) -> Option<&'a str> {
        let column = match self {
            Self::Same(text) => return Some(text),
            Self::Each(column) => column,
        };
        if column.is_null(row) {
            return None;
        }
        Some(match column.data_type() {
            DataType::Dictionary(..) => {
                let names = column.as_dictionary::<Int32Type>();
                names.values().as_string::<i32>().value(to_index(names.keys().value(row)))
            }
            _ => column.as_string::<i32>().value(row),
        })
    }
}
