//! What splice networks read in one pass: a stretch of one strand, and alternates in it.

use std::sync::Arc;

use crate::convert::dimension;
use crate::seam::{Output, Pass};

/// A stretch of DNA on the strand that is read, and the variants to compute in it.
#[derive(Clone, Debug)]
pub struct SplicePass {
    /// Its place among the passes of its unit: passes share no batch, since each has batches of alternates.
    pub(crate) number: u32,
    /// Upper-case bases; N where nothing is read (beyond the gene or the contig).
    pub(crate) bases: Arc<[u8]>,
    /// In any order.
    pub(crate) alternates: Vec<Alternate>,
}

/// An alternate allele in a pass. Places are 0-based on the strand of the pass, ranges half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// Where the reference allele begins.
    pub(crate) start: i64,
    /// Bases of the reference allele.
    pub(crate) reference: i64,
    /// The alternate allele on the strand of the pass.
    pub(crate) bases: Arc<[u8]>,
    /// Outputs wanted of the reference, relative to `start`; of the alternate the end moves with its length.
    pub(crate) outputs: (i64, i64),
}

impl Alternate {
    /// How much longer the alternate sequence is.
    pub(crate) fn shift(&self) -> i64 {
        dimension(self.bases.len()) - self.reference
    }

    /// Alternates of one shape are computed together.
    pub(crate) fn shape(&self) -> (i64, usize, (i64, i64)) {
        (self.reference, self.bases.len(), self.outputs)
    }
}

impl Pass for SplicePass {
    type Group = u32;

    fn group(&self) -> u32 {
        self.number
    }

    fn length(&self) -> usize {
        self.bases.len()
    }
}

/// Probabilities of acceptor and donor along a stretch.
pub type Sites = Vec<[f32; 2]>;

/// What a pass gave: for each of its alternates, the probabilities of the reference and of the alternate, in the order
/// of the strand of the pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpliceOutput(pub(crate) Vec<[Sites; 2]>);

impl Output for SpliceOutput {
    fn numbers(&self) -> Vec<f32> {
        self.0.iter().flatten().flatten().flatten().copied().collect()
    }
}
