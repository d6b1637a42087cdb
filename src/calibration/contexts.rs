//! The bases around variants, read from the reference block by block.

use vestore_schema::{Context, Position, Region};

use crate::reference::{Reference, ReferenceError};

/// Bases read at once where variants are dense, and where they are not.
const BLOCKS: [u32; 2] = [1 << 16, 1 << 7];

/// Finds the class of variants in ascending order; any order is right, but slower.
pub(super) struct Contexts {
    context: Context,
    reference: Reference,
    /// What is held: a contig, its length, the 0-based first position, the bases.
    contig: u32,
    length: u32,
    start: u32,
    bases: Vec<u8>,
}

impl Contexts {
    pub(super) fn new(context: Context, reference: Reference) -> Self {
        Self { context, reference, contig: 0, length: 0, start: 0, bases: Vec::new() }
    }

    /// The class of a variant; none of what is not an SNV, or has another base than A, C, G and T around it.
    pub(super) fn class(
        &mut self,
        contig: u32,
        position: Position,
        (reference, alternate): (&str, &str),
    ) -> Result<Option<usize>, ReferenceError> {
        let ([_], [alternate]) = (reference.as_bytes(), alternate.as_bytes()) else { return Ok(None) };
        if self.contig != contig || self.bases.is_empty() {
            (self.contig, self.start) = (contig, 0);
            self.length = self.reference.length(contig).unwrap_or(0);
            self.bases.clear();
        }
        let (at, flank) = (position.zero_based(), self.context.flank());
        let Some(first) = at.checked_sub(flank).filter(|_| at < self.length && self.length - at > flank)
        else {
            return Ok(None);
        };
        let end = at + flank + 1;
        let held = self.start + u32::try_from(self.bases.len()).unwrap_or(u32::MAX);
        if first < self.start || end > held {
            let is_near = first >= self.start && first < held.saturating_add(BLOCKS[0]);
            let most = if is_near { BLOCKS[0] } else { BLOCKS[1] };
            self.start = first;
            let end = first.saturating_add(most).min(self.length).max(end);
            self.reference.fetch_into(Region { contig, start: first, end }, &mut self.bases)?;
        }
        let from = (first - self.start) as usize;
        Ok(self.context.class(&self.bases[from..from + (end - first) as usize], *alternate))
    }
}
