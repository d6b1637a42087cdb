//! What belongs to a recipe of a splice model.

use std::sync::Arc;

use vestore::{Gene, GeneTable};
use vestore_schema::{SpliceConvention, SpliceRecipe};

use super::effects::KnownSites;

/// How variants are scored for splicing.
#[derive(Clone, Debug)]
pub struct SpliceOptions {
    /// Outputs on either side of a variant that are looked at.
    pub(crate) distance: u32,
    pub(crate) convention: SpliceConvention,
    /// Whether gains of annotated sites and losses elsewhere are 0.
    pub(crate) mask: bool,
    /// Genes; without them both strands are scored everywhere.
    pub(crate) genes: Option<Arc<GeneTable>>,
}

/// Where a variant is scored: in a gene, or on a strand where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// The gene's id, or the strand.
    pub(crate) name: String,
    pub(crate) forward: bool,
    /// Bases that are read, 0-based half-open; without a gene, all.
    pub(crate) inside: Option<(u32, u32)>,
    /// What a mask knows.
    pub(crate) known: KnownSites,
}

impl SpliceOptions {
    /// Those of a recipe; `genes` is the table that it names, if it names one.
    #[must_use]
    pub fn new(recipe: &SpliceRecipe, genes: Option<Arc<GeneTable>>) -> Self {
        Self { distance: recipe.distance, convention: recipe.convention, mask: recipe.mask, genes }
    }

    /// The areas of a variant at the 0-based `position`.
    pub(crate) fn areas(&self, contig: u32, position: u32) -> Vec<Area> {
        let genes = self.genes.as_ref().map(|table| table.at(contig, position)).unwrap_or_default();
        let areas: Vec<Area> = genes.into_iter().filter_map(|gene| self.area(gene, position)).collect();
        if !areas.is_empty() {
            return areas;
        }
        let strand = |(name, forward): (&str, bool)| Area {
            name: name.to_owned(),
            forward,
            inside: None,
            known: KnownSites::default(),
        };
        [("+", true), ("-", false)].map(strand).to_vec()
    }

    fn area(&self, gene: &Gene, position: u32) -> Option<Area> {
        let end = gene.end - u32::from(self.convention == SpliceConvention::CiSpliceAi);
        if position >= end {
            return None;
        }
        let relative = |place: &u32| i64::from(*place) - i64::from(position);
        let reach = i64::from(self.distance) + 1;
        let near = |places: &[u32]| -> Vec<i64> {
            places.iter().map(relative).filter(|place| (-reach..=reach).contains(place)).collect()
        };
        // The first of equals: the lower one.
        let nearest = gene.borders.iter().map(relative).min_by_key(|place| place.abs());
        Some(Area {
            name: gene.id.clone(),
            forward: gene.forward,
            inside: Some((gene.start, end)),
            known: KnownSites { sites: gene.sites().map(near), nearest },
        })
    }
}
