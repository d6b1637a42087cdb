//! Cuts the window of bases around a variant that a model sees.

use std::sync::Arc;

use vestore::{Reference, ReferenceError};
use vestore_schema::{Assembly, Region, Status, Variant};

use crate::score::WindowPair;

/// Cuts windows of one length.
///
/// With the 0-based position p and the length W, the window starts at p − W/2 (integer division) and
/// is shifted inward at the ends of a contig. The alternate window keeps the start, has the reference
/// allele replaced, and is trimmed or extended on the right to W. What is not A, C, G or T becomes N.
#[derive(Clone, Copy, Debug)]
pub struct WindowCutter {
    /// Length in bases.
    pub length: u32,
    /// Start windows where the six (or k) bases of the variant's slot are the centre token, instead of
    /// centring the variant: the `llr-grid` convention, with the slot's length in bases.
    pub slot: Option<u32>,
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
        if contig_length < self.length {
            return Ok(Err(Status::ContigEdge));
        }
        let latest = contig_length - self.length;
        let start = match self.slot {
            // The slot's first base stands where the middle token of the window starts. At the ends of a
            // contig the window is shifted by whole tokens.
            Some(slot) => (variant.position / slot * slot)
                .saturating_sub(self.length / slot / 2 * slot)
                .min(latest / slot * slot),
            None => variant.position.saturating_sub(self.length / 2).min(latest),
        };
        if variant.position >= start + self.length {
            return Ok(Err(Status::ContigEdge));
        }
        let centre = variant.position - start;
        let region = |start: u32, end: u32| Region { contig: variant.contig, start, end };
        let window: Vec<u8> = masked(reference.fetch(region(start, start + self.length))?);

        let length = self.length as usize;
        let mut alternate = Vec::with_capacity(length);
        alternate.extend_from_slice(&window[..centre as usize]);
        alternate.extend_from_slice(variant.alternate.as_bytes());
        let after = variant.position + variant.reference.len() as u32;
        if alternate.len() < length {
            let needed = (length - alternate.len()) as u32;
            if contig_length - after < needed {
                return Ok(Err(Status::ContigEdge));
            }
            alternate.extend(masked(reference.fetch(region(after, after + needed))?));
        }
        alternate.truncate(length);
        Ok(Ok(WindowPair {
            reference: Arc::from(window),
            alternate: Arc::from(alternate),
            centre,
            reference_length: variant.reference.len() as u32,
            alternate_length: variant.alternate.len() as u32,
        }))
    }
}

/// Upper-case bases with N for all that is not A, C, G or T.
fn masked(mut bases: Vec<u8>) -> Vec<u8> {
    for base in &mut bases {
        *base = match base.to_ascii_uppercase() {
            known @ (b'A' | b'C' | b'G' | b'T') => known,
            _ => b'N',
        };
    }
    bases
}
