//! Distances between the final hidden states of reference and alternate: of their means over all
//! tokens that are not special, and of the tokens that hold the variant's first base.

use vestore_schema::Strands;

use super::{EncoderKind, StrandScore, StrandView};
use crate::convert::{narrow, single};
use crate::encoder::model::Description;
use crate::encoder::pass::{TokenOutput, TokenPass, TokenPasses};
use crate::seam::ScoreKind;
use crate::work::Embedding;

pub(super) struct Distance;

impl EncoderKind for Distance {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "distance",
            description: "distances between the final hidden states of reference and alternate",
            direction: "higher: the variant changes the hidden states more (dot: less)",
        }
    }

    fn lacks(&self, _: &Description) -> Option<&'static str> {
        None
    }

    fn columns(&self, _: Strands) -> &'static [&'static str] {
        &["l1", "l2", "cosine", "dot", "l1_variant", "l2_variant", "cosine_variant", "dot_variant"]
    }

    fn passes(&self, _: f64) -> f64 {
        2.0
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        let tokens = [view.reference, view.alternate];
        let [reference, alternate] = tokens.map(|tokens| tokens.token_at(view.centre).map(narrow));
        let (reference, alternate) = (reference?, alternate?);
        let (first, second) = pooled(passes, view);
        passes.passes[first as usize].want_at(reference);
        passes.passes[second as usize].want_at(alternate);
        Some(Box::new(move |passes: &[TokenPass], outputs: &[TokenOutput]| {
            let at = |number: u32, token: u32| -> &[f32] {
                let (pass, output) = (&passes[number as usize], &outputs[number as usize]);
                let width = output.at.len() / pass.at.len().max(1);
                let place = pass.at.binary_search(&token).unwrap_or(usize::MAX / 2);
                output.at.chunks(width.max(1)).nth(place).unwrap_or_default()
            };
            let mean = |number: u32| outputs[number as usize].pooled.as_slice();
            let pooled = distances(mean(first), mean(second));
            let variant = distances(at(first, reference), at(second, alternate));
            [pooled, variant].concat()
        }))
    }
}

/// The plain passes of both windows, pooled.
pub(crate) fn pooled(passes: &mut TokenPasses, view: &StrandView<'_>) -> (u32, u32) {
    let [reference, alternate] = [view.reference, view.alternate].map(|tokens| {
        let sequence = passes.sequence(tokens);
        let (number, pass) = passes.pass(sequence, None);
        pass.pooled = true;
        number
    });
    (reference, alternate)
}

/// L1, L2, cosine distance and inner product of two vectors, reduced in float64.
fn distances(reference: &[f32], alternate: &[f32]) -> [f32; 4] {
    let (mut absolute, mut square, mut dot, mut left, mut right) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (reference, alternate) in reference.iter().zip(alternate) {
        let (reference, alternate) = (f64::from(*reference), f64::from(*alternate));
        let difference = alternate - reference;
        absolute += difference.abs();
        square += difference * difference;
        dot += reference * alternate;
        left += reference * reference;
        right += alternate * alternate;
    }
    [absolute, square.sqrt(), 1.0 - dot / (left * right).sqrt(), dot].map(single)
}

/// The mean over `strands` of the pooled vectors of reference and alternate passes.
pub(crate) fn embedding(strands: &[(u32, u32)], outputs: &[TokenOutput]) -> Option<Embedding> {
    let pooled = |number: u32| outputs[number as usize].pooled.as_slice();
    let count = strands.len() as f32;
    let width = pooled(strands.first()?.0).len();
    let mut embedding = Embedding { reference: vec![0.0; width], delta: vec![0.0; width] };
    for (reference, alternate) in strands {
        let (reference, alternate) = (pooled(*reference), pooled(*alternate));
        for place in 0..width {
            embedding.reference[place] += reference[place] / count;
            embedding.delta[place] += (alternate[place] - reference[place]) / count;
        }
    }
    Some(embedding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        let [l1, l2, cosine, dot] = distances(&[3.0, 0.0], &[0.0, 4.0]);
        assert_eq!([l1, l2, cosine, dot], [7.0, 5.0, 1.0, 0.0]);
        assert_eq!(distances(&[1.0, 2.0], &[1.0, 2.0])[..3], [0.0, 0.0, 0.0]);
        assert!(distances(&[f32::NAN], &[1.0]).iter().all(|value| value.is_nan()));
    }
}
