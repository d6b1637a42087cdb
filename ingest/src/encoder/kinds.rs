//! The score kinds of encoders: one object each, in one registry. A new kind is a file and a line here.

mod classifier;
mod distance;
mod llr;
mod pll;

use vestore_schema::Strands;

use super::pass::{TokenOutput, TokenPass, TokenPasses};
use crate::encoder::model::Description;
use crate::seam::{ScoreError, ScoreKind};
use crate::tokenize::{Tokenizer, Tokens};

pub(crate) use distance::{embedding, pooled};

/// A score kind of encoders.
pub(crate) trait EncoderKind: Sync {
    /// What people choose it by.
    fn about(&self) -> &'static ScoreKind;

    /// The name on the command line and in recipes.
    fn name(&self) -> &'static str {
        self.about().name
    }

    /// What the model lacks to support it; none when it does.
    fn lacks(&self, model: &Description) -> Option<&'static str>;

    /// Its columns in order.
    fn columns(&self, strands: Strands) -> &'static [&'static str];

    /// Forward passes of one variant and strand that shares nothing with others, of windows of so many tokens.
    fn passes(&self, tokens: f64) -> f64;

    /// Whether the alternate window is read.
    fn reads_alternate(&self) -> bool {
        true
    }

    /// Wants the passes of one strand; how what they gave becomes its values, or none where it is not defined.
    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore>;

    /// The columns' values from those of each strand: their means, in float32, not defined where one is not.
    fn combine(&self, strands: &[Option<Vec<f32>>]) -> Vec<Option<f32>> {
        means(self.columns(Strands::Both).len(), strands)
    }
}

/// Every kind, in the order in which their columns stand.
static KINDS: [&dyn EncoderKind; 6] = [
    &llr::Llr,
    &llr::LlrGrid,
    &distance::Distance,
    &pll::Pll,
    &classifier::Classifier,
    &classifier::Regression,
];

/// The score kinds of encoders, in the order in which their columns stand.
pub fn encoder_kinds() -> impl Iterator<Item = &'static ScoreKind> {
    KINDS.into_iter().map(EncoderKind::about)
}

/// The kinds that `names` name, each once, in the order of [`KINDS`].
///
/// # Errors
/// The first name that no kind has.
pub(crate) fn kinds_of<S: AsRef<str>>(names: &[S]) -> Result<Vec<&'static dyn EncoderKind>, ScoreError> {
    let known = || encoder_kinds().map(|kind| kind.name).collect();
    let unknown = names.iter().find(|name| KINDS.iter().all(|kind| kind.name() != name.as_ref()));
    if let Some(name) = unknown {
        return Err(ScoreError::UnknownKind { kind: name.as_ref().to_owned(), known: known() });
    }
    Ok(KINDS.into_iter().filter(|kind| names.iter().any(|name| name.as_ref() == kind.name())).collect())
}

/// One strand of one window pair, tokenized.
pub(crate) struct StrandView<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) reference: &'a Tokens,
    pub(super) alternate: &'a Tokens,
    /// The window of `llr-grid`, and the variant's place in it.
    pub(super) grid: Option<(&'a Tokens, u32)>,
    pub(super) centre: u32,
    /// Alternate base in this strand's letters, for an SNV.
    pub(super) base: Option<u8>,
}

/// What the passes gave, as the values of one strand.
pub(crate) type StrandScore = Box<dyn Fn(&[TokenPass], &[TokenOutput]) -> Vec<f32> + Send + Sync>;

/// The mean over strands of each of `count` values.
fn means(count: usize, strands: &[Option<Vec<f32>>]) -> Vec<Option<f32>> {
    let mean = |value: usize| -> Option<f32> {
        let values: Vec<f32> = strands
            .iter()
            .map(|strand| strand.as_ref().map(|values| values[value]))
            .collect::<Option<_>>()?;
        Some(values.iter().sum::<f32>() / values.len() as f32)
    };
    (0..count).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_in_their_order_and_unknown_ones_are_refused() {
        let kinds = kinds_of(&["pll", "llr", "pll"]).expect("kinds");
        assert_eq!(kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(), ["llr", "pll"]);
        let error = kinds_of(&["llr", "lr"]).err().expect("an error").to_string();
        assert!(error.contains("unknown score kind `lr`") && error.contains("llr-grid"), "{error}");
    }

    #[test]
    fn a_mean_is_not_defined_where_a_strand_is_not() {
        assert_eq!(means(2, &[Some(vec![1.0, 2.0]), Some(vec![3.0, 5.0])]), [Some(2.0), Some(3.5)]);
        assert_eq!(means(1, &[Some(vec![1.0]), None]), [None]);
    }
}
