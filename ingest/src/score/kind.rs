//! The kinds of scores, their names and the columns that each fills.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to turn a model's outputs into numbers about a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreKind {
    /// Masked log-odds of the alternate over the reference token, variant centred.
    Llr,
    /// The same with a window shared by the bases of one word.
    LlrGrid,
    /// Distances between final hidden states of reference and alternate.
    Distance,
    /// Pseudo-log-likelihood, alternate − reference.
    Pll,
    /// A fine-tuned head's probability and log-odds.
    Classifier,
}

/// Which strands are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strands {
    /// The window and its reverse complement; scores are the mean of the two.
    #[default]
    Both,
    /// The window as the reference has it.
    Forward,
}

impl Strands {
    /// How many strands are read.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Forward => 1,
        }
    }
}

impl ScoreKind {
    /// Every kind, in the order in which columns stand.
    pub const ALL: [Self; 5] = [Self::Llr, Self::LlrGrid, Self::Distance, Self::Pll, Self::Classifier];

    /// The name that people type and tables hold.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llr => "llr",
            Self::LlrGrid => "llr-grid",
            Self::Distance => "distance",
            Self::Pll => "pll",
            Self::Classifier => "classifier",
        }
    }

    /// The kind that `text` names, if it names one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The columns that it fills, in order.
    #[must_use]
    pub fn columns(self, strands: Strands) -> &'static [&'static str] {
        match (self, strands) {
            (Self::Llr, Strands::Both) => &["llr", "llr_forward", "llr_reverse"],
            (Self::Llr, Strands::Forward) => &["llr", "llr_forward"],
            (Self::LlrGrid, _) => &["llr_grid"],
            (Self::Distance, _) => {
                &["l1", "l2", "cosine", "dot", "l1_variant", "l2_variant", "cosine_variant", "dot_variant"]
            }
            (Self::Pll, _) => &["pll"],
            (Self::Classifier, _) => &["probability", "delta_logit"],
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde() {
        for kind in ScoreKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.as_str());
            assert_eq!(ScoreKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ScoreKind::parse("LLR"), None);
    }
}
