//! Distances between the final hidden states of reference and alternate: of their means over all
//! tokens that are not special, and of the tokens that hold the variant's first base.

use crate::batch::{Forward, ForwardOutput, Forwards};

use super::{Embedding, StrandPlan, StrandTokens};

/// The passes of both windows and the tokens at the variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    reference: (u32, u32),
    alternate: (u32, u32),
}

pub(super) fn plan(forwards: &mut Forwards, view: &StrandTokens<'_>) -> Option<Plan> {
    let tokens = [view.reference, view.alternate];
    let [reference, alternate] = tokens.map(|tokens| tokens.token_at(view.centre).map(|index| index as u32));
    let (reference, alternate) = (reference?, alternate?);
    let (first, second) = pooled(forwards, view);
    forwards.passes[first as usize].want_at(reference);
    forwards.passes[second as usize].want_at(alternate);
    Some(Plan { reference: (first, reference), alternate: (second, alternate) })
}

/// The plain passes of both windows, pooled.
pub(super) fn pooled(forwards: &mut Forwards, view: &StrandTokens<'_>) -> (u32, u32) {
    let [reference, alternate] = [view.reference, view.alternate].map(|tokens| {
        let sequence = forwards.sequence(tokens);
        let (pass, forward) = forwards.pass(sequence, None);
        forward.pooled = true;
        pass
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
    [absolute, square.sqrt(), 1.0 - dot / (left * right).sqrt(), dot].map(|value| value as f32)
}

impl Plan {
    /// The four distances of the means, then the four at the variant.
    pub(super) fn finish(&self, passes: &[Forward], outputs: &[ForwardOutput]) -> [f32; 8] {
        let at = |(pass, token): (u32, u32)| -> &[f32] {
            let (pass, output) = (&passes[pass as usize], &outputs[pass as usize]);
            let width = output.at.len() / pass.at.len().max(1);
            let place = pass.at.binary_search(&token).unwrap_or(usize::MAX / 2);
            output.at.chunks(width.max(1)).nth(place).unwrap_or_default()
        };
        let mean = |(pass, _): (u32, u32)| outputs[pass as usize].pooled.as_slice();
        let pooled = distances(mean(self.reference), mean(self.alternate));
        let variant = distances(at(self.reference), at(self.alternate));
        let mut all = [0.0; 8];
        all[..4].copy_from_slice(&pooled);
        all[4..].copy_from_slice(&variant);
        all
    }
}

/// The mean over strands of the pooled vectors, where they were planned.
pub(super) fn embedding(strands: &[StrandPlan], outputs: &[ForwardOutput]) -> Option<Embedding> {
    let pairs: Vec<(&[f32], &[f32])> = strands
        .iter()
        .map(|strand| {
            let (reference, alternate) = strand.pooled?;
            Some((
                outputs[reference as usize].pooled.as_slice(),
                outputs[alternate as usize].pooled.as_slice(),
            ))
        })
        .collect::<Option<_>>()?;
    let count = pairs.len() as f32;
    let width = pairs.first()?.0.len();
    let mut embedding = Embedding { reference: vec![0.0; width], delta: vec![0.0; width] };
    for (reference, alternate) in pairs {
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
