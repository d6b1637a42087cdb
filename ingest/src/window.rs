//! Cuts the window of bases around a variant that a model sees.

use std::sync::Arc;

use vestore::{Reference, ReferenceError};
use vestore_schema::{Assembly, Region, Status, Variant};

use crate::score::{GridWindow, WindowPair, grid_window_start};

/// Cuts windows of one length.
///
/// With the 0-based position p and the length W, the window starts at p − W/2 (integer division) and
/// is shifted inward at the ends of a contig. The alternate window keeps the start, has the reference
/// allele replaced, and is trimmed or extended on the right to W. What is not A, C, G or T becomes N.
#[derive(Clone, Copy, Debug)]
pub struct WindowCutter {
    /// Length in bases.
    pub length: u32,
    /// Bases of a word, when windows of `llr-grid` are wanted too.
    pub grid: Option<u32>,
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
        let start = variant.position.saturating_sub(self.length / 2).min(latest);
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
            grid: match self.grid {
                Some(word) if variant.is_snv() => self.cut_grid(variant, word, reference, contig_length)?,
                _ => None,
            },
        }))
    }

    /// The window of `llr-grid`; at the ends of a contig it is shifted inward by whole words. `None` in
    /// what is left of a contig behind its last whole window.
    fn cut_grid(
        &self,
        variant: &Variant,
        word: u32,
        reference: &mut Reference,
        contig_length: u32,
    ) -> Result<Option<GridWindow>, ReferenceError> {
        let latest = (contig_length - self.length) / word * word;
        let start = grid_window_start(variant.position, self.length, word).clamp(0, i64::from(latest)) as u32;
        let position = variant.position - start;
        if position >= self.length {
            return Ok(None);
        }
        let region = Region { contig: variant.contig, start, end: start + self.length };
        let bases = Arc::from(masked(reference.fetch(region)?));
        Ok(Some(GridWindow { bases, position }))
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
