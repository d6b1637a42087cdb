//! Masked log-odds: the token that holds the variant is masked, and the logit of the token with the
//! alternate base is compared to that of the token with the reference base. A difference of logits is
//! a difference of log-probabilities. SNVs only.

use crate::batch::{Forward, ForwardOutput, Forwards};
use crate::tokenize::{Tokenizer, Tokens};

/// The masked pass and the two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pass: u32,
    reference: i64,
    alternate: i64,
}

/// Plans the score of `base` at `position` of the window; `None` for no SNV, or a token with N.
pub(super) fn plan(
    forwards: &mut Forwards,
    tokenizer: &Tokenizer,
    tokens: &Tokens,
    position: u32,
    base: Option<u8>,
) -> Option<Plan> {
    let index = tokens.token_at(position)?;
    let reference = tokens.ids[index];
    let alternate = tokenizer.replaced(reference, position - tokens.spans[index].start, base?)?;
    let sequence = forwards.sequence(tokens);
    let (pass, forward) = forwards.pass(sequence, Some(index as u32));
    forward.want_logit(reference);
    forward.want_logit(alternate);
    Some(Plan { pass, reference, alternate })
}

impl Plan {
    pub(super) fn finish(&self, passes: &[Forward], outputs: &[ForwardOutput]) -> f32 {
        let (pass, output) = (&passes[self.pass as usize], &outputs[self.pass as usize]);
        let logit = |id: i64| {
            let place = pass.logits.binary_search(&id).ok();
            place.and_then(|place| output.logits.get(place)).copied().unwrap_or(f32::NAN)
        };
        logit(self.alternate) - logit(self.reference)
    }
}
