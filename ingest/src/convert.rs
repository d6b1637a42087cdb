//! Conversions of numbers between libtorch, which counts in `i64`, Rust, which counts in `usize`, and the store's `u32`
//! and `f32`. Sizes that a file states are never converted here: there a number that does not fit is an error.

/// A size or place as libtorch counts it.
pub(crate) fn dimension(count: usize) -> i64 {
    i64::try_from(count).expect("memory holds fewer than 2^63 numbers; this is a bug")
}

/// A size or place that libtorch counted.
pub(crate) fn from_dimension(size: i64) -> usize {
    usize::try_from(size).expect("sizes of tensors are not negative; this is a bug")
}

/// A number of things in memory, or the place of one, in 32 bits.
pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("lists of windows, rows and tokens are shorter than 2^32; this is a bug")
}

/// A base of a contig or window, from a difference of places that may be negative before it is clamped.
pub(crate) fn base(place: i64) -> u32 {
    u32::try_from(place).expect("bases of a contig are numbered below 2^32; this is a bug")
}

/// A place of a list.
pub(crate) fn as_index(place: u64) -> usize {
    usize::try_from(place).expect("places of a list in memory fit a pointer; this is a bug")
}

/// The whole part of a number that counts something: 0 where it is negative or not a number, at most 2^64 − 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// The number of a class, which labels hold beside numbers to regress on.
pub(crate) fn class_number(label: f64) -> usize {
    usize::try_from(whole(label)).unwrap_or(usize::MAX)
}

/// A computed number as it is stored: float32.
#[expect(clippy::cast_possible_truncation, reason = "scores and weights are stored in float32")]
pub(crate) fn single(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_saturate() {
        assert_eq!([-1.0, f64::NAN, 2.9, 1e300].map(whole), [0, 0, 2, u64::MAX]);
        assert_eq!(class_number(3.0), 3);
    }
}
