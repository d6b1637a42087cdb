//! Pseudo-log-likelihood: each token that is not special is masked once, and the log-probabilities of
//! the true tokens are summed; the score is alternate − reference.

use crate::batch::{ForwardOutput, Forwards};
use crate::tokenize::Tokens;

use super::StrandTokens;

/// The masked passes of both windows, one a token.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    reference: Vec<u32>,
    alternate: Vec<u32>,
}

pub(super) fn plan(forwards: &mut Forwards, view: &StrandTokens<'_>) -> Plan {
    let mut masked = |tokens: &Tokens| {
        let sequence = forwards.sequence(tokens);
        let mut each = |token: usize| {
            let (pass, forward) = forwards.pass(sequence, Some(token as u32));
            forward.probability = true;
            pass
        };
        tokens.content().map(&mut each).collect()
    };
    Plan { reference: masked(view.reference), alternate: masked(view.alternate) }
}

impl Plan {
    pub(super) fn finish(&self, outputs: &[ForwardOutput]) -> f32 {
        let sum = |passes: &[u32]| -> f64 {
            passes.iter().map(|pass| f64::from(outputs[*pass as usize].probability)).sum()
        };
        (sum(&self.alternate) - sum(&self.reference)) as f32
    }
}
