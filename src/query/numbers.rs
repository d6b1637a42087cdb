//! The numbers of a column of an answer.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array};
use arrow::datatypes::Float32Type;

use crate::narrow::to_index;

/// One number a row, or a list of them, one a target.
pub(crate) struct Numbers<'a> {
    lists: Option<&'a FixedSizeListArray>,
    numbers: &'a Float32Array,
}

impl<'a> Numbers<'a> {
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        let lists = column.as_fixed_size_list_opt();
        let numbers = lists.map_or(column, |lists| lists.values()).as_primitive::<Float32Type>();
        Self { lists, numbers }
    }

    /// The number of a row on a target; without lists, `target` is 0.
    pub(crate) fn get(&self, row: usize, target: usize) -> Option<f32> {
        let at = match self.lists {
            Some(lists) if lists.is_null(row) => return None,
            Some(lists) => to_index(lists.value_offset_at(row)) + target,
            None => row + target,
        };
        self.numbers.is_valid(at).then(|| self.numbers.value(at))
    }
}
