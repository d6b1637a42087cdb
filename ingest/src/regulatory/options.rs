//! A recipe of a regulatory model, resolved: which targets are read, which are answered, how predictions become
//! effects.

use thiserror::Error;
use vestore_schema::{
    Bins, Indels, Recipe, RegulatoryRecipe, StrandPairs, Strands, Untransform, matches_glob,
};

use super::config::{RegulatoryConfig, RegulatoryFamily};
use super::kinds::{RegulatoryKind, kinds_of};
use super::targets::TargetTable;
use crate::convert::as_index;
use crate::seam::ScoreError;

/// Why a recipe does not fit a regulatory model.
#[derive(Debug, Error)]
pub enum RegulatoryOptionsError {
    /// Score kinds that the family does not have.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Options of another family, or none.
    #[error("the recipe is not one of model family {family}: {problem}")]
    Recipe {
        /// The family.
        family: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Both strands without a table of targets.
    #[error(
        "both strands of a {family} model need its table of targets, which pairs the strands of an experiment; use \
         --strands forward, or add the model with --targets"
    )]
    NoPairs {
        /// The family.
        family: &'static str,
    },
    /// Kinds that are defined for one prediction alone, with several.
    #[error("`{kind}` is not defined for several shifts; use one with --shifts, or add another score kind")]
    OnePrediction {
        /// The kind.
        kind: &'static str,
    },
    /// Text that is not ranges of targets.
    #[error(transparent)]
    Ranges(#[from] vestore_schema::TargetsError),
    /// A target that the head does not have.
    #[error("invalid target {target}; expected 0 to {}, and of merged pairs the `+` strand", count.saturating_sub(1))]
    Target {
        /// Its index.
        target: u32,
        /// How many there are.
        count: u32,
    },
    /// A pattern that fits no target.
    #[error(
        "no target matches `{pattern}`; expected a name or description of a target, or a pattern with * and ?"
    )]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
}

/// A target of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) name: String,
    /// Its place among the targets that are read.
    pub(crate) at: usize,
    /// The place of the other strand, where the two are merged.
    pub(crate) other: Option<usize>,
    /// Whether it is of the forward strand; none where it is of neither, or of both.
    pub(crate) forward: Option<bool>,
}

impl Answer {
    /// The place of the target that says something of genes on a strand; none where it is of the other one.
    pub(crate) fn of_strand(&self, forward: bool) -> Option<usize> {
        match self.other {
            Some(other) => Some(if forward { self.at } else { other }),
            None => self.forward.is_none_or(|strand| strand == forward).then_some(self.at),
        }
    }
}

/// How a target's predictions are turned back into measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Training {
    pub(crate) clip_soft: f64,
    pub(crate) scale: f64,
    pub(crate) root: bool,
}

/// A regulatory model's recipe, resolved.
#[derive(Clone, Debug)]
pub struct RegulatoryOptions {
    pub(crate) recipe: RegulatoryRecipe,
    /// Over all bins.
    pub(crate) kinds: Vec<&'static RegulatoryKind>,
    /// Over the bins of genes.
    pub(crate) gene_kinds: Vec<&'static RegulatoryKind>,
    pub(crate) strands: Strands,
    /// Bases of a window.
    pub(crate) window: u32,
    pub(crate) bins: Bins,
    /// Bases of a bin.
    pub(crate) bin: u32,
    /// Bins on the left that are cropped.
    pub(crate) cropped: u32,
    /// Bins that are left.
    pub(crate) bins_read: u32,
    /// Whether predictions are averaged before they are compared, and alternate windows are filled from the genome.
    pub(crate) averaged: bool,
    pub(crate) answers: Vec<Answer>,
    /// Indices of the targets that are read, ascending.
    pub(crate) read: Vec<u32>,
    /// Whether these are all of the head.
    pub(crate) reads_all: bool,
    /// Of each target that is read, the place of the other strand, where both strands are read.
    pub(crate) pairs: Option<Vec<usize>>,
    pub(crate) untransform: Untransform,
    /// Of each target that is read, where a transform is undone.
    pub(crate) training: Vec<Training>,
    /// Which embeddings are computed.
    pub(crate) embeddings: Option<Embedded>,
}

/// What an embedding is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Embedded {
    /// The mean over all bins that are read.
    Window,
    /// The mean over the bins of the allele.
    Allele,
}

impl RegulatoryOptions {
    /// Those of `recipe` for a model with `targets` targets, which `table` describes.
    ///
    /// # Errors
    /// When the recipe does not fit the model.
    pub fn new(
        config: &RegulatoryConfig,
        targets: u32,
        recipe: &Recipe,
        table: Option<&TargetTable>,
    ) -> Result<Self, RegulatoryOptionsError> {
        let family = config.name();
        let wrong = |problem| RegulatoryOptionsError::Recipe { family, problem };
        let [kinds, gene_kinds] = kinds_of(config.family, recipe)?;
        let regulatory = recipe.regulatory.as_ref().ok_or_else(|| wrong("it lacks the family's options"))?;
        config
            .check_window(recipe.window)
            .map_err(|_| wrong("the model does not read windows of its length"))?;
        if gene_kinds.is_empty() != regulatory.genes.is_none() {
            return Err(wrong("it has gene effects without a table of genes, or a table without them"));
        }
        let mut effects =
            kinds.iter().chain(&gene_kinds).filter(|kind| kind.score_column().is_some()).peekable();
        if let Some(first) = effects.peek().map(|kind| kind.about.name)
            && regulatory.shifts.len() > 1
            && effects.all(|kind| kind.needs_one_prediction())
        {
            return Err(RegulatoryOptionsError::OnePrediction { kind: first });
        }
        let averaged = config.family == RegulatoryFamily::Enformer;
        let fits = regulatory.indels.is_none() == averaged
            && regulatory.bins.is_none() == averaged
            && regulatory.untransform.is_none() == (averaged || table.is_none())
            && regulatory.strand_pairs.is_none() == (averaged || table.is_none());
        if !fits {
            return Err(wrong("it has options of another family, or lacks some"));
        }
        if !averaged && table.is_none() && recipe.strands == Strands::Both {
            return Err(RegulatoryOptionsError::NoPairs { family });
        }
        let merges = regulatory.strand_pairs == Some(StrandPairs::Merge);
        let heads = Heads { targets, table: table.filter(|_| !averaged), merges };
        let answered = answered(&heads, regulatory)?;
        let paired = recipe.strands == Strands::Both && heads.table.is_some();
        let mut read = answered.clone();
        if merges || paired {
            read.extend(answered.iter().map(|target| heads.pair(*target)));
            read.sort_unstable();
            read.dedup();
        }
        let place = |target: u32| read.binary_search(&target).unwrap_or(usize::MAX);
        let names = table.map(TargetTable::names);
        let answer = |target: &u32| Answer {
            name: names.as_ref().map_or_else(|| target.to_string(), |names| names[at(*target)].clone()),
            at: place(*target),
            other: Some(heads.pair(*target)).filter(|pair| merges && pair != target).map(place),
            forward: (heads.pair(*target) != *target && !merges).then(|| !heads.is_reverse(*target)),
        };
        let training = |target: &u32| {
            let target = heads.table.map(|table| &table.targets[at(*target)])?;
            let clip_soft = target.clip_soft.unwrap_or(f64::INFINITY);
            Some(Training { clip_soft, scale: target.scale, root: target.root })
        };
        let bins = regulatory.bins.unwrap_or_default();
        let (cropped, bins_read) = config.crop(recipe.window, bins);
        Ok(Self {
            kinds,
            gene_kinds,
            strands: recipe.strands,
            window: recipe.window,
            bins,
            bin: config.bin(),
            cropped,
            bins_read,
            averaged,
            answers: answered.iter().map(answer).collect(),
            reads_all: read.len() == at(targets),
            pairs: paired.then(|| read.iter().map(|target| place(heads.pair(*target))).collect()),
            untransform: regulatory.untransform.unwrap_or(Untransform::None),
            training: read.iter().filter_map(training).collect(),
            read,
            embeddings: None,
            recipe: regulatory.clone(),
        })
    }

    /// The same, with embeddings.
    #[must_use]
    pub fn with_embeddings(self) -> Self {
        let embedded = if self.recipe.variant_embeddings { Embedded::Allele } else { Embedded::Window };
        Self { embeddings: Some(embedded), ..self }
    }

    /// Bases by which predictions of an allele that is `longer` by so many bases, or shorter, are also shifted so that
    /// both alleles' bins fit behind it; none where nothing is done about it.
    pub(crate) fn compensation(&self, longer: i64) -> Option<i64> {
        let compensates = matches!(self.recipe.indels, Some(Indels::Compensate | Indels::Stitch));
        Some(longer.abs()).filter(|shift| compensates && *shift > 0)
    }

    /// Names of the targets of the answer.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.answers.iter().map(|answer| answer.name.clone()).collect()
    }

    /// The columns of effects.
    #[must_use]
    pub fn effect_columns(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| kind.column()).collect()
    }

    /// The columns of gene effects.
    #[must_use]
    pub fn gene_columns(&self) -> Vec<String> {
        self.gene_kinds.iter().map(|kind| kind.column()).collect()
    }

    /// The columns of scores.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.kinds.iter().chain(&self.gene_kinds).filter_map(|kind| kind.score_column()).collect()
    }

    /// Windows of a pass: the reference, and alternates.
    pub(crate) const WINDOWS: usize = 8;
}

fn at(target: u32) -> usize {
    as_index(target.into())
}

/// The outputs of a head, and what pairs them.
struct Heads<'a> {
    targets: u32,
    table: Option<&'a TargetTable>,
    merges: bool,
}

impl Heads<'_> {
    /// The other strand of a target, or itself.
    fn pair(&self, target: u32) -> u32 {
        self.table.map_or(target, |table| table.targets[at(target)].pair)
    }

    /// Whether the name of a target says that it is of the reverse strand.
    fn is_reverse(&self, target: u32) -> bool {
        self.table.is_some_and(|table| table.targets[at(target)].identifier.ends_with('-'))
    }

    /// Whether a target stands for its pair: the one that is not the reverse strand.
    fn represents(&self, target: u32) -> bool {
        let pair = self.pair(target);
        match (self.is_reverse(target), self.is_reverse(pair)) {
            (true, false) => false,
            (false, true) => true,
            _ => target <= pair,
        }
    }

    /// The targets that an answer can have.
    fn all(&self) -> Vec<u32> {
        (0..self.targets).filter(|target| !self.merges || self.represents(*target)).collect()
    }
}

/// The targets of the answer, ascending.
fn answered(heads: &Heads<'_>, recipe: &RegulatoryRecipe) -> Result<Vec<u32>, RegulatoryOptionsError> {
    let all = heads.all();
    let Some(chosen) = recipe.chosen_targets()? else { return Ok(all) };
    match chosen.iter().find(|target| all.binary_search(target).is_err()) {
        Some(target) => Err(RegulatoryOptionsError::Target { target: *target, count: heads.targets }),
        None => Ok(chosen),
    }
}

/// The targets of the answer that `patterns` choose by name or description, as a recipe says it; none where they choose
/// all. Where pairs are merged, either strand's name chooses the pair.
///
/// # Errors
/// When a pattern fits no target.
pub fn choose_targets(
    patterns: &[String],
    targets: u32,
    table: Option<&TargetTable>,
    merges: bool,
) -> Result<Option<String>, RegulatoryOptionsError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let heads = Heads { targets, table, merges };
    let names = table.map(TargetTable::names);
    let name =
        |target: u32| names.as_ref().map_or_else(|| target.to_string(), |names| names[at(target)].clone());
    let fits = |pattern: &str, target: u32| {
        let description = table.map_or("", |table| table.targets[at(target)].description.as_str());
        matches_glob(pattern, &name(target)) || matches_glob(pattern, description)
    };
    let all = heads.all();
    let mut chosen = Vec::new();
    for pattern in patterns {
        let before = chosen.len();
        chosen.extend(
            all.iter()
                .copied()
                .filter(|target| fits(pattern, *target) || merges && fits(pattern, heads.pair(*target))),
        );
        if chosen.len() == before {
            return Err(RegulatoryOptionsError::NoMatch { pattern: pattern.clone() });
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok((chosen.len() < all.len()).then(|| RegulatoryRecipe::ranges(&chosen)))
}

/// The options of a family where a command line leaves them open, for a model with or without a table of targets.
#[must_use]
pub fn regulatory_defaults(config: &RegulatoryConfig, table: bool) -> RegulatoryRecipe {
    let unet = config.family != RegulatoryFamily::Enformer;
    RegulatoryRecipe {
        shifts: RegulatoryRecipe::SHIFTS.to_vec(),
        indels: unet.then(Indels::default),
        untransform: (unet && table).then(Untransform::default),
        strand_pairs: (unet && table).then(StrandPairs::default),
        bins: unet.then(Bins::default),
        targets: None,
        share: None,
        genes: None,
        variant_embeddings: false,
    }
}

/// The window of published models of a family in bases.
#[must_use]
pub fn regulatory_window(config: &RegulatoryConfig) -> u32 {
    if config.family == RegulatoryFamily::Enformer { 196_608 } else { 524_288 }
}
