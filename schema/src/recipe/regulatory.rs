//! What only recipes of regulatory models have.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::position::Position;
use crate::targets::MAX_TARGETS;

/// Most shifts of a recipe.
pub const MAX_SHIFTS: usize = 64;
/// The longest window of a recipe in bases, far beyond published models.
pub const LONGEST_WINDOW: u32 = 1 << 24;

/// How a regulatory model is turned into scores. Choices are absent where the model leaves none: `indels` and `bins` of
/// Enformer, `untransform` and `strand_pairs` without a table of targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegulatoryRecipe {
    /// Bases by which windows are shifted, each a prediction of its own; right is positive.
    pub shifts: Vec<i32>,
    /// What is done about the bases that an indel shifts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indels: Option<Indels>,
    /// Which transform of the training data is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untransform: Option<Untransform>,
    /// Whether the two strands of an experiment are one target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strand_pairs: Option<StrandPairs>,
    /// Which bins count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bins: Option<Bins>,
    /// Ascending ranges of the 0-based indices of chosen targets, such as `0-99,205`; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
    /// Windows start at multiples of so many bases, so that neighbours share one; around each variant without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
    /// Digest of the table of genes over whose exons gene effects are taken; none without gene effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genes: Option<Digest>,
    /// Whether embeddings are of the variant's bins, and not means over all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub variant_embeddings: bool,
}

/// What is done about the bases that an indel shifts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Indels {
    /// The window of the longer allele is also predicted shifted back by the difference; both predictions count.
    #[default]
    Compensate,
    /// As `Compensate`, but each bin is that of the prediction in which it is aligned.
    Stitch,
    /// Nothing.
    Plain,
}

/// Which transform of the training data is undone, bin by bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Untransform {
    /// That of the published models: scale, soft clip, power of 3/4.
    #[default]
    Old,
    /// That of newer training data: soft clip, square root.
    New,
    /// None.
    None,
}

/// Whether the two strands of an experiment are one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrandPairs {
    /// Their effects are one, under the name of the `+` target.
    #[default]
    Merge,
    /// Both are targets.
    Keep,
}

/// Which bins of a window count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bins {
    /// As many in the middle as the checkpoint's configuration says.
    #[default]
    Center,
    /// All but 16 on each side.
    All,
}

impl Indels {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Compensate, Self::Stitch, Self::Plain];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compensate => "compensate",
            Self::Stitch => "stitch",
            Self::Plain => "plain",
        }
    }
}

impl Untransform {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Old, Self::New, Self::None];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::None => "none",
        }
    }
}

impl StrandPairs {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Merge, Self::Keep];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Keep => "keep",
        }
    }
}

impl Bins {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Center, Self::All];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::All => "all",
        }
    }
}

/// Text that is not a list of ranges of targets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid ranges of targets: `{0}`; expected ascending indices such as 0-99,205")]
pub struct TargetsError(String);

impl RegulatoryRecipe {
    /// Shifts where none are asked for.
    pub const SHIFTS: [i32; 1] = [0];

    /// The text of ascending indices of targets.
    #[must_use]
    pub fn ranges(indices: &[u32]) -> String {
        let consecutive = indices.chunk_by(|left, right| left + 1 == *right);
        let range = |run: &[u32]| match run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        };
        consecutive.map(range).collect::<Vec<_>>().join(",")
    }

    /// The indices of chosen targets; none where all are.
    ///
    /// # Errors
    /// When the text is not ascending ranges below [`MAX_TARGETS`].
    pub fn chosen_targets(&self) -> Result<Option<Vec<u32>>, TargetsError> {
        let Some(text) = &self.targets else { return Ok(None) };
        let error = || TargetsError(text.clone());
        let mut indices: Vec<u32> = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.parse().map_err(|_| error())?;
            let last: u32 = last.parse().map_err(|_| error())?;
            let ascends = indices.last().is_none_or(|before| *before < first);
            if !ascends || first > last || last >= MAX_TARGETS {
                return Err(error());
            }
            indices.extend(first..=last);
        }
        Ok(Some(indices))
    }

    /// The 0-based start of the window of `window` bases for a variant; negative where it begins before the contig.
    ///
    /// The variant's first base has the index `window / 2 - 1`, unless windows start at multiples of a step: then the
    /// multiple nearest to that start is taken.
    #[must_use]
    pub fn start(&self, position: Position, window: u32) -> i64 {
        let start = i64::from(position.zero_based()) + 1 - i64::from(window / 2);
        match self.share.map(i64::from) {
            None => start,
            Some(step) => (start + step / 2).div_euclid(step) * step,
        }
    }

    /// All of it, as people read it.
    pub(crate) fn text(&self) -> String {
        let shifts: Vec<String> = self.shifts.iter().map(i32::to_string).collect();
        let parts = [
            Some(format!("shifts {}", shifts.join(","))),
            self.indels.map(|indels| format!("indels {}", indels.as_str())),
            self.untransform.map(|transform| format!("untransform {}", transform.as_str())),
            self.strand_pairs.map(|pairs| format!("strand pairs {}", pairs.as_str())),
            self.bins.map(|bins| format!("bins {}", bins.as_str())),
            self.targets.as_ref().map(|targets| format!("targets {targets}")),
            self.share.map(|step| format!("windows at multiples of {step} bp")),
            self.genes.map(|genes| format!("genes {}", genes.short())),
            self.variant_embeddings.then(|| "embeddings of the variant's bins".to_owned()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// What is not default, as a part of a track's name.
    pub(super) fn name(&self) -> String {
        let shifts: Vec<String> = self.shifts.iter().map(i32::to_string).collect();
        let parts = [
            (self.shifts != Self::SHIFTS).then(|| format!(".s{}", shifts.join("+"))),
            self.indels.filter(|indels| *indels != Indels::default()).map(|it| format!(".{}", it.as_str())),
            self.untransform
                .filter(|transform| *transform != Untransform::default())
                .map(|transform| format!(".u-{}", transform.as_str())),
            self.strand_pairs
                .filter(|pairs| *pairs != StrandPairs::default())
                .map(|pairs| format!(".{}", pairs.as_str())),
            self.bins.filter(|bins| *bins != Bins::default()).map(|_| ".all-bins".to_owned()),
            self.targets.as_ref().map(|targets| {
                let digest = Digest::of(targets.as_bytes());
                format!(".t{}", digest.short())
            }),
            self.share.map(|step| format!(".share{step}")),
            self.genes.map(|genes| format!(".g{}", genes.short())),
            self.variant_embeddings.then(|| ".variant-embeddings".to_owned()),
        ];
        parts.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(targets: Option<&str>) -> RegulatoryRecipe {
        RegulatoryRecipe {
            shifts: vec![0],
            indels: Some(Indels::Compensate),
            untransform: Some(Untransform::Old),
            strand_pairs: Some(StrandPairs::Merge),
            bins: Some(Bins::Center),
            targets: targets.map(str::to_owned),
            share: None,
            genes: None,
            variant_embeddings: false,
        }
    }

    #[test]
    fn ranges_of_targets_are_read_as_written() {
        for indices in [&[3][..], &[0, 1], &[0, 1, 2, 5, 7, 8]] {
            let text = RegulatoryRecipe::ranges(indices);
            assert_eq!(recipe(Some(&text)).chosen_targets(), Ok(Some(indices.to_vec())), "{text}");
        }
        assert_eq!(RegulatoryRecipe::ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(recipe(None).chosen_targets(), Ok(None));
        for text in ["", "a", "1,1", "2,1", "3-2", "0-4294967295", "1-2-3", "-1", "0,"] {
            assert!(recipe(Some(text)).chosen_targets().is_err(), "{text}");
        }
    }

    #[test]
    fn names_say_what_is_not_default() {
        assert_eq!(recipe(None).name(), "");
        let other = RegulatoryRecipe {
            shifts: vec![-1, 0, 1],
            indels: Some(Indels::Stitch),
            untransform: Some(Untransform::New),
            strand_pairs: Some(StrandPairs::Keep),
            bins: Some(Bins::All),
            targets: None,
            share: Some(4096),
            genes: None,
            variant_embeddings: false,
        };
        assert_eq!(other.name(), ".s-1+0+1.stitch.u-new.keep.all-bins.share4096");
    }
}
