//! The window of an encoder: that of the variant, and for `llr-grid` the one that all bases of a word share.

use std::sync::Arc;

use vestore::{Reference, ReferenceError};
use vestore_schema::Variant;

use crate::convert::base;
use crate::window::{WindowPair, bases};

/// One variant as an encoder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderWindow {
    /// The windows around the variant.
    pub pair: WindowPair,
    /// The window of `llr-grid`, where that is asked for and the variant is an SNV.
    pub grid: Option<GridWindow>,
}

impl From<WindowPair> for EncoderWindow {
    fn from(pair: WindowPair) -> Self {
        Self { pair, grid: None }
    }
}

/// The window of `llr-grid`: its centre word holds the variant's base and is the same for all bases of
/// that word. See [`grid_window_start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridWindow {
    /// Bases, upper-case ACGTN.
    pub bases: Arc<[u8]>,
    /// Index in the window of the variant's base.
    pub position: u32,
}

/// First base of the grid window of the 0-based position `position`: words of `word` bases are laid
/// from the contig's start, and the one that holds the position becomes word number
/// floor(words / 2) of the window, counted from 0. `window` is a multiple of `word`. Negative near
/// the contig's start; the caller then shifts the window inward by whole words.
#[must_use]
pub fn grid_window_start(position: u32, window: u32, word: u32) -> i64 {
    i64::from(position / word * word) - i64::from(word * (window / word / 2))
}

impl GridWindow {
    /// Cuts the window of `length` bases of an SNV, not longer than the contig; at its ends the window is shifted
    /// inward by whole words. `None` in what is left of a contig behind its last whole window.
    pub(super) fn cut(
        variant: &Variant,
        length: u32,
        word: u32,
        reference: &mut Reference,
        contig_length: u32,
    ) -> Result<Option<Self>, ReferenceError> {
        let latest = (contig_length - length) / word * word;
        let start =
            grid_window_start(variant.position.zero_based(), length, word).clamp(0, i64::from(latest));
        let position = variant.position.zero_based() - base(start);
        if position >= length {
            return Ok(None);
        }
        let bases = Arc::from(bases(reference, variant.contig, contig_length, start, length)?);
        Ok(Some(Self { bases, position }))
    }
}
