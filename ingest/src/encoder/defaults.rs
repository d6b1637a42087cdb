//! What a command line may leave open about an encoder, and what it may not ask.

use vestore_schema::{AblatedPart, EncoderRecord, Model, Strands, TokenizerKind};

use super::kinds::kinds_of;
use super::scorer::columns;
use crate::seam::ScoreError;

/// Window in bases when none is asked for.
const WINDOW: u32 = 600;

/// Parts of a layer that an ablation can leave out.
pub(super) const PARTS: [&str; 3] = ["block", "attention", "mlp"];

/// The choices that an encoder of the catalog leaves.
#[derive(Clone, Copy, Debug)]
pub struct EncoderDefaults<'a> {
    model: &'a Model,
    encoder: &'a EncoderRecord,
}

impl<'a> EncoderDefaults<'a> {
    /// Those of `model`, whose record has `encoder`.
    #[must_use]
    pub fn new(model: &'a Model, encoder: &'a EncoderRecord) -> Self {
        Self { model, encoder }
    }

    /// Names of the score kinds that `asked` names, each once, in the order of their columns; without any, the one
    /// that suits the model.
    ///
    /// # Errors
    /// When a name is not one of an encoder's score kinds.
    pub fn scores(self, asked: &[String]) -> Result<Vec<String>, ScoreError> {
        let numbers = self.model.config.get("multi_label").is_none_or(|labels| labels != true);
        let default = match self.encoder.tokenizer {
            _ if self.encoder.labels == Some(1) && numbers => "regression",
            _ if self.encoder.labels.is_some() => "classifier",
            TokenizerKind::Kmer(_) | TokenizerKind::Base if self.encoder.masked_lm => "llr",
            _ => "distance",
        };
        let kinds = if asked.is_empty() { kinds_of(&[default])? } else { kinds_of(asked)? };
        Ok(kinds.iter().map(|kind| kind.name().to_owned()).collect())
    }

    /// The columns of these score kinds, in order.
    ///
    /// # Errors
    /// When a name is not one of an encoder's score kinds.
    pub fn columns(self, scores: &[String], strands: Strands) -> Result<Vec<String>, ScoreError> {
        Ok(columns(&kinds_of(scores)?, strands))
    }

    /// The window in bases that `asked` asks for, else `tuned`, else 600 or the model's limit.
    ///
    /// # Errors
    /// When the model or one of `scores` does not take windows of that length.
    pub fn window(
        self,
        asked: Option<u32>,
        tuned: Option<u32>,
        scores: &[String],
    ) -> Result<u32, ScoreError> {
        let limit = self.encoder.max_window().unwrap_or(u32::MAX);
        let window = asked.or(tuned).unwrap_or(WINDOW.min(limit));
        let refused = |expected: String| {
            let model = self.model.name.clone();
            Err(ScoreError::Window { model, found: window, expected })
        };
        if window == 0 {
            return refused("at least 1".to_owned());
        }
        if window > limit {
            return refused(format!("at most {limit}; use --window {limit} or less"));
        }
        match self.encoder.tokenizer {
            TokenizerKind::Kmer(word)
                if scores.iter().any(|kind| kind == "llr-grid") && !window.is_multiple_of(word) =>
            {
                let near = (window / word).max(1) * word;
                refused(format!("a multiple of {word} with llr-grid; use --window {near}"))
            }
            _ => Ok(window),
        }
    }

    /// The part of a layer called `name`.
    ///
    /// # Errors
    /// When encoders have no such part.
    pub fn part(self, name: &str) -> Result<AblatedPart, ScoreError> {
        if PARTS.contains(&name) {
            return Ok(AblatedPart::new(name));
        }
        Err(ScoreError::UnknownPart { part: name.to_owned(), known: PARTS.to_vec() })
    }
}
