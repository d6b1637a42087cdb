//! One value of a batch as text.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, StringArray,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type};

use crate::narrow::to_index;

/// A column, ready to be written value by value.
pub(super) enum Cells<'a> {
    Text(&'a StringArray),
    Name(&'a Int32Array, &'a StringArray),
    Integer(&'a Int32Array),
    Score(&'a Float32Array),
    Scale(&'a Float64Array),
    Embedding(&'a FixedSizeListArray),
}

impl<'a> Cells<'a> {
    /// # Panics
    /// On a type that no answer has, which is a bug.
    pub(super) fn new(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Int32 => Self::Integer(column.as_primitive::<Int32Type>()),
            DataType::Float32 => Self::Score(column.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Scale(column.as_primitive::<Float64Type>()),
            DataType::FixedSizeList(_, _) => Self::Embedding(column.as_fixed_size_list()),
            DataType::Dictionary(_, _) => {
                let names = column.as_dictionary::<Int32Type>();
                Self::Name(names.keys(), names.values().as_string())
            }
            other => panic!("an answer has no column of type {other}; this is a bug"),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Name(..))
    }

    pub(super) fn text(&self, row: usize) -> &'a str {
        match self {
            Self::Text(values) => values.value(row),
            Self::Name(keys, values) => values.value(to_index(keys.value(row))),
            Self::Integer(_) | Self::Score(_) | Self::Scale(_) | Self::Embedding(_) => "",
        }
    }

    /// Writes the value exactly, in its shortest form; nothing when it is missing.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Text(values) if values.is_null(row) => {}
            Self::Text(_) | Self::Name(..) => out.extend_from_slice(visible(self.text(row)).as_bytes()),
            Self::Integer(values) => write_integer(values.value(row).cast_unsigned(), out),
            Self::Score(values) if values.is_null(row) => {}
            Self::Score(values) => write_score(values.value(row), out),
            Self::Scale(values) if values.is_null(row) => {}
            Self::Scale(values) => write_scale(values.value(row), out),
            Self::Embedding(values) if values.is_null(row) => {}
            Self::Embedding(values) => {
                let numbers = values.value(row);
                for (index, number) in numbers.as_primitive::<Float32Type>().values().iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    write_score(*number, out);
                }
                out.push(b']');
            }
        }
    }

    pub(super) fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Score(values) => values.is_null(row),
            Self::Scale(values) => values.is_null(row),
            Self::Embedding(values) => values.is_null(row),
            Self::Text(values) => values.is_null(row),
            Self::Name(..) | Self::Integer(_) => false,
        }
    }
}

/// `text` with its control characters escaped as in JSON (`\u001b`, `\t`): nothing that a store holds acts on a terminal, or ends
/// a line or a column.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, char::is_control)
}

/// As [`visible`], for lines of a message: line ends and tabs stay.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter.is_control() && !matches!(letter, '\n' | '\t'))
}

fn escaped(text: &str, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escape) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            _ if !escape(letter) => escaped.push(letter),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            _ => {
                // Writing to a string cannot fail.
                let _ = fmt::Write::write_fmt(&mut escaped, format_args!("\\u{:04x}", u32::from(letter)));
            }
        }
    }
    escaped.into()
}

fn write_integer(value: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut from = digits.len();
    let mut rest = value;
    loop {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// The fewest digits that read back as the same float32; an exponent where plain digits would be long.
pub(crate) fn write_score(value: f32, out: &mut Vec<u8>) {
    let plain = value == 0.0 || (1e-4..1e7).contains(&value.abs());
    let written = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
    written.expect("writing to memory; this is a bug");
}

/// The fewest digits that read back as the same float64, of a percentile or PHRED.
fn write_scale(value: f64, out: &mut Vec<u8>) {
    let plain = value == 0.0 || value.abs() >= 1e-4;
    let written = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
    written.expect("writing to memory; this is a bug");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_read_back_exactly_and_stay_short() {
        let text = |value: f32| {
            let mut out = Vec::new();
            write_score(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0.1), "0.1");
        assert_eq!(text(-3.0), "-3");
        assert_eq!(text(0.0), "0");
        assert_eq!(text(1.0e-10), "1e-10");
        assert_eq!(text(16_777_216.0), "1.6777216e7");
        let mut state = 1_u32;
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(state);
            if value.is_finite() {
                assert_eq!(text(value).parse::<f32>().unwrap().to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(visible("chr1-é*:01"), "chr1-é*:01");
        assert_eq!(visible("G\u{1b}]0;x\u{7}\t\r\n\u{9b}"), "G\\u001b]0;x\\u0007\\t\\r\\n\\u009b");
        assert_eq!(visible_lines("a\u{1b}\tb\nc"), "a\\u001b\tb\nc");
    }

    #[test]
    fn integers_are_decimal() {
        for value in [0, 9, 10, 43_044_295, u32::MAX] {
            let mut out = Vec::new();
            write_integer(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
