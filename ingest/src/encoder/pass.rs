//! The forward passes of an encoder: each distinct one once, in batches of one exact token count, so that nothing is
//! padded.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::convert::narrow;
use crate::seam::{Output, Pass};
use crate::tokenize::Tokens;

/// Most tokens of one batch on a CPU, unless asked otherwise: the matrix rate is reached, and what a layer
/// makes fits in memory that the allocator keeps. With 4,096 tokens a model of 50M parameters took 1.4 times
/// as long, because the system cleared fresh pages for every layer.
pub const CPU_BATCH_TOKENS: u32 = 1536;
/// The same on a GPU.
pub const GPU_BATCH_TOKENS: u32 = 65_536;

/// A pass of one token sequence, perhaps with one token masked, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct TokenPass {
    /// Token ids, special ones included.
    pub(crate) ids: Arc<[i64]>,
    /// Tokens that are not special.
    pub(crate) content: Range<usize>,
    /// Index of the masked token.
    pub(crate) mask: Option<u32>,
    /// The mean over all tokens that are not special.
    pub(crate) pooled: bool,
    /// The hidden vectors of these tokens, ascending.
    pub(crate) at: Vec<u32>,
    /// Logits of these token ids at the masked token, ascending.
    pub(crate) logits: Vec<i64>,
    /// Log-probabilities of these token ids at the masked token, ascending.
    pub(crate) probabilities: Vec<i64>,
    /// Logits of the classification head.
    pub(crate) classes: bool,
}

impl Pass for TokenPass {
    /// Passes that want all tokens come after those that want some.
    type Group = (usize, bool);

    fn group(&self) -> Self::Group {
        (self.ids.len(), self.pooled)
    }

    fn length(&self) -> usize {
        self.ids.len()
    }
}

impl TokenPass {
    /// The tokens whose last hidden states are wanted when the mean is not, ascending.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        let first = self.classes.then_some(0);
        let masked = self.mask.filter(|_| self.reads_mask());
        let mut tokens: Vec<u32> = self.at.iter().copied().chain(first).chain(masked).collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// Whether anything is wanted of the masked token.
    pub(crate) fn reads_mask(&self) -> bool {
        self.mask.is_some() && !(self.probabilities.is_empty() && self.logits.is_empty())
    }

    /// Wants the hidden vector of the token `index`.
    pub(crate) fn want_at(&mut self, index: u32) {
        if let Err(place) = self.at.binary_search(&index) {
            self.at.insert(place, index);
        }
    }

    /// Wants the logit of token `id` at the masked token.
    pub(crate) fn want_logit(&mut self, id: i64) {
        if let Err(place) = self.logits.binary_search(&id) {
            self.logits.insert(place, id);
        }
    }

    /// Wants the log-probability of token `id` at the masked token.
    pub(crate) fn want_probability(&mut self, id: i64) {
        if let Err(place) = self.probabilities.binary_search(&id) {
            self.probabilities.insert(place, id);
        }
    }
}

/// What one forward pass gave, as wanted; empty where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenOutput {
    pub(crate) pooled: Vec<f32>,
    /// In the order of [`TokenPass::at`], one after the other.
    pub(crate) at: Vec<f32>,
    /// In the order of [`TokenPass::logits`].
    pub(crate) logits: Vec<f32>,
    /// In the order of [`TokenPass::probabilities`].
    pub(crate) probabilities: Vec<f32>,
    pub(crate) classes: Vec<f32>,
    /// Whether `classes` are labels that each are there or not, rather than classes of which one is right.
    pub(crate) labels: bool,
}

impl Output for TokenOutput {
    fn numbers(&self) -> Vec<f32> {
        let lists = [&self.pooled, &self.at, &self.logits, &self.probabilities, &self.classes];
        lists.into_iter().flatten().copied().collect()
    }
}

/// Distinct sequences and forward passes. Alternates at one site share the masked pass and the
/// reference pass, because their token ids are the same.
#[derive(Debug, Default)]
pub(crate) struct TokenPasses {
    sequences: Vec<(Arc<[i64]>, Range<usize>)>,
    pub(crate) passes: Vec<TokenPass>,
    by_ids: HashMap<Arc<[i64]>, u32>,
    by_mask: HashMap<(u32, Option<u32>), u32>,
}

impl TokenPasses {
    /// The number of the sequence `tokens`.
    pub(crate) fn sequence(&mut self, tokens: &Tokens) -> u32 {
        if let Some(number) = self.by_ids.get(tokens.ids.as_slice()) {
            return *number;
        }
        let (number, ids) = (narrow(self.sequences.len()), Arc::<[i64]>::from(tokens.ids.as_slice()));
        self.sequences.push((Arc::clone(&ids), tokens.content()));
        self.by_ids.insert(ids, number);
        number
    }

    /// The number of the pass of `sequence` with the token `mask` hidden, and the pass itself.
    pub(crate) fn pass(&mut self, sequence: u32, mask: Option<u32>) -> (u32, &mut TokenPass) {
        let number = *self.by_mask.entry((sequence, mask)).or_insert_with(|| {
            let (ids, content) = &self.sequences[sequence as usize];
            self.passes.push(TokenPass {
                ids: Arc::clone(ids),
                content: content.clone(),
                mask,
                pooled: false,
                at: Vec::new(),
                logits: Vec::new(),
                probabilities: Vec::new(),
                classes: false,
            });
            narrow(self.passes.len()) - 1
        });
        (number, &mut self.passes[number as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_passes_are_one() {
        let tokens = |ids: &[i64]| {
            let spans = (0..ids.len() as u32).map(|base| base..base + 1).collect();
            Tokens { ids: ids.to_vec(), spans }
        };
        let mut passes = TokenPasses::default();
        for ids in [[1, 2, 3].as_slice(), &[4, 5], &[1, 2, 3], &[6, 7, 8]] {
            let sequence = passes.sequence(&tokens(ids));
            passes.pass(sequence, None).1.pooled = true;
        }
        assert_eq!(passes.passes.len(), 3);
        assert_eq!(passes.pass(0, Some(1)).0, 3);
        assert_eq!(passes.pass(0, Some(1)).0, 3);
        assert_eq!(passes.passes[1].group(), (2, true));
    }
}
