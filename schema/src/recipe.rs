//! Recipes: how a model is turned into scores.

mod regulatory;
mod splice;

use serde::{Deserialize, Serialize};

use crate::precision::Precision;

pub use regulatory::{
    Bins, Indels, LONGEST_WINDOW, MAX_SHIFTS, RegulatoryRecipe, StrandPairs, TargetsError, Untransform,
};
pub use splice::{SpliceConvention, SpliceRecipe};

/// Which strands are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strands {
    /// The mean of both strands' finished scores.
    #[default]
    Both,
    /// The forward strand alone.
    Forward,
}

/// Arithmetic of the forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// float32, exact products.
    #[default]
    F32,
    /// float32 with products in TensorFloat-32.
    Tf32,
    /// bfloat16.
    Bf16,
}

impl Strands {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Both, Self::Forward];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Forward => "forward",
        }
    }

    /// How many strands are read.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Forward => 1,
        }
    }
}

impl Dtype {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

/// What of a layer an ablation removes: the whole `block`, or a part that the model's family names, such as
/// `attention`. Without it, the residual stream passes it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AblatedPart(String);

impl Default for AblatedPart {
    fn default() -> Self {
        Self("block".to_owned())
    }
}

impl AblatedPart {
    /// The part that a family calls `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name on the command line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the whole layer.
    #[must_use]
    pub fn is_block(&self) -> bool {
        *self == Self::default()
    }
}

/// How a model is turned into scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Names of its score kinds, in the order of their family, without repeats.
    pub scores: Vec<String>,
    /// Window length in bases.
    pub window: u32,
    /// Strands that are scored.
    pub strands: Strands,
    /// Arithmetic of the forward pass.
    pub dtype: Dtype,
    /// What scores are rounded to ([`Precision`]), as typed; lossless without one.
    pub precision: Option<String>,
    /// What its ablation removes of a layer. Not written when it is the whole layer, so that it is part
    /// of the identity of those tracks alone that say otherwise.
    #[serde(default, skip_serializing_if = "AblatedPart::is_block")]
    pub part: AblatedPart,
    /// What only splice models have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splice: Option<SpliceRecipe>,
    /// What only regulatory models have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regulatory: Option<RegulatoryRecipe>,
}

impl Recipe {
    /// What its scores are rounded to; nothing where they are lossless.
    #[must_use]
    pub fn rounding(&self) -> Option<Precision> {
        self.precision.as_deref().and_then(|text| Precision::parse(text).ok())
    }

    /// The name a track gets when nobody gives one: `<model>.<kinds joined by +>.w<window>`, and what
    /// is not default.
    #[must_use]
    pub fn track_name(&self, model: &str) -> String {
        let mut name = format!("{model}.{}.w{}", self.scores.join("+"), self.window);
        if self.strands == Strands::Forward {
            name.push_str(".forward");
        }
        if self.dtype != Dtype::default() {
            name.push('.');
            name.push_str(self.dtype.as_str());
        }
        if let Some(step) = &self.precision {
            name.push_str(".p");
            name.push_str(step);
        }
        if !self.part.is_block() {
            name.push_str(".no-");
            name.push_str(self.part.as_str());
        }
        if let Some(splice) = &self.splice {
            name.push_str(&splice.name());
        }
        if let Some(regulatory) = &self.regulatory {
            name.push_str(&regulatory.name());
        }
        name
    }
}
