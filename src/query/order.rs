//! Rows by their place in an answer: a number for position and alleles.

use arrow::array::StringArray;
use vestore_schema::Position;

use super::gather::bytes_of;
use crate::narrow::to_index;
use crate::store::RowKeys;

/// Whether a place holds only the first bytes of its alleles: then equal places do not mean equal alleles.
pub(super) fn is_open(place: u64) -> bool {
    place & 1 == 1
}

/// The least place at a position.
pub(super) fn first_place(position: Position) -> u64 {
    u64::from(position.zero_based()) << 32
}

/// The places of rows, into `places`.
pub(super) fn find_places(keys: &RowKeys<'_>, places: &mut Vec<u64>) {
    places.clear();
    let rows = keys.one_based();
    if let (Some(references), Some(alternates)) = (letters(keys.references()), letters(keys.alternates())) {
        // As below, of alleles of one letter.
        let alleles = references.iter().zip(alternates);
        places.extend(rows.iter().zip(alleles).map(|(one_based, (reference, alternate))| {
            let position = Position::from_column(*one_based);
            first_place(position) | u64::from(*reference) << 25 | u64::from(*alternate) << 11
        }));
        return;
    }
    places.extend((0..rows.len()).map(|row| {
        let (reference, alternate) = keys.alleles(row);
        place(keys.position(row), [reference.as_bytes(), alternate.as_bytes()])
    }));
}

/// Whether `rows` rows of two batches are of the same variants, each from its row on.
pub(super) fn are_alike(
    (keys, row): (RowKeys<'_>, usize),
    (other, other_row): (RowKeys<'_>, usize),
    rows: usize,
) -> bool {
    keys.one_based()[row..row + rows] == other.one_based()[other_row..other_row + rows]
        && same_texts((keys.references(), row), (other.references(), other_row), rows)
        && same_texts((keys.alternates(), row), (other.alternates(), other_row), rows)
}

/// Whether `rows` texts of two columns without nulls are equal, each from its first on.
fn same_texts(one: (&StringArray, usize), other: (&StringArray, usize), rows: usize) -> bool {
    let [(starts, bytes), (other_starts, other_bytes)] = [one, other].map(|(texts, first)| {
        let starts = &texts.value_offsets()[first..=first + rows];
        (starts, &texts.value_data()[to_index(starts[0])..to_index(starts[rows])])
    });
    let lengths = |(start, other): (&i32, &i32)| start - starts[0] == other - other_starts[0];
    bytes == other_bytes && starts.iter().zip(other_starts).all(lengths)
}

/// The letters of a column whose texts all have one.
fn letters(column: &StringArray) -> Option<&[u8]> {
    let offsets = column.value_offsets();
    let bytes = bytes_of(column);
    let is_one = offsets.windows(2).all(|pair| pair[1] - pair[0] == 1);
    (is_one && bytes.iter().all(|byte| *byte < 127)).then_some(bytes)
}

/// Position and begins of the alleles as a number that orders as they do. Odd if it holds only
/// the first bytes of the alleles: equal places then do not mean equal alleles.
fn place(position: Position, [reference, alternate]: [&[u8]; 2]) -> u64 {
    let letter = |allele: &[u8], at: usize| allele.get(at).map_or(0, |byte| u64::from(*byte).min(127));
    // What comes after a byte that was made smaller says nothing.
    let begin = |allele: &[u8]| match letter(allele, 0) {
        127 => (1 << 14) - 1,
        first => first << 7 | letter(allele, 1),
    };
    let whole = |allele: &[u8]| allele.len() <= 2 && allele.iter().all(|byte| *byte < 127);
    // An alternate counts only where the whole reference does; a longer reference comes after its begin.
    let after = if whole(reference) { begin(alternate) } else { (1 << 14) - 1 };
    let open = u64::from(!(whole(reference) && whole(alternate)));
    first_place(position) | begin(reference) << 18 | after << 4 | open
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::fixture::Random;

    #[test]
    fn places_order_as_variants_do() {
        let mut random = Random::new(2);
        let allele = |random: &mut Random| -> Vec<u8> {
            let letters = [b"AC".as_slice(), b"A<\x7e\x7f\xc3"][random.below(2) as usize];
            (0..=random.below(4)).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
        };
        let variants: Vec<(u32, Vec<u8>, Vec<u8>)> =
            (0..400).map(|_| (random.below(2) as u32, allele(&mut random), allele(&mut random))).collect();
        let at = |(position, reference, alternate): &(u32, Vec<u8>, Vec<u8>)| {
            place(Position::new(*position), [reference, alternate])
        };
        for a in &variants {
            for b in &variants {
                match at(a).cmp(&at(b)) {
                    std::cmp::Ordering::Equal => assert!(a == b || is_open(at(a)), "{a:?} {b:?}"),
                    order => assert_eq!(order, a.cmp(b), "{a:?} {b:?}"),
                }
            }
        }
    }

    #[test]
    fn places_of_single_letters_are_found_as_those_of_any() {
        let text = |letters: &[&str]| Arc::new(StringArray::from(letters.to_vec()));
        for longer in ["T", "TG"] {
            let (references, alternates) = (["A", "C", "G", longer], ["C", "G", "*", "A"]);
            let fields = ["reference", "alternate"].map(|name| Field::new(name, DataType::Utf8, false));
            let position = Field::new("position", DataType::Int32, false);
            let schema = Schema::new([vec![position], fields.to_vec()].concat());
            let positions = Arc::new(Int32Array::from(vec![1, 1, 7, i32::MAX]));
            let columns: Vec<ArrayRef> = vec![positions, text(&references), text(&alternates)];
            let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap().slice(1, 3);
            let (keys, mut found) = (RowKeys::of(&batch), vec![9; 9]);
            find_places(&keys, &mut found);
            let expected: Vec<u64> = (0..3)
                .map(|row| {
                    let (reference, alternate) = keys.alleles(row);
                    place(keys.position(row), [reference.as_bytes(), alternate.as_bytes()])
                })
                .collect();
            assert_eq!(found, expected);
        }
    }
}
