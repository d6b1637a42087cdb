//! Rows of several batches brought into one column, in any order.

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, NullBufferBuilder, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type};
use arrow::error::ArrowError;
use std::sync::Arc;

use crate::narrow::{to_index, to_u32};

/// A row: the number of its source, and its place there.
pub(super) type Pick = (u32, u32);

/// The source of a row that is nowhere, and missing in what is gathered.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The rows `picks` of columns of one type, one column for each source. Names that are keys of a dictionary keep that of
/// the first source, which all share: an Arrow file knows no others.
pub(super) fn gather(sources: &[&ArrayRef], picks: &[Pick]) -> Result<ArrayRef, ArrowError> {
    let Some(first) = sources.first() else { return Err(ArrowError::ComputeError("no source".to_owned())) };
    match first.data_type() {
        DataType::Int32 => Ok(numbers::<Int32Type>(sources, picks)),
        DataType::Float32 => Ok(numbers::<Float32Type>(sources, picks)),
        DataType::Float64 => Ok(numbers::<Float64Type>(sources, picks)),
        DataType::Utf8 => texts(sources, picks),
        DataType::Dictionary(..) => {
            let names: Vec<_> = sources.iter().map(|source| source.as_dictionary::<Int32Type>()).collect();
            let keys: Vec<_> = names.iter().map(|names| names.keys()).collect();
            let values = Arc::clone(names[0].values());
            Ok(Arc::new(DictionaryArray::try_new(numbers_of(&keys, picks), values)?))
        }
        _ => {
            let arrays: Vec<&dyn Array> = sources.iter().map(|source| source.as_ref()).collect();
            let rows: Vec<(usize, usize)> = picks.iter().map(|pick| place(*pick)).collect();
            interleave(&arrays, &rows)
        }
    }
}

/// The first `rows` rows of all columns, a row of each in turn.
pub(super) fn in_turn(sources: &[&ArrayRef], rows: usize) -> Result<ArrayRef, ArrowError> {
    let picks = || -> Vec<Pick> {
        (0..to_u32(rows))
            .flat_map(|row| (0..to_u32(sources.len())).map(move |source| (source, row)))
            .collect()
    };
    let Some(first) = sources.first() else { return Err(ArrowError::ComputeError("no source".to_owned())) };
    match first.data_type() {
        DataType::Int32 => Ok(Arc::new(numbers_in_turn::<Int32Type>(sources, rows))),
        DataType::Float32 => Ok(Arc::new(numbers_in_turn::<Float32Type>(sources, rows))),
        DataType::Float64 => Ok(Arc::new(numbers_in_turn::<Float64Type>(sources, rows))),
        DataType::Dictionary(..) => {
            let keys = |source: &&ArrayRef| -> ArrayRef {
                Arc::new(source.as_dictionary::<Int32Type>().keys().clone())
            };
            let keys: Vec<ArrayRef> = sources.iter().map(keys).collect();
            let keys = numbers_in_turn::<Int32Type>(&keys.iter().collect::<Vec<_>>(), rows);
            let values = Arc::clone(first.as_dictionary::<Int32Type>().values());
            Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
        }
        DataType::Utf8 => {
            let columns: Vec<StringArray> =
                sources.iter().map(|source| source.as_string::<i32>().slice(0, rows)).collect();
            let columns: Vec<&StringArray> = columns.iter().collect();
            let (count, length, bytes) = match alike(&columns) {
                Some(Alike::Letters) => {
                    let letters: Vec<&[u8]> = columns.iter().map(|column| bytes_of(column)).collect();
                    (rows * sources.len(), 1, turns(&letters, rows))
                }
                Some(Alike::Text(text)) => {
                    let count = rows * sources.len();
                    (count, text.len(), text.repeat(count))
                }
                None => return texts(sources, &picks()),
            };
            let offsets = OffsetBuffer::from_repeated_length(length, count);
            Ok(Arc::new(StringArray::try_new(offsets, bytes.into(), None)?))
        }
        _ => gather(sources, &picks()),
    }
}

fn numbers_in_turn<T: ArrowPrimitiveType>(sources: &[&ArrayRef], rows: usize) -> PrimitiveArray<T> {
    let columns: Vec<PrimitiveArray<T>> =
        sources.iter().map(|source| source.as_primitive::<T>().slice(0, rows)).collect();
    let slices: Vec<&[T::Native]> = columns.iter().map(|column| &column.values()[..]).collect();
    let values = turns(&slices, rows);
    let nulls = columns.iter().any(|column| column.null_count() > 0).then(|| {
        let mut nulls = NullBufferBuilder::new(values.len());
        for row in 0..rows {
            for column in &columns {
                nulls.append(column.is_valid(row));
            }
        }
        nulls
    });
    PrimitiveArray::new(values.into(), nulls.and_then(|mut nulls| nulls.finish()))
}

/// The first `rows` of all slices, one of each in turn.
fn turns<T: Copy>(slices: &[&[T]], rows: usize) -> Vec<T> {
    let mut turns = Vec::with_capacity(rows * slices.len());
    for row in 0..rows {
        turns.extend(slices.iter().map(|slice| slice[row]));
    }
    turns
}

/// The bytes of all texts of a column.
pub(super) fn bytes_of(column: &StringArray) -> &[u8] {
    let offsets = column.value_offsets();
    &column.value_data()[to_index(offsets[0])..to_index(offsets[column.len()])]
}

fn place((source, row): Pick) -> (usize, usize) {
    (source as usize, row as usize)
}

fn numbers<T: ArrowPrimitiveType>(sources: &[&ArrayRef], picks: &[Pick]) -> ArrayRef {
    let columns: Vec<&PrimitiveArray<T>> = sources.iter().map(|source| source.as_primitive()).collect();
    Arc::new(numbers_of(&columns, picks))
}

fn numbers_of<T: ArrowPrimitiveType>(columns: &[&PrimitiveArray<T>], picks: &[Pick]) -> PrimitiveArray<T> {
    let slices: Vec<&[T::Native]> = columns.iter().map(|column| &column.values()[..]).collect();
    let value = |pick: &Pick| {
        let (source, row) = place(*pick);
        slices.get(source).map_or_else(T::default_value, |values| values[row])
    };
    let values: ScalarBuffer<T::Native> = picks.iter().map(value).collect();
    PrimitiveArray::new(values, nulls(columns, picks))
}

/// Which picked rows hold something; none where all do.
fn nulls<A: Array>(columns: &[&A], picks: &[Pick]) -> Option<NullBuffer> {
    let nulls: Vec<Option<&NullBuffer>> = columns.iter().map(|column| column.nulls()).collect();
    if nulls.iter().all(Option::is_none) && picks.iter().all(|(source, _)| *source != NOWHERE) {
        return None;
    }
    let is_there = |number: usize| {
        let (source, row) = place(picks[number]);
        nulls.get(source).is_some_and(|nulls| nulls.is_none_or(|nulls| nulls.is_valid(row)))
    };
    Some(NullBuffer::new(BooleanBuffer::collect_bool(picks.len(), is_there)))
}

fn texts(sources: &[&ArrayRef], picks: &[Pick]) -> Result<ArrayRef, ArrowError> {
    let columns: Vec<&StringArray> = sources.iter().map(|source| source.as_string()).collect();
    let nulls = nulls(&columns, picks);
    let (ends, bytes) = match alike(&columns) {
        Some(Alike::Letters) => letters(&columns, picks),
        Some(Alike::Text(text)) => repeated(text, picks),
        None => copied(&columns, picks),
    };
    let total = i32::try_from(bytes.len()).map_err(|_| ArrowError::OffsetOverflowError(bytes.len()))?;
    debug_assert_eq!(ends.last().copied().unwrap_or_default(), total);
    let offsets = OffsetBuffer::new(ends.into());
    Ok(Arc::new(StringArray::try_new(offsets, bytes.into(), nulls)?))
}

/// What is alike in all texts of some columns.
enum Alike<'a> {
    /// Each has one byte.
    Letters,
    /// All are the same one.
    Text(&'a [u8]),
}

fn alike<'a>(columns: &[&'a StringArray]) -> Option<Alike<'a>> {
    let first = columns.iter().find(|column| !column.is_empty())?;
    let length = first.value_length(0);
    let text = first.value(0).as_bytes();
    let mut is_same = true;
    for column in columns {
        let offsets = column.value_offsets();
        if column.null_count() > 0 || !offsets.windows(2).all(|pair| pair[1] - pair[0] == length) {
            return None;
        }
        let bytes = bytes_of(column);
        // As it is where every text is like the one before.
        let rest = bytes.get(text.len()..).unwrap_or_default();
        is_same &=
            !text.is_empty() && (bytes.is_empty() || bytes.starts_with(text)) && bytes.starts_with(rest);
    }
    match (is_same, length) {
        (true, _) => Some(Alike::Text(text)),
        (false, 1) => Some(Alike::Letters),
        (false, _) => None,
    }
}

/// Offsets and bytes of texts of one byte each.
fn letters(columns: &[&StringArray], picks: &[Pick]) -> (Vec<i32>, Vec<u8>) {
    let slices: Vec<&[u8]> = columns.iter().map(|column| bytes_of(column)).collect();
    let (mut ends, mut bytes) = (Vec::with_capacity(picks.len() + 1), Vec::with_capacity(picks.len()));
    let mut end = 0;
    ends.push(end);
    for pick in picks {
        let (source, row) = place(*pick);
        if let Some(letters) = slices.get(source) {
            bytes.push(letters[row]);
            end += 1;
        }
        ends.push(end);
    }
    (ends, bytes)
}

/// Offsets and bytes of `text` for every row that is somewhere.
fn repeated(text: &[u8], picks: &[Pick]) -> (Vec<i32>, Vec<u8>) {
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    let mut ends = Vec::with_capacity(picks.len() + 1);
    let (mut end, mut count) = (0_i32, 0);
    ends.push(end);
    for (source, _) in picks {
        if *source != NOWHERE {
            end = end.saturating_add(length);
            count += 1;
        }
        ends.push(end);
    }
    (ends, text.repeat(count))
}

/// Offsets and bytes of any texts.
fn copied(columns: &[&StringArray], picks: &[Pick]) -> (Vec<i32>, Vec<u8>) {
    let (mut ends, mut bytes) = (Vec::with_capacity(picks.len() + 1), Vec::with_capacity(picks.len()));
    ends.push(0);
    for pick in picks {
        let (source, row) = place(*pick);
        if let Some(column) = columns.get(source) {
            bytes.extend_from_slice(column.value(row).as_bytes());
        }
        ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    }
    (ends, bytes)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Float32Array, Int32Array, new_null_array};

    use super::*;
    use crate::fixture::Random;

    /// The same by Arrow's own means.
    fn expected(sources: &[&ArrayRef], picks: &[Pick]) -> ArrayRef {
        let nothing = new_null_array(sources[0].data_type(), 1);
        let mut arrays: Vec<&dyn Array> = sources.iter().map(|source| source.as_ref()).collect();
        arrays.push(nothing.as_ref());
        let of = |(source, row): &Pick| match *source {
            NOWHERE => (arrays.len() - 1, 0),
            source => (source as usize, *row as usize),
        };
        let rows: Vec<(usize, usize)> = picks.iter().map(of).collect();
        interleave(&arrays, &rows).unwrap()
    }

    #[test]
    fn every_kind_of_column_is_gathered_as_arrow_interleaves_it() {
        let mut random = Random::new(3);
        let texts: [&[&str]; 5] =
            [&["A", "C", "G"], &["scored"], &["scored", "non_ac"], &["", "AC", "T"], &[""]];
        for round in 0..200 {
            let count = 1 + random.below(4) as usize;
            let lengths: Vec<usize> = (0..count).map(|_| 1 + random.below(9) as usize).collect();
            let mut picks: Vec<Pick> = (0..random.below(40))
                .map(|_| {
                    let source = random.below(count as u64);
                    (source as u32, random.below(lengths[source as usize] as u64) as u32)
                })
                .collect();
            let is_gapped = round % 2 == 0;
            if is_gapped {
                picks.iter_mut().step_by(3).for_each(|pick| *pick = (NOWHERE, 0));
            }
            let column = |kind: usize, length: usize, random: &mut Random| -> ArrayRef {
                let missing = |random: &mut Random| kind % 2 == 1 && random.below(3) == 0;
                // Not from the first row on, as slices are.
                let array: ArrayRef = match kind {
                    0 => Arc::new((0..=length).map(|_| random.below(99) as i32).collect::<Int32Array>()),
                    1 => {
                        let score = |_| (!missing(random)).then(|| random.below(99) as f32);
                        Arc::new((0..=length).map(score).collect::<Float32Array>())
                    }
                    kind => {
                        let texts = texts[(kind - 2) % texts.len()];
                        let text = |_| texts[random.below(texts.len() as u64) as usize];
                        Arc::new(StringArray::from_iter_values((0..=length).map(text)))
                    }
                };
                array.slice(1, length)
            };
            for kind in 0..2 + texts.len() {
                let columns: Vec<ArrayRef> =
                    lengths.iter().map(|length| column(kind, *length, &mut random)).collect();
                let sources: Vec<&ArrayRef> = columns.iter().collect();
                let found = gather(&sources, &picks).unwrap();
                assert_eq!(&found, &expected(&sources, &picks), "kind {kind}: {picks:?} of {columns:?}");
                let rows = lengths.iter().copied().min().unwrap();
                let turns: Vec<Pick> = (0..rows as u32)
                    .flat_map(|row| (0..count as u32).map(move |source| (source, row)))
                    .collect();
                let found = in_turn(&sources, rows).unwrap();
                assert_eq!(&found, &expected(&sources, &turns), "kind {kind}: {rows} of {columns:?}");
            }
        }
    }

    #[test]
    fn names_keep_their_dictionary_and_other_columns_are_gathered_too() {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let of = |keys: &[i32]| -> ArrayRef {
            let keys = Int32Array::from(keys.to_vec());
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&names)).unwrap())
        };
        let (first, second) = (of(&[0, 0]), of(&[1]));
        let found = gather(&[&first, &second], &[(1, 0), (0, 1), (1, 0)]).unwrap();
        let found = found.as_dictionary::<Int32Type>();
        assert_eq!(found.keys(), &Int32Array::from(vec![1, 0, 1]));
        assert_eq!(found.values(), &names);
        let found = in_turn(&[&first, &second], 1).unwrap();
        assert_eq!(found.as_dictionary::<Int32Type>().keys(), &Int32Array::from(vec![0, 1]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        assert_eq!(*gather(&[&flags], &[(0, 1)]).unwrap(), BooleanArray::from(vec![false]));
    }
}
