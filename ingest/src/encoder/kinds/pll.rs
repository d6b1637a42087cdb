//! Pseudo-log-likelihood: each token that is not special is masked once, and the log-probabilities of
//! the true tokens are summed; the score is alternate − reference.

use vestore_schema::Strands;

use super::{EncoderKind, StrandScore, StrandView, llr::lacks_masking};
use crate::convert::{narrow, single};
use crate::encoder::model::Description;
use crate::encoder::pass::{TokenOutput, TokenPass, TokenPasses};
use crate::seam::ScoreKind;
use crate::tokenize::Tokens;

pub(super) struct Pll;

impl EncoderKind for Pll {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "pll",
            description: "pseudo-log-likelihood, alternate − reference: each token of both windows masked once",
            direction: "higher: the model expects the alternate more",
        }
    }

    fn lacks(&self, model: &Description) -> Option<&'static str> {
        lacks_masking(model)
    }

    fn columns(&self, _: Strands) -> &'static [&'static str] {
        &["pll"]
    }

    /// Every token of both windows is masked once.
    fn passes(&self, tokens: f64) -> f64 {
        2.0 * tokens
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        let mut masked = |tokens: &Tokens, shared: Option<(&Tokens, usize)>| -> Vec<(u32, i64)> {
            let sequence = passes.sequence(tokens);
            let other = shared.map(|(other, token)| (passes.sequence(other), token));
            let each = |token: usize| {
                let from = other.filter(|(_, shared)| *shared == token).map_or(sequence, |(other, _)| other);
                let (number, pass) = passes.pass(from, Some(narrow(token)));
                pass.want_probability(tokens.ids[token]);
                (number, tokens.ids[token])
            };
            tokens.content().map(each).collect()
        };
        let shared = only_difference(view.reference, view.alternate);
        let reference = masked(view.reference, None);
        let alternate = masked(view.alternate, shared.map(|token| (view.reference, token)));
        Some(Box::new(move |passes: &[TokenPass], outputs: &[TokenOutput]| {
            let one = |(number, id): &(u32, i64)| -> f64 {
                let place = passes[*number as usize].probabilities.binary_search(id).ok();
                let value = place.and_then(|place| outputs[*number as usize].probabilities.get(place));
                f64::from(value.copied().unwrap_or(f32::NAN))
            };
            let sum = |terms: &[(u32, i64)]| -> f64 { terms.iter().map(one).sum() };
            vec![single(sum(&alternate) - sum(&reference))]
        }))
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
