//! Labelled windows of DNA as tokens, strand by strand, grouped by their number of tokens.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::plan::TuningInput;
use crate::dataset::Example;
use crate::tokenize::{Tokenizer, reverse_complement};
use crate::train::error::TrainError;

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
) -> Result<Vec<Group>, TrainError> {
    let one = |place: usize, window: &[u8], sign: f32| -> Result<_, TrainError> {
        let ids = if reverse(place) {
            tokenizer.encode(&reverse_complement(window))?.ids
        } else {
            tokenizer.encode(window)?.ids
        };
        match most {
            Some(limit) if ids.len() > limit as usize => {
                Err(TrainError::TooLong { tokens: ids.len(), limit, bases: window.len() })
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
        .collect::<Result<_, TrainError>>()?;
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (ids, place) in sequences.into_iter().flatten() {
        let length = ids.len();
        let group = groups.entry(length).or_insert(Group { length, ids: Vec::new(), places: Vec::new() });
        group.ids.extend(ids);
        group.places.push(place);
    }
    Ok(groups.into_values().collect())
}
