//! Conversions of numbers to smaller types, for those that fit. What a file decides is checked where it is read.

use std::fmt::Display;

// Files of more than 4 GiB are read and mapped.
const _: () = assert!(usize::BITS == 64, "vestore needs a 64-bit system");

/// A number of bytes, rows or alleles as a size in memory, which always holds it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, as asserted above")]
pub(crate) const fn to_usize(number: u64) -> usize {
    number as usize
}

/// A number of rows of a batch, bases of an allele or contigs.
///
/// # Panics
/// When it does not fit, which is a bug: the readers bound what they take.
#[inline]
pub(crate) fn to_u32<N: TryInto<u32> + Copy + Display>(number: N) -> u32 {
    number.try_into().unwrap_or_else(|_| too_large(number))
}

/// Items of a node or a block of a bigWig.
///
/// # Panics
/// When it does not fit, which is a bug.
#[inline]
pub(crate) fn to_u16(number: usize) -> u16 {
    number.try_into().unwrap_or_else(|_| too_large(number))
}

/// A key of a dictionary, an offset in an Arrow array, or a number of rows in a Parquet file that was checked.
///
/// # Panics
/// When it is negative, which is a bug.
#[inline]
pub(crate) fn to_index<N: TryInto<usize> + Copy + Display>(number: N) -> usize {
    number.try_into().unwrap_or_else(|_| too_large(number))
}

/// The nearest score: those of a store are float32.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(crate) const fn to_score(number: f64) -> f32 {
    number as f32
}

#[cold]
fn too_large(number: impl Display) -> ! {
    panic!("the number {number} does not fit; this is a bug")
}
