//! Masked log-odds: the token that holds the variant is masked, and the logit of the token with the
//! alternate base is compared to that of the token with the reference base. A difference of logits is
//! a difference of log-probabilities. SNVs only.

use vestore_schema::{Strands, TokenizerKind};

use super::{EncoderKind, StrandScore, StrandView, means};
use crate::convert::narrow;
use crate::encoder::model::Description;
use crate::encoder::pass::{TokenOutput, TokenPass, TokenPasses};
use crate::seam::ScoreKind;
use crate::tokenize::Tokens;

const HEAD: &str = "a masked language model's head";
const MASK: &str = "a mask token";
const DIRECTION: &str = "higher: the model expects the alternate more";

/// What both kinds need beside their tokens.
pub(super) fn lacks_masking(model: &Description) -> Option<&'static str> {
    if !model.has_masked_lm {
        Some(HEAD)
    } else if !model.has_mask_token {
        Some(MASK)
    } else {
        None
    }
}

/// The window centred on the variant.
pub(super) struct Llr;

impl EncoderKind for Llr {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "llr",
            description: "log-odds of the alternate over the reference token, with the variant's token masked",
            direction: DIRECTION,
        }
    }

    fn lacks(&self, model: &Description) -> Option<&'static str> {
        let words = model.tokenizer_kind != TokenizerKind::Bpe;
        if words { lacks_masking(model) } else { Some("tokens of fixed length (k-mers or bases)") }
    }

    fn columns(&self, strands: Strands) -> &'static [&'static str] {
        match strands {
            Strands::Both => &["llr", "llr_forward", "llr_reverse"],
            Strands::Forward => &["llr", "llr_forward"],
        }
    }

    fn passes(&self, _: f64) -> f64 {
        1.0
    }

    fn reads_alternate(&self) -> bool {
        false
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        plan(passes, view, view.reference, view.centre)
    }

    /// The mean, then each strand.
    fn combine(&self, strands: &[Option<Vec<f32>>]) -> Vec<Option<f32>> {
        let each = strands.iter().map(|strand| strand.as_ref().map(|values| values[0]));
        means(1, strands).into_iter().chain(each).collect()
    }
}

/// One window for the SNVs of all bases of a word.
pub(super) struct LlrGrid;

impl EncoderKind for LlrGrid {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "llr-grid",
            description: "as llr, with one window for all SNVs of a k-mer: up to 18 times fewer forward passes",
            direction: DIRECTION,
        }
    }

    fn lacks(&self, model: &Description) -> Option<&'static str> {
        let words = matches!(model.tokenizer_kind, TokenizerKind::Kmer(_));
        if words { lacks_masking(model) } else { Some("k-mer tokens") }
    }

    fn columns(&self, _: Strands) -> &'static [&'static str] {
        &["llr_grid"]
    }

    /// The 18 SNVs of a word of six bases share one.
    fn passes(&self, _: f64) -> f64 {
        1.0 / 18.0
    }

    fn reads_alternate(&self) -> bool {
        false
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        let (tokens, position) = view.grid?;
        plan(passes, view, tokens, position)
    }
}

/// Plans the score of the variant at `position` of the window `tokens`; none where it is not an SNV, or its token has
/// an N.
fn plan(
    passes: &mut TokenPasses,
    view: &StrandView<'_>,
    tokens: &Tokens,
    position: u32,
) -> Option<StrandScore> {
    let index = tokens.token_at(position)?;
    let reference = tokens.ids[index];
    let offset = position - tokens.spans[index].start;
    let alternate = view.tokenizer.replaced(reference, offset, view.base?)?;
    let sequence = passes.sequence(tokens);
    let (number, pass) = passes.pass(sequence, Some(narrow(index)));
    pass.want_logit(reference);
    pass.want_logit(alternate);
    Some(Box::new(move |passes: &[TokenPass], outputs: &[TokenOutput]| {
        let (pass, output) = (&passes[number as usize], &outputs[number as usize]);
        let logit = |id: i64| {
            let place = pass.logits.binary_search(&id).ok();
            place.and_then(|place| output.logits.get(place)).copied().unwrap_or(f32::NAN)
        };
        vec![logit(alternate) - logit(reference)]
    }))
}
