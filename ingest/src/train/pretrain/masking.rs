//! Masks for a masked language model, drawn anew for every window (Devlin et al. 2018, arXiv 1810.04805): of
//! the chosen tokens 80 % become the mask, 10 % another word, 10 % stay.

use super::windows::Window;
use crate::convert::{as_index, narrow};
use crate::random::Random;

/// A window as the model sees it, and what it has to find.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masked {
    /// Token ids with masks.
    pub ids: Vec<i64>,
    /// Places of the chosen tokens.
    pub places: Vec<u32>,
    /// What stood there.
    pub labels: Vec<i64>,
    /// What each counts for in the loss.
    pub weights: Vec<f32>,
}

/// Chooses tokens and hides them.
#[derive(Clone, Debug)]
pub(crate) struct Masking {
    /// Share of the tokens that is chosen.
    pub(crate) rate: f64,
    /// The token that hides another.
    pub(crate) mask: i64,
    /// The tokens that stand for bases.
    pub(crate) words: Vec<i64>,
}

impl Masking {
    /// Masks a window. At least one token that counts is chosen, if there is one.
    pub(crate) fn apply(&self, window: Window, random: &mut Random) -> Masked {
        let Window { mut ids, weights } = window;
        let counting: Vec<u32> =
            (0..narrow(ids.len())).filter(|place| weights[*place as usize] > 0.0).collect();
        let mut places: Vec<u32> =
            counting.iter().copied().filter(|_| random.uniform() < self.rate).collect();
        if places.is_empty() && !counting.is_empty() {
            places.push(counting[as_index(random.below(counting.len() as u64))]);
        }
        let mut masked = Masked { places, ..Masked::default() };
        for place in &masked.places {
            let token = &mut ids[*place as usize];
            masked.labels.push(*token);
            masked.weights.push(weights[*place as usize]);
            match random.uniform() {
                drawn if drawn < 0.8 => *token = self.mask,
                drawn if drawn < 0.9 => *token = self.words[as_index(random.below(self.words.len() as u64))],
                _ => {}
            }
        }
        masked.ids = ids;
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_paper() {
        let masking = Masking { rate: 0.15, mask: 2, words: vec![10, 11, 12, 13] };
        let mut random = Random::new(3);
        let (mut hidden, mut changed, mut kept, mut total) = (0, 0, 0, 0);
        for _ in 0..400 {
            let window = Window { ids: vec![10; 200], weights: vec![1.0; 200] };
            let masked = masking.apply(window, &mut random);
            total += masked.places.len();
            for (place, label) in masked.places.iter().zip(&masked.labels) {
                assert_eq!(*label, 10);
                match masked.ids[*place as usize] {
                    2 => hidden += 1,
                    10 => kept += 1,
                    _ => changed += 1,
                }
            }
            let untouched = (0..200).filter(|place| !masked.places.contains(place));
            assert!(untouched.into_iter().all(|place| masked.ids[place as usize] == 10));
        }
        let share = |count: usize| count as f64 / total as f64;
        assert!((total as f64 / 80_000.0 - 0.15).abs() < 0.005, "{total}");
        assert!((share(hidden) - 0.8).abs() < 0.02, "{hidden} of {total}");
        // A quarter of the random words are the token itself.
        assert!((share(changed) - 0.075).abs() < 0.01 && (share(kept) - 0.125).abs() < 0.01);
    }

    #[test]
    fn tokens_without_weight_are_never_chosen() {
        let masking = Masking { rate: 1.0, mask: 2, words: vec![10] };
        let window = Window { ids: vec![3, 10, 10], weights: vec![0.0, 0.5, 0.0] };
        let masked = masking.apply(window, &mut Random::new(1));
        assert_eq!((masked.places, masked.weights, masked.ids[0]), (vec![1], vec![0.5], 3));
        let rare = Masking { rate: 0.0, ..masking };
        let window = Window { ids: vec![10; 4], weights: vec![1.0; 4] };
        assert_eq!(rare.apply(window, &mut Random::new(1)).places.len(), 1);
    }
}
