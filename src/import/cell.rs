//! Texts of cells as what they should be.

use std::path::Path;

use super::records::malformed;
use crate::variants::InputError;

/// A 1-based position: a whole number, also one written as a float (`6.0`, `1e+05`), as programs do that keep numbers
/// beside missing ones.
pub(super) fn one_based(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
    if digits {
        return Some(text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    whole(std::str::from_utf8(text).ok()?.parse().ok()?)
}

/// A float that is a whole number from 0 which a float holds exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below 2⁵³")]
pub(super) fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
}

/// A number, NaN for what stands for a missing one; `None` for other text. Beyond float32 it is the nearest one.
pub(super) fn score(text: &[u8]) -> Option<f32> {
    let text = text.trim_ascii();
    if matches!(text, b"" | b"." | b"NA" | b"N/A" | b"NaN" | b"nan" | b"null" | b"None" | b"-") {
        return Some(f32::NAN);
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// UTF-8 without white space around it.
pub(super) fn text_cell<'a>(path: &Path, line: u64, cell: &'a [u8]) -> Result<&'a str, InputError> {
    match std::str::from_utf8(cell) {
        Ok(text) => Ok(text.trim()),
        Err(_) => Err(malformed(path, line, "text", cell, "is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_whole_numbers() {
        for (text, expected) in
            [("6", Some(6)), ("6.0", Some(6)), ("1e+05", Some(100_000)), ("0", Some(0)), ("043", Some(43))]
        {
            assert_eq!(one_based(text.as_bytes()), expected, "{text}");
        }
        for wrong in ["", "6.5", "-6", "+6", "x", "inf", "NaN", "1e300", ".", "6,000", "99999999999999999999"]
        {
            assert_eq!(one_based(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
