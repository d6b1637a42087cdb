//! Windows of a transfer: their bases and what was measured along them.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tch::{Device, Kind, Tensor};
use vestore::{Reference, ReferenceError};
use vestore_schema::Region;

use super::network::Example;
use crate::convert::{base, dimension, narrow};
use crate::coverage::{CoverageError, CoverageInput, CoverageValues, Sequence};
use crate::dataset::Split;
use crate::progress::Progress;
use crate::train::error::TrainError;

/// What a model is transferred to, collected.
pub struct TransferData<'a> {
    pub(crate) input: CoverageInput<'a>,
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
    pub fn collect(
        input: &CoverageInput<'a>,
        mut reference: Reference,
        folder: &Path,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<Self, CoverageError> {
        let values = CoverageValues::collect(input, &mut reference, folder, interrupted, progress)?;
        let pairs = input.targets.pairs().into_iter().map(i64::from).collect();
        Ok(Self { input: *input, values, pairs, reference: RefCell::new(reference) })
    }

    /// Removes the file of what was measured.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn remove(self) -> Result<(), CoverageError> {
        self.values.remove()
    }

    /// Number of targets.
    pub(super) fn targets(&self) -> usize {
        self.pairs.len()
    }

    /// The places of the windows of a split.
    pub(crate) fn of(&self, split: Split) -> Vec<usize> {
        self.input.sequences.of(split).collect()
    }

    /// The window `place` on a device, looked at in a way.
    pub(super) fn example(
        &self,
        place: usize,
        view: View,
        seed: u64,
        device: Device,
    ) -> Result<Example, TrainError> {
        let mut bases = self.bases(&self.input.sequences.windows[place], view.shift, device)?;
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
        let values = self.values(place)?;
        let shape = [dimension(self.pairs.len()), -1];
        Ok(Tensor::f_from_slice(&values)?.f_view(shape)?.f_to_device(device)?)
    }

    /// The same as numbers, row by target.
    pub(crate) fn values(&self, place: usize) -> Result<Vec<f32>, CoverageError> {
        self.values.read(place)
    }

    /// One-hot bases [1, 4, bases] of the window `place` as it lies.
    pub(crate) fn one_hot(&self, place: usize, device: Device) -> Result<Tensor, TrainError> {
        self.bases(&self.input.sequences.windows[place], 0, device)
    }

    /// Bases of the window `place` in upper case.
    pub(crate) fn letters(&self, place: usize) -> Result<Vec<u8>, TrainError> {
        Ok(self.stretch(&self.input.sequences.windows[place], 0)?)
    }

    /// One-hot bases [1, 4, bases]; anything but A, C, G and T, and what lies beyond the contig, is 0 everywhere.
    fn bases(&self, window: &Sequence, shift: i64, device: Device) -> Result<Tensor, TrainError> {
        let letters = Tensor::f_from_slice(&self.stretch(window, shift)?)?.f_to_device(device)?;
        let known = Tensor::f_from_slice(b"ACGT")?.f_to_device(device)?.f_unsqueeze(1)?;
        Ok(letters.f_eq_tensor(&known)?.f_unsqueeze(0)?.f_to_kind(Kind::Float)?)
    }

    /// Bases of a window that is moved by `shift`, in upper case; N beyond the contig.
    fn stretch(&self, window: &Sequence, shift: i64) -> Result<Vec<u8>, ReferenceError> {
        let contig = narrow(window.contig);
        let start = i64::try_from(window.start).unwrap_or(i64::MAX) + shift;
        let (end, length) = (start + i64::from(self.input.sequences.window), self.contig_length(contig));
        let (from, to) = (start.clamp(0, length), end.clamp(0, length));
        let region = Region { contig, start: base(from), end: base(to) };
        let inside = self.reference.borrow_mut().fetch(region)?;
        let beyond = |count: i64| std::iter::repeat_n(b'N', usize::try_from(count).unwrap_or(0));
        let inside = inside.iter().map(u8::to_ascii_uppercase);
        Ok(beyond(from - start).chain(inside).chain(beyond(end - to)).collect())
    }

    fn contig_length(&self, contig: u32) -> i64 {
        self.reference.borrow().length(contig).map_or(0, i64::from)
    }
}
