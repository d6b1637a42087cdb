//! Positions: 0-based inside the program, 1-based in files and text. The conversions are here and say so.

use serde::{Deserialize, Serialize};

/// A 0-based position on a contig. Numbers that count from 1 stay integers called `one_based` until they are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u32);

impl Position {
    /// The base after `zero_based` others.
    #[inline]
    #[must_use]
    pub const fn new(zero_based: u32) -> Self {
        Self(zero_based)
    }

    /// The position that VCF and people call `one_based`; `None` for 0, a telomere in VCF, and for what no contig
    /// reaches.
    #[inline]
    #[must_use]
    pub fn from_one_based(one_based: u64) -> Option<Self> {
        u32::try_from(one_based.checked_sub(1)?).ok().map(Self)
    }

    /// The position in the column `position` of a row, where it is 1-based.
    ///
    /// # Panics
    /// When it is less than 1, which is a bug: rows are checked when they are read.
    #[inline]
    #[must_use]
    pub fn from_column(one_based: i32) -> Self {
        assert!(one_based > 0, "a row is at position {one_based}; this is a bug");
        Self(one_based.cast_unsigned() - 1)
    }

    /// The bases before it.
    #[inline]
    #[must_use]
    pub const fn zero_based(self) -> u32 {
        self.0
    }

    /// As VCF and people count.
    #[inline]
    #[must_use]
    pub fn one_based(self) -> u64 {
        u64::from(self.0) + 1
    }

    /// What the column `position` of its row holds: 1-based.
    ///
    /// # Panics
    /// When it is beyond every contig that a store can have, which is a bug.
    #[inline]
    #[must_use]
    pub fn to_column(self) -> i32 {
        i32::try_from(self.one_based()).expect("contigs of a store are shorter than 2³¹ bases; this is a bug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_exact_and_refuse_what_is_no_position() {
        for (zero_based, one_based) in [(0, 1), (41, 42), (u32::MAX, 1 << 32)] {
            let position = Position::new(zero_based);
            assert_eq!(Position::from_one_based(one_based), Some(position));
            assert_eq!((position.zero_based(), position.one_based()), (zero_based, one_based));
        }
        for wrong in [0, (1 << 32) + 1, u64::MAX] {
            assert_eq!(Position::from_one_based(wrong), None, "{wrong}");
        }
        for column in [1, 42, i32::MAX] {
            assert_eq!(Position::from_column(column).to_column(), column);
        }
        assert_eq!(Position::from_column(1), Position::new(0));
    }

    #[test]
    fn a_position_is_stored_as_its_number_alone() {
        assert_eq!(serde_json::to_string(&Position::new(41)).unwrap(), "41");
        assert_eq!(serde_json::from_str::<Position>("41").unwrap(), Position::new(41));
    }
}
