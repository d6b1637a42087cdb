//! The score kinds of regulatory models: what is said of the alternate's profile against the reference's.

use vestore_schema::Recipe;

use super::config::RegulatoryFamily;
use crate::seam::{ScoreError, ScoreKind};

/// What is done to every bin before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum View {
    Plain,
    /// log2(x + 1)
    Log,
    Root,
}

/// How two profiles are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Alternate − reference, summed over bins.
    Difference,
    /// The same, averaged over bins.
    Mean,
    /// log2(sum of the alternate + 1) − log2(sum of the reference + 1).
    LogOfSums,
    /// Alternate − reference in the first bin where they differ most.
    Extreme,
    /// The sum of absolute differences.
    Distance,
    /// The root of the sum of squared differences.
    Euclidean,
    /// The mean of both Kullback–Leibler divergences of the profiles as distributions over bins.
    Divergence,
    /// The Euclidean distance of these distributions.
    ShapeEuclidean,
    /// The largest absolute difference of these distributions in a bin.
    ShapeExtreme,
    /// The sum of the reference.
    Reference,
    /// The sum of the alternate.
    Alternate,
}

/// A score kind.
#[derive(Debug)]
pub(crate) struct RegulatoryKind {
    pub(crate) about: ScoreKind,
    pub(crate) view: View,
    pub(crate) measure: Measure,
}

impl RegulatoryKind {
    /// Its column of effects.
    pub(crate) fn column(&self) -> String {
        self.about.name.replace('-', "_")
    }

    /// Its column of scores: the largest absolute effect; none of kinds that are not effects.
    pub(crate) fn score_column(&self) -> Option<String> {
        let is_effect = !matches!(self.measure, Measure::Reference | Measure::Alternate);
        is_effect.then(|| format!("{}_max_abs", self.column()))
    }

    /// Whether several predictions leave it undefined.
    pub(crate) fn needs_one_prediction(&self) -> bool {
        self.measure == Measure::Divergence
    }

    /// The effect on an experiment from those on its two strands.
    pub(crate) fn merge(&self, strands: [f64; 2]) -> f64 {
        match self.measure {
            // Not `hypot`: that of glibc 2.35 rounds in another way than older ones, and does not run on them.
            Measure::Euclidean => (strands[0] * strands[0] + strands[1] * strands[1]).sqrt(),
            _ => strands[0] + strands[1],
        }
    }
}

const fn kind(
    name: &'static str,
    description: &'static str,
    direction: &'static str,
    view: View,
    measure: Measure,
) -> RegulatoryKind {
    RegulatoryKind { about: ScoreKind { name, description, direction }, view, measure }
}

const SIGNED: &str = "higher: the alternate has more";
const UNSIGNED: &str = "higher: the profiles differ more";
const VALUE: &str = "higher: more of what the target measures";

use Measure::{
    Alternate, Difference, Distance, Divergence, Euclidean, Extreme, LogOfSums, Mean, Reference,
    ShapeEuclidean, ShapeExtreme,
};
use View::{Log, Plain, Root};

/// Of all families, in the order of their columns.
static KINDS: [RegulatoryKind; 19] = [
    kind("sum", "difference of the sums over bins", SIGNED, Plain, Difference),
    kind("log-sum", "difference of log2(bin + 1), summed over bins", SIGNED, Log, Difference),
    kind("log-sed", "difference of log2(sum over bins + 1)", SIGNED, Plain, LogOfSums),
    kind("sqrt-sum", "difference of square roots, summed over bins", SIGNED, Root, Difference),
    kind("sad", "difference of the sums over bins", SIGNED, Plain, Difference),
    kind("sad-mean", "difference of the means over bins", SIGNED, Plain, Mean),
    kind("sadr", "difference of log2(sum over bins + 1)", SIGNED, Plain, LogOfSums),
    kind("sar", "difference of log2(bin + 1), summed over bins", SIGNED, Log, Difference),
    kind("sax", "difference in the bin where it is largest", SIGNED, Plain, Extreme),
    kind("saxr", "difference of log2(bin + 1) in the bin where it is largest", SIGNED, Log, Extreme),
    kind("d1", "sum of absolute differences of bins", UNSIGNED, Plain, Distance),
    kind("log-d1", "the same of log2(bin + 1)", UNSIGNED, Log, Distance),
    kind("sqrt-d1", "the same of square roots", UNSIGNED, Root, Distance),
    kind("d2", "Euclidean distance of bins", UNSIGNED, Plain, Euclidean),
    kind("log-d2", "the same of log2(bin + 1)", UNSIGNED, Log, Euclidean),
    kind("sqrt-d2", "the same of square roots", UNSIGNED, Root, Euclidean),
    kind("js", "symmetrised Kullback-Leibler divergence of the shapes", UNSIGNED, Plain, Divergence),
    kind("ref", "sum over the bins of the reference window", VALUE, Plain, Reference),
    kind("alt", "sum over the bins of the alternate window", VALUE, Plain, Alternate),
];

/// Gene effects of Borzoi and Flashzoi, over the bins of a gene's exons, in the order of their columns.
static GENE_KINDS: [RegulatoryKind; 11] = [
    kind("gene-sed", "difference of the sums over the bins of a gene's exons", SIGNED, Plain, Difference),
    kind("gene-log-sed", "difference of log2(sum over exon bins + 1)", SIGNED, Plain, LogOfSums),
    kind("gene-d1", "sum of absolute differences of exon bins", UNSIGNED, Plain, Distance),
    kind("gene-log-d1", "the same of log2(bin + 1)", UNSIGNED, Log, Distance),
    kind("gene-d2", "Euclidean distance of exon bins", UNSIGNED, Plain, Euclidean),
    kind("gene-log-d2", "the same of log2(bin + 1)", UNSIGNED, Log, Euclidean),
    kind("gene-nd2", "Euclidean distance of the shapes over exon bins", UNSIGNED, Plain, ShapeEuclidean),
    kind("gene-ndi", "largest difference of the shapes in an exon bin", UNSIGNED, Plain, ShapeExtreme),
    kind(
        "gene-js",
        "symmetrised Kullback-Leibler divergence of the shapes over exon bins",
        UNSIGNED,
        Plain,
        Divergence,
    ),
    kind("gene-ref", "sum over the exon bins of the reference window", VALUE, Plain, Reference),
    kind("gene-alt", "sum over the exon bins of the alternate window", VALUE, Plain, Alternate),
];

/// Kinds of Borzoi and Flashzoi, the first that of choice.
const BORZOI: [&str; 14] = [
    "log-sum", "sum", "log-sed", "sqrt-sum", "sax", "d1", "log-d1", "sqrt-d1", "d2", "log-d2", "sqrt-d2",
    "js", "ref", "alt",
];
/// Kinds of Enformer.
const ENFORMER: [&str; 10] = ["sad", "sad-mean", "sadr", "sar", "sax", "saxr", "d1", "d2", "ref", "alt"];

/// The score kinds of all regulatory models.
pub fn regulatory_kinds() -> impl Iterator<Item = &'static ScoreKind> {
    KINDS.iter().chain(&GENE_KINDS).map(|kind| &kind.about)
}

/// Whether a name is that of gene effects.
#[must_use]
pub fn is_gene_kind(name: &str) -> bool {
    GENE_KINDS.iter().any(|kind| kind.about.name == name)
}

/// All kinds of a family, in the order of choice.
fn of_family(family: RegulatoryFamily) -> Vec<&'static str> {
    if family == RegulatoryFamily::Enformer {
        return ENFORMER.to_vec();
    }
    BORZOI.iter().copied().chain(GENE_KINDS.iter().map(|kind| kind.about.name)).collect()
}

/// Those of `names` that are effects.
fn effects(names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| !["ref", "alt", "gene-ref", "gene-alt"].contains(name)).collect()
}

/// Names of the score kinds that `asked` names, each once, in the order of their columns; without any, the family's
/// first.
///
/// # Errors
/// When the family does not have one of them, or none of them is an effect.
pub fn regulatory_scores(family: RegulatoryFamily, asked: &[String]) -> Result<Vec<String>, ScoreError> {
    let known = of_family(family);
    if let Some(kind) = asked.iter().find(|kind| !known.contains(&kind.as_str())) {
        return Err(ScoreError::UnknownKind { kind: kind.clone(), known });
    }
    let wanted = |kind: &&RegulatoryKind| match asked {
        [] => kind.about.name == known[0],
        asked => asked.iter().any(|name| name == kind.about.name),
    };
    let kinds: Vec<&RegulatoryKind> = KINDS.iter().chain(&GENE_KINDS).filter(wanted).collect();
    if kinds.iter().all(|kind| kind.score_column().is_none()) {
        return Err(ScoreError::NoEffect { kind: kinds[0].about.name, known: effects(&known) });
    }
    Ok(kinds.iter().map(|kind| kind.about.name.to_owned()).collect())
}

/// The kinds of a recipe: over all bins, and over those of genes.
///
/// # Errors
/// When the family does not have one of them.
pub(crate) fn kinds_of(
    family: RegulatoryFamily,
    recipe: &Recipe,
) -> Result<[Vec<&'static RegulatoryKind>; 2], ScoreError> {
    let names = regulatory_scores(family, &recipe.scores)?;
    let wanted = |kind: &&RegulatoryKind| names.iter().any(|name| name == kind.about.name);
    Ok([KINDS.iter().filter(wanted).collect(), GENE_KINDS.iter().filter(wanted).collect()])
}

/// All of them, for tests of what computes them.
#[cfg(test)]
pub(super) fn every_kind() -> Vec<&'static RegulatoryKind> {
    KINDS.iter().chain(&GENE_KINDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_kinds_of_its_own() {
        let names = |family, asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
            regulatory_scores(family, &asked).map_err(|error| error.to_string())
        };
        assert_eq!(names(RegulatoryFamily::Borzoi, &[]), Ok(vec!["log-sum".to_owned()]));
        assert_eq!(names(RegulatoryFamily::Enformer, &[]), Ok(vec!["sad".to_owned()]));
        let sorted = names(RegulatoryFamily::Flashzoi, &["alt", "js", "sum", "js"]);
        assert_eq!(sorted, Ok(vec!["sum".to_owned(), "js".to_owned(), "alt".to_owned()]));
        assert!(names(RegulatoryFamily::Borzoi, &["sad"]).is_err_and(|told| told.contains("`sad`")));
        assert!(names(RegulatoryFamily::Enformer, &["ref", "alt"]).is_err());
        for name in BORZOI.iter().chain(&ENFORMER) {
            assert_eq!(KINDS.iter().filter(|kind| kind.about.name == *name).count(), 1, "{name}");
        }
    }
}
