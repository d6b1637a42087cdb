//! What a fine-tuning sees: labelled windows of DNA, cut into tokens strand by strand.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::tuning::{TuningError, TuningInput};
use crate::random::Random;
use crate::tokenize::{Tokenizer, reverse_complement};

/// A labelled input: windows of upper-case ACGTN.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The reference window, where the input is the difference of both.
    pub reference: Option<Arc<[u8]>>,
    /// The alternate window, or the whole sequence.
    pub alternate: Arc<[u8]>,
    /// Index of the class, or the number.
    pub label: f64,
}

/// What the labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningTask {
    /// One of so many classes, two or more.
    Classes(u32),
    /// A number.
    Number,
}

impl TuningTask {
    /// Numbers that the head gives.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Self::Classes(classes) => classes as usize,
            Self::Number => 1,
        }
    }
}

/// Token sequences of one length, with where each belongs.
pub(super) struct Group {
    /// Tokens of each sequence, special ones included.
    pub(super) length: usize,
    /// Sequences one after the other.
    pub(super) ids: Vec<i64>,
    /// For each sequence, the example's place in the batch, and +1 for an alternate or −1 for a reference window.
    pub(super) places: Vec<(usize, f32)>,
}

impl Group {
    /// The group in parts of at most `tokens` tokens.
    pub(super) fn parts(&self, tokens: usize) -> impl Iterator<Item = (&[i64], &[(usize, f32)])> {
        let rows = (tokens / self.length).max(1);
        self.ids.chunks(rows * self.length).zip(self.places.chunks(rows))
    }
}

/// Tokens of one strand of `examples`, sequences of one length together. `reverse` says of which examples the
/// other strand is read.
pub(super) fn tokenize(
    examples: &[&Example],
    input: TuningInput,
    tokenizer: &Tokenizer,
    most: Option<u32>,
    reverse: impl Fn(usize) -> bool + Sync,
) -> Result<Vec<Group>, TuningError> {
    let one = |place: usize, window: &[u8], sign: f32| -> Result<_, TuningError> {
        let ids = if reverse(place) {
            tokenizer.encode(&reverse_complement(window))?.ids
        } else {
            tokenizer.encode(window)?.ids
        };
        match most {
            Some(limit) if ids.len() > limit as usize => {
                Err(TuningError::TooLong { tokens: ids.len(), limit, bases: window.len() })
            }
            _ => Ok((ids, (place, sign))),
        }
    };
    let sequences: Vec<Vec<_>> = examples
        .par_iter()
        .enumerate()
        .map(|(place, example)| {
            let alternate = one(place, &example.alternate, 1.0)?;
            let reference = example.reference.as_ref().filter(|_| input == TuningInput::Difference);
            let reference = reference.map(|window| one(place, window, -1.0)).transpose()?;
            Ok(std::iter::once(alternate).chain(reference).collect())
        })
        .collect::<Result<_, TuningError>>()?;
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (ids, place) in sequences.into_iter().flatten() {
        let length = ids.len();
        let group = groups.entry(length).or_insert(Group { length, ids: Vec::new(), places: Vec::new() });
        group.ids.extend(ids);
        group.places.push(place);
    }
    Ok(groups.into_values().collect())
}

/// The order in which an epoch goes through `count` examples (Fisher and Yates' shuffle).
pub(crate) fn order(count: usize, parts: &[u64]) -> Vec<usize> {
    let mut random = Random::of(parts);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_example_once_and_depends_on_its_seed() {
        let mut found = order(100, &[1, 2]);
        assert_eq!(found, order(100, &[1, 2]));
        assert_ne!(found, order(100, &[1, 3]));
        found.sort_unstable();
        assert!(found.into_iter().eq(0..100));
    }
}
