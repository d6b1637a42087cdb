//! What only recipes of splice models have.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// How a splice model is turned into scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpliceRecipe {
    /// Positions on either side of a variant that are compared.
    pub distance: u32,
    /// Whose windows and alignment of indels.
    pub convention: SpliceConvention,
    /// Whether gains at annotated sites and losses elsewhere are 0.
    pub mask: bool,
    /// Digest of the table of genes, if there is one.
    pub genes: Option<Digest>,
}

/// How windows are cut, and alternates of another length laid against the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpliceConvention {
    /// As `SpliceAI`: as many positions on either side; the bases that a deletion lacks stand after its anchor; both
    /// ends of a gene belong to it.
    #[default]
    SpliceAi,
    /// As `CI-SpliceAI`: the number of positions is rounded up to an even one; the bases that a deletion lacks stand
    /// before its anchor; the last base of a gene does not belong to it.
    CiSpliceAi,
}

impl SpliceConvention {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::SpliceAi, Self::CiSpliceAi];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpliceAi => "spliceai",
            Self::CiSpliceAi => "cispliceai",
        }
    }
}

impl SpliceRecipe {
    /// The distance of most published scores.
    pub const DISTANCE: u32 = 50;

    /// All of it, as people read it.
    pub(crate) fn text(&self) -> String {
        let mask = if self.mask { ", masked" } else { "" };
        let genes =
            self.genes.as_ref().map_or("no genes".to_owned(), |genes| format!("genes {}", genes.short()));
        format!("distance {}, convention {}{mask}, {genes}", self.distance, self.convention.as_str())
    }

    /// What is not default, as a part of a track's name.
    pub(super) fn name(&self) -> String {
        let parts = [
            (self.distance != Self::DISTANCE).then(|| format!(".d{}", self.distance)),
            (self.convention != SpliceConvention::default())
                .then(|| format!(".{}", self.convention.as_str())),
            self.mask.then(|| ".masked".to_owned()),
            self.genes.as_ref().map(|genes| format!(".g{}", genes.short())),
        ];
        parts.into_iter().flatten().collect()
    }
}
