//! Pseudo-log-likelihood: each token that is not special is masked once, and the log-probabilities of
//! the true tokens are summed; the score is alternate − reference.

use crate::batch::{Forward, ForwardOutput, Forwards};
use crate::tokenize::Tokens;

use super::StrandTokens;

/// The masked passes of both windows and the true tokens, one a token.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    reference: Vec<(u32, i64)>,
    alternate: Vec<(u32, i64)>,
}

pub(super) fn plan(forwards: &mut Forwards, view: &StrandTokens<'_>) -> Plan {
    let mut masked = |tokens: &Tokens, shared: Option<(&Tokens, usize)>| {
        let sequence = forwards.sequence(tokens);
        let other = shared.map(|(other, token)| (forwards.sequence(other), token));
        let each = |token: usize| {
            let from = other.filter(|(_, shared)| *shared == token).map_or(sequence, |(other, _)| other);
            let (pass, forward) = forwards.pass(from, Some(token as u32));
            forward.want_probability(tokens.ids[token]);
            (pass, tokens.ids[token])
        };
        tokens.content().map(each).collect()
    };
    let shared = only_difference(view.reference, view.alternate);
    Plan {
        reference: masked(view.reference, None),
        alternate: masked(view.alternate, shared.map(|token| (view.reference, token))),
    }
}

/// The one token in which both windows differ: masked there, they are the same.
fn only_difference(reference: &Tokens, alternate: &Tokens) -> Option<usize> {
    if reference.ids.len() != alternate.ids.len() {
        return None;
    }
    let mut differing = (0..reference.ids.len()).filter(|at| reference.ids[*at] != alternate.ids[*at]);
    differing.next().filter(|_| differing.next().is_none())
}

impl Plan {
    pub(super) fn finish(&self, passes: &[Forward], outputs: &[ForwardOutput]) -> f32 {
        let one = |(pass, id): &(u32, i64)| -> f64 {
            let place = passes[*pass as usize].probabilities.binary_search(id).ok();
            let value = place.and_then(|place| outputs[*pass as usize].probabilities.get(place));
            f64::from(value.copied().unwrap_or(f32::NAN))
        };
        let sum = |terms: &[(u32, i64)]| -> f64 { terms.iter().map(one).sum() };
        (sum(&self.alternate) - sum(&self.reference)) as f32
    }
}
