//! The passes that the scores of a unit need, in batches, and the rows that come of them.

use std::fmt;

use rayon::prelude::*;
use vestore_schema::Status;

use crate::convert::narrow;
use crate::seam::{Output, Pass};

/// The scores of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// In the order of the track's columns; `None` where a score is not defined or not finite.
    pub values: Vec<Option<f32>>,
    /// Why it carries a score, or none.
    pub status: Status,
    /// Where it is asked for and all its numbers are finite.
    pub embedding: Option<Embedding>,
    /// Of each gene that the variant lies in, where the family looks at genes.
    pub genes: Vec<GeneRow>,
    /// By effect column, a number per target, NaN where it is not defined; empty where the family has no effects, or
    /// the variant no scores.
    pub effects: Vec<Vec<f32>>,
}

/// What a variant does in one gene.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneRow {
    /// The gene, or the strand where there is none.
    pub gene: String,
    /// In the order of the track's gene columns, of families without targets; `None` where a number is not defined or
    /// not finite.
    pub values: Vec<Option<f32>>,
    /// By gene column of a family with targets, a number per target, NaN where it is not defined.
    pub effects: Vec<Vec<f32>>,
}

/// The pooled final hidden states of a variant, means over the strands that were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Of the reference window, one number for each of the hidden vector's.
    pub reference: Vec<f32>,
    /// Alternate − reference, as many.
    pub delta: Vec<f32>,
}

impl Row {
    /// The row of what was computed: values that are not finite become `None`; `otherwise` is the status of a row
    /// where none was defined.
    #[must_use]
    pub fn new(values: Vec<Option<f32>>, embedding: Option<Embedding>, otherwise: Status) -> Self {
        let broken = values.iter().flatten().any(|value| !value.is_finite())
            || embedding.as_ref().is_some_and(|embedding| !embedding.is_finite());
        let values: Vec<_> =
            values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let embedding = embedding.filter(Embedding::is_finite);
        let status = if values.iter().any(Option::is_some) || (values.is_empty() && embedding.is_some()) {
            Status::Scored
        } else if broken {
            Status::NonFinite
        } else {
            otherwise
        };
        Self { values, status, embedding, genes: Vec::new(), effects: Vec::new() }
    }
}

impl Row {
    /// The row of a variant that has `values` and nothing else.
    #[must_use]
    pub fn of_values(values: Vec<Option<f32>>, status: Status) -> Self {
        Self { values, status, embedding: None, genes: Vec::new(), effects: Vec::new() }
    }
}

impl GeneRow {
    /// What was computed in a gene: values that are not finite become `None`.
    #[must_use]
    pub fn new(gene: String, values: Vec<Option<f32>>) -> Self {
        Self {
            gene,
            values: values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect(),
            effects: Vec::new(),
        }
    }

    /// What was computed in a gene on targets.
    #[must_use]
    pub fn of_targets(gene: String, effects: Vec<Vec<f32>>) -> Self {
        Self { gene, values: Vec::new(), effects }
    }

    /// `scored`, or why no number is defined.
    #[must_use]
    pub fn status(&self) -> Status {
        let defined = self.effects.iter().flatten().any(|value| value.is_finite());
        if defined || self.values.iter().any(Option::is_some) { Status::Scored } else { Status::NonFinite }
    }
}

impl Embedding {
    fn is_finite(&self) -> bool {
        self.reference.iter().chain(&self.delta).all(|value| value.is_finite())
    }
}

/// How the outputs of passes become a row.
pub type RowPlan<P, O> = Box<dyn Fn(&[P], &[O]) -> Row + Send + Sync>;

/// Planned forward passes of a set of variants.
pub struct Work<P, O> {
    pub(crate) passes: Vec<P>,
    pub(crate) batches: Vec<Batch>,
    rows: Vec<RowPlan<P, O>>,
}

/// Passes that are run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) passes: Vec<u32>,
    /// How often it fits into the memory that a batch may take, at least once.
    pub(crate) copies: usize,
}

impl<P: Pass, O: Output> Work<P, O> {
    /// Sorts `passes` into batches: by group, else as they come; each batch of at most `budget` bytes, as `bytes`
    /// says what a pass takes, but of at least one pass.
    #[must_use]
    pub fn new(passes: Vec<P>, rows: Vec<RowPlan<P, O>>, budget: u64, bytes: impl Fn(&P) -> u64) -> Self {
        let group = |pass: u32| passes[pass as usize].group();
        let mut order: Vec<u32> = (0..narrow(passes.len())).collect();
        order.sort_by_key(|pass| group(*pass));
        let mut batches = Vec::new();
        for same in order.chunk_by(|left, right| group(*left) == group(*right)) {
            let each = bytes(&passes[same[0] as usize]).max(1);
            let most = (budget / each).max(1);
            for passes in same.chunks(usize::try_from(most).unwrap_or(usize::MAX)) {
                let copies = (most / passes.len() as u64).max(1);
                let copies = usize::try_from(copies).unwrap_or(usize::MAX);
                batches.push(Batch { passes: passes.to_vec(), copies });
            }
        }
        Self { passes, batches, rows }
    }

    /// How many batches it takes.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// How many sequences are run through the model in a batch, and how many tokens or bases they are in all.
    #[must_use]
    pub fn size(&self, batch: usize) -> (usize, usize) {
        let passes = self.passes_of(&self.batches[batch].passes);
        let sum = |of: &dyn Fn(&P) -> usize| passes.iter().map(|pass| of(pass)).sum();
        (sum(&P::forwards), sum(&P::length))
    }

    /// The passes of these numbers.
    pub(crate) fn passes_of(&self, numbers: &[u32]) -> Vec<&P> {
        numbers.iter().map(|number| &self.passes[*number as usize]).collect()
    }

    /// Turns the outputs of all batches, in order, into one row for each window, in their order.
    #[must_use]
    pub fn finish(&self, outputs: Vec<Vec<O>>) -> Vec<Row> {
        let mut by_pass: Vec<O> = vec![O::default(); self.passes.len()];
        for (batch, outputs) in self.batches.iter().zip(outputs) {
            for (pass, output) in batch.passes.iter().zip(outputs) {
                by_pass[*pass as usize] = output;
            }
        }
        self.rows.par_iter().map(|row| row(&self.passes, &by_pass)).collect()
    }
}

impl<P, O> fmt::Debug for Work<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Work of {} passes in {} batches for {} rows",
            self.passes.len(),
            self.batches.len(),
            self.rows.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Length(usize);

    impl Pass for Length {
        type Group = usize;

        fn group(&self) -> usize {
            self.0
        }

        fn length(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn batches_hold_one_group_and_at_most_the_budget() {
        let batches = |budget: u64| {
            let passes = [3, 2, 3, 3].map(Length).into_iter().collect();
            Work::<Length, Vec<f32>>::new(passes, Vec::new(), budget, |pass| pass.0 as u64).batches
        };
        let batch = |passes: &[u32], copies| Batch { passes: passes.to_vec(), copies };
        assert_eq!(batches(6), [batch(&[1], 3), batch(&[0, 2], 1), batch(&[3], 2)]);
        assert_eq!(batches(1).len(), 4);
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_scores() {
        let row = |values: &[Option<f32>]| Row::new(values.to_vec(), None, Status::NonAcgt);
        assert_eq!(row(&[Some(f32::NAN), Some(1.0)]).values, [None, Some(1.0)]);
        assert_eq!(row(&[Some(f32::INFINITY)]).status, Status::NonFinite);
        assert_eq!(row(&[None]).status, Status::NonAcgt);
    }
}
