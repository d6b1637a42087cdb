//! Cuts the window of bases around a variant that a model sees.

use std::sync::Arc;

use vestore::{Reference, ReferenceError};
use vestore_schema::{Assembly, Region, Status, Variant};

use crate::convert::{base, from_dimension, narrow};

/// One variant as a model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPair {
    /// Bases of the reference window, upper-case ACGTN.
    pub reference: Arc<[u8]>,
    /// Bases of the alternate window, of the same length.
    pub alternate: Arc<[u8]>,
    /// Index in both windows of the variant's first base.
    pub centre: u32,
    /// Length of the reference allele in bases.
    pub reference_length: u32,
    /// Length of the alternate allele in bases.
    pub alternate_length: u32,
}

impl WindowPair {
    /// Whether one base is replaced by one other.
    #[must_use]
    pub fn is_snv(&self) -> bool {
        self.reference_length == 1 && self.alternate_length == 1
    }
}

/// What a window holds beyond the ends of a contig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContigEnd {
    /// Nothing: it is shifted inward, and the variant's place in it moves along.
    Shift,
    /// N: the variant stays where it is.
    Pad,
}

/// Cuts windows of one length.
///
/// With the 0-based position p and the length W, the window starts at p − W/2 (integer division). The alternate window
/// keeps the start, has the reference allele replaced, and is trimmed or extended on the right to W. What is not A, C,
/// G or T becomes N.
#[derive(Clone, Copy, Debug)]
pub struct WindowCutter {
    /// Length in bases.
    pub length: u32,
    /// The rule at the ends of a contig.
    pub end: ContigEnd,
}

impl WindowCutter {
    /// The windows of a variant in normal form whose reference allele was checked, or why it has none.
    ///
    /// # Errors
    /// When the reference cannot be read.
    pub fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<WindowPair, Status>, ReferenceError> {
        let contig_length = assembly.contig(variant.contig).length;
        let mut start = i64::from(variant.position.zero_based()) - i64::from(self.length / 2);
        if self.end == ContigEnd::Shift {
            if contig_length < self.length {
                return Ok(Err(Status::ContigEdge));
            }
            start = start.clamp(0, i64::from(contig_length - self.length));
        }
        let mut bases =
            |start: i64, length: u32| bases(reference, variant.contig, contig_length, start, length);
        let centre = base(i64::from(variant.position.zero_based()) - start);
        let window = bases(start, self.length)?;

        let length = self.length as usize;
        let mut alternate = Vec::with_capacity(length);
        alternate.extend_from_slice(&window[..centre as usize]);
        alternate.extend_from_slice(variant.alternate.as_bytes());
        let after = variant.position.zero_based() + narrow(variant.reference.len());
        if alternate.len() < length {
            let needed = narrow(length - alternate.len());
            if self.end == ContigEnd::Shift && contig_length - after < needed {
                return Ok(Err(Status::ContigEdge));
            }
            alternate.extend(bases(i64::from(after), needed)?);
        }
        alternate.truncate(length);
        Ok(Ok(WindowPair {
            reference: Arc::from(window),
            alternate: Arc::from(alternate),
            centre,
            reference_length: narrow(variant.reference.len()),
            alternate_length: narrow(variant.alternate.len()),
        }))
    }
}

/// `length` upper-case bases of a contig from the 0-based `start`, N for all that is not A, C, G or T and for all
/// beyond its ends.
pub(crate) fn bases(
    reference: &mut Reference,
    contig: u32,
    contig_length: u32,
    start: i64,
    length: u32,
) -> Result<Vec<u8>, ReferenceError> {
    let end = start + i64::from(length);
    let [first, last] = [start, end].map(|place| base(place.clamp(0, i64::from(contig_length))));
    let mut window = vec![b'N'; length as usize];
    if first < last {
        let known = reference.fetch(Region { contig, start: first, end: last })?;
        let offset = from_dimension(i64::from(first) - start);
        for (to, base) in window[offset..].iter_mut().zip(known) {
            if let known @ (b'A' | b'C' | b'G' | b'T') = base.to_ascii_uppercase() {
                *to = known;
            }
        }
    }
    Ok(window)
}
