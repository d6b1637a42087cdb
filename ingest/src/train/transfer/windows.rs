//! Windows of a transfer: their bases and what was measured along them.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tch::{Device, Kind, TchError, Tensor};
use vestore::Reference;
use vestore_schema::Region;

use super::network::Example;
use crate::convert::{base, dimension, narrow};
use crate::coverage::{CoverageError, CoverageInput, CoverageValues, Sequence, Sequences};
use crate::dataset::Split;
use crate::progress::Progress;
use crate::train::error::TrainError;

/// What a model is transferred to, collected.
pub(super) struct TransferData<'a> {
    sequences: &'a Sequences,
    values: CoverageValues,
    /// Of each target, the index of its other strand, or its own.
    pairs: Vec<i64>,
    reference: RefCell<Reference>,
}

/// How a window is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Whether its reverse complement is read.
    pub(super) reverse: bool,
    /// Bases that it is moved to the right.
    pub(super) shift: i64,
}

impl<'a> TransferData<'a> {
    /// Collects what `input` names into a file of `folder`, or finds it there.
    ///
    /// # Errors
    /// As [`CoverageValues::collect`].
    pub(super) fn collect(
        input: &CoverageInput<'a>,
        mut reference: Reference,
        folder: &Path,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<Self, CoverageError> {
        let values = CoverageValues::collect(input, &mut reference, folder, interrupted, progress)?;
        let pairs = input.targets.pairs().into_iter().map(i64::from).collect();
        Ok(Self { sequences: input.sequences, values, pairs, reference: RefCell::new(reference) })
    }

    /// Number of targets.
    pub(super) fn targets(&self) -> usize {
        self.pairs.len()
    }

    /// The places of the windows of a split.
    pub(super) fn of(&self, split: Split) -> Vec<usize> {
        self.sequences.of(split).collect()
    }

    /// The window `place` on a device, looked at in a way.
    pub(super) fn example(
        &self,
        place: usize,
        view: View,
        seed: u64,
        device: Device,
    ) -> Result<Example, TrainError> {
        let mut bases = self.bases(&self.sequences.windows[place], view.shift, device)?;
        let mut measured = self.measured(place, device)?;
        if view.reverse {
            // The reverse complement: bases and their order turned.
            bases = bases.f_flip([1, 2])?;
            let pairs = Tensor::f_from_slice(&self.pairs)?.f_to_device(device)?;
            measured = measured.f_index_select(0, &pairs)?.f_flip([1])?;
        }
        Ok(Example { bases, measured, seed })
    }

    /// What was measured along the window `place` [targets, bins].
    pub(super) fn measured(&self, place: usize, device: Device) -> Result<Tensor, TrainError> {
        let values = self.values.read(place)?;
        let shape = [dimension(self.pairs.len()), -1];
        Ok(Tensor::f_from_slice(&values)?.f_view(shape)?.f_to_device(device)?)
    }

    /// One-hot bases [1, 4, bases]; anything but A, C, G and T, and what lies beyond the contig, is 0 everywhere.
    fn bases(&self, window: &Sequence, shift: i64, device: Device) -> Result<Tensor, TrainError> {
        let contig = narrow(window.contig);
        let start = i64::try_from(window.start).unwrap_or(i64::MAX) + shift;
        let (end, length) = (start + i64::from(self.sequences.window), self.contig_length(contig));
        let (from, to) = (start.clamp(0, length), end.clamp(0, length));
        let region = Region { contig, start: base(from), end: base(to) };
        let inside = self.reference.borrow_mut().fetch(region)?;
        let code = |letter: &u8| match letter.to_ascii_uppercase() {
            b'A' => 0u8,
            b'C' => 1,
            b'G' => 2,
            b'T' => 3,
            _ => 4,
        };
        let beyond = |count: i64| std::iter::repeat_n(4u8, usize::try_from(count).unwrap_or(0));
        let codes: Vec<u8> =
            beyond(from - start).chain(inside.iter().map(code)).chain(beyond(end - to)).collect();
        Ok(one_hot(&codes, device)?)
    }

    fn contig_length(&self, contig: u32) -> i64 {
        self.reference.borrow().length(contig).map_or(0, i64::from)
    }
}

/// One-hot bases [1, 4, bases] of codes 0 to 3; others are 0 everywhere.
fn one_hot(codes: &[u8], device: Device) -> Result<Tensor, TchError> {
    let codes = Tensor::f_from_slice(codes)?.f_to_device(device)?;
    let letters = Tensor::f_arange(4, (Kind::Uint8, device))?.f_unsqueeze(1)?;
    codes.f_eq_tensor(&letters)?.f_unsqueeze(0)?.f_to_kind(Kind::Float)
}
