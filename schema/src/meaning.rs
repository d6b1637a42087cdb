//! What the values of a score column mean: which of them are extreme, in one sentence.

use serde::{Deserialize, Serialize};

use crate::track::Track;

/// Which values of a score suggest an effect of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// High values.
    High,
    /// Low values.
    Low,
    /// Values far from 0.
    Magnitude,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::High, Self::Low, Self::Magnitude];

    /// As people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Magnitude => "magnitude",
        }
    }

    /// As people read it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::High => "high values are extreme",
            Self::Low => "low values are extreme",
            Self::Magnitude => "values far from 0 are extreme",
        }
    }

    /// `score` so turned that larger values are more extreme.
    #[must_use]
    pub fn oriented(self, score: f32) -> f32 {
        match self {
            Self::High => score,
            Self::Low => -score,
            Self::Magnitude => score.abs(),
        }
    }
}

/// What the values of a score column mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Meaning {
    /// Which values suggest an effect.
    pub direction: Direction,
    /// One sentence, without a full stop.
    pub sentence: &'static str,
}

/// What the columns of the score kinds mean. Columns of imported tracks may have any name and are not looked up here.
const COLUMNS: [(&str, Direction, &str); 18] = [
    (
        "llr",
        Direction::Low,
        "log-odds of the alternate over the reference allele; below 0 the model expects the reference",
    ),
    ("llr_forward", Direction::Low, "llr on the forward strand; below 0 the model expects the reference"),
    ("llr_reverse", Direction::Low, "llr on the reverse strand; below 0 the model expects the reference"),
    (
        "llr_grid",
        Direction::Low,
        "log-odds of the alternate over the reference allele, the window centred on the word; below 0 the model expects \
         the reference",
    ),
    ("l1", Direction::High, "L1 distance of the pooled hidden states; 0 means no change"),
    ("l2", Direction::High, "Euclidean distance of the pooled hidden states; 0 means no change"),
    ("cosine", Direction::High, "cosine distance of the pooled hidden states; 0 means no change"),
    ("dot", Direction::Low, "inner product of the pooled hidden states; low values are dissimilar"),
    ("l1_variant", Direction::High, "L1 distance of the hidden states at the variant; 0 means no change"),
    (
        "l2_variant",
        Direction::High,
        "Euclidean distance of the hidden states at the variant; 0 means no change",
    ),
    (
        "cosine_variant",
        Direction::High,
        "cosine distance of the hidden states at the variant; 0 means no change",
    ),
    (
        "dot_variant",
        Direction::Low,
        "inner product of the hidden states at the variant; low values are dissimilar",
    ),
    (
        "pll",
        Direction::Low,
        "pseudo-log-likelihood, alternate − reference; below 0 the model expects the reference",
    ),
    ("probability", Direction::High, "probability of class 1 for the alternate window"),
    (
        "delta_logit",
        Direction::Magnitude,
        "log-odds of class 1, alternate − reference; above 0 the alternate makes class 1 likelier",
    ),
    ("value", Direction::High, "predicted value for the alternate window"),
    ("delta", Direction::Magnitude, "predicted value, alternate − reference; 0 means no change"),
    (
        "splice_max",
        Direction::High,
        "largest gain or loss of an acceptor or donor over the genes of the variant, 0 to 1",
    ),
];

impl Track {
    /// What the values of the score column `column`, or of one that a calibration makes, mean; unknown of what vestore did not compute, unless the import
    /// stated a direction.
    #[must_use]
    pub fn meaning(&self, column: &str) -> Option<Meaning> {
        if let Some((_, scale)) = self.calibrated(column) {
            return Some(Meaning { direction: Direction::High, sentence: scale.meaning() });
        }
        if let Some(external) = &self.external {
            let index = self.columns.iter().position(|name| name == column)?;
            let direction = *external.directions.get(index)?;
            return Some(Meaning { direction, sentence: "imported" });
        }
        if column.ends_with("_max_abs") {
            let sentence = "largest absolute effect over the targets; 0 means no change";
            return Some(Meaning { direction: Direction::High, sentence });
        }
        let (_, direction, sentence) = *COLUMNS.iter().find(|(name, ..)| *name == column)?;
        Some(Meaning { direction, sentence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oriented_scores_grow_with_the_effect() {
        assert_eq!(Direction::High.oriented(-2.0), -2.0);
        assert_eq!(Direction::Low.oriented(-2.0), 2.0);
        assert_eq!(Direction::Magnitude.oriented(-2.0), 2.0);
    }

    #[test]
    fn columns_are_listed_once() {
        let mut names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
