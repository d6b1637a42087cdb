//! The plain model that a language model has to beat: the share of each base between the k bases before it and
//! the k after it, counted on both strands.

use super::losses::Losses;
use crate::genome::{Genome, KnownRegions};
use crate::tokenize::reverse_complement;
use vestore_schema::Region;

/// Most bases on either side: 4^11 counts.
pub const MAX_ORDER: u32 = 5;

/// Added to every count, so that nothing is impossible.
const PRIOR: f64 = 0.5;

/// Counts of bases by the `order` bases on either side; order 0 is the composition of the DNA.
pub struct ContextModel {
    order: u32,
    /// By context, its bases read as digits from left to right, and by the base in the middle.
    counts: Vec<[u32; 4]>,
}

impl ContextModel {
    /// Counts the bases of `regions`, both strands.
    ///
    /// # Panics
    /// When `order` is more than [`MAX_ORDER`], which is a bug.
    #[must_use]
    pub fn count(genome: &Genome, regions: &KnownRegions, order: u32) -> Self {
        assert!(order <= MAX_ORDER, "an order of {order}; this is a bug");
        let mut model = Self { order, counts: vec![[0; 4]; 1 << (4 * order)] };
        for region in regions.regions() {
            let forward = genome.letters(*region).to_ascii_uppercase();
            model.add(&forward);
            model.add(&reverse_complement(&forward));
        }
        model
    }

    /// Bases on either side.
    #[must_use]
    pub fn order(&self) -> u32 {
        self.order
    }

    fn add(&mut self, bases: &[u8]) {
        for around in bases.windows(2 * self.order as usize + 1) {
            if let Some((context, base)) = place(around) {
                self.counts[context][base] = self.counts[context][base].saturating_add(1);
            }
        }
    }

    /// The probabilities of A, C, G, T in the middle of `around`, 2 · order + 1 letters of either case; `None`
    /// where one of the others is not a base.
    #[must_use]
    pub fn probabilities(&self, around: &[u8]) -> Option<[f64; 4]> {
        let mut known = around.to_ascii_uppercase();
        *known.get_mut(self.order as usize)? = b'A';
        let (context, _) = place(&known)?;
        let counts = self.counts.get(context)?.map(|count| f64::from(count) + PRIOR);
        let total: f64 = counts.iter().sum();
        Some(counts.map(|count| count / total))
    }

    /// The losses of the same bases as `losses`. A base at the very end of its contig, without `order` bases on
    /// either side, counts as one of four.
    #[must_use]
    pub fn losses(&self, genome: &Genome, losses: &Losses) -> Losses {
        losses.with(|loss| {
            let around = self.around(genome, loss.contig, loss.position);
            let found = around.and_then(|around| {
                let base = b"ACGT"
                    .iter()
                    .position(|base| base.eq_ignore_ascii_case(&around[self.order as usize]))?;
                Some(-self.probabilities(around)?[base].ln())
            });
            found.unwrap_or(4f64.ln())
        })
    }

    /// The letters around a base, as many as a context has.
    #[must_use]
    pub fn around<'a>(&self, genome: &'a Genome, contig: u32, position: u32) -> Option<&'a [u8]> {
        let start = position.checked_sub(self.order)?;
        let end = position.checked_add(self.order + 1)?;
        let fits = end <= genome.assembly().contigs.get(contig as usize)?.length;
        fits.then(|| genome.letters(Region { contig, start, end }))
    }
}

/// The number of a context and the base in its middle.
fn place(around: &[u8]) -> Option<(usize, usize)> {
    let (mut context, mut middle) = (0, 0);
    for (index, base) in around.iter().enumerate() {
        let digit = match base {
            b'A' => 0,
            b'C' => 1,
            b'G' => 2,
            b'T' => 3,
            _ => return None,
        };
        if index == around.len() / 2 {
            middle = digit;
        } else {
            context = context * 4 + digit;
        }
    }
    Some((context, middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_both_strands() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.fa");
        std::fs::write(&file, ">a\nACGACTNACG\n").expect("written");
        let genome = Genome::read(&[file]).expect("a genome");
        let regions = KnownRegions::new(&genome, &[], &[]);
        let unigram = ContextModel::count(&genome, &regions, 0);
        // Forward A 3, C 3, G 2, T 1; the other strand T 3, G 3, C 2, A 1.
        let expected = [4.5, 5.5, 5.5, 4.5].map(|count| count / 20.0);
        assert_eq!(unigram.probabilities(b"t"), Some(expected));
        let first = ContextModel::count(&genome, &regions, 1);
        // A?G: C twice forward. A?T: C once. On the other strand C?T: G twice, A?T: nothing, A?T: G once.
        assert_eq!(first.probabilities(b"aTg"), Some([0.5, 2.5, 0.5, 0.5].map(|count| count / 4.0)));
        assert_eq!(first.probabilities(b"ANT"), Some([0.5, 1.5, 1.5, 0.5].map(|count| count / 4.0)));
        assert_eq!(first.probabilities(b"NAT"), None);
        assert_eq!(first.around(&genome, 0, 0), None);
        assert_eq!(first.around(&genome, 0, 9), None);
        assert_eq!(first.around(&genome, 0, 8), Some(&b"ACG"[..]));
    }
}
