//! The options of `vestore score` that only splice models have.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;
use vestore::{GeneTable, read_genes};
use vestore_schema::{Assembly, Dtype, Recipe, SpliceConvention, SpliceRecipe, Strands};

use super::family::Family;
use super::shared::{Usage, one_of};

#[derive(clap::Args)]
pub(super) struct SpliceArguments {
    /// Score splicing in the genes of this file: GTF, or a table of a splice program; without it, on both strands
    #[arg(long, value_name = "FILE", help_heading = "Splice models")]
    genes: Option<PathBuf>,
    /// Compare this many positions on either side of a variant; 50 by default
    #[arg(long, value_name = "BP", help_heading = "Splice models")]
    distance: Option<u32>,
    /// Cut windows and align indels as this program; spliceai by default
    #[arg(long, value_parser = one_of(&SpliceConvention::ALL, SpliceConvention::as_str),
          help_heading = "Splice models")]
    convention: Option<SpliceConvention>,
    /// Set gains at annotated sites and losses elsewhere to 0
    #[arg(long, requires = "genes", help_heading = "Splice models")]
    mask: bool,
}

impl SpliceArguments {
    /// Adds to a recipe what its family needs of these, and reads the table of genes.
    pub(super) fn complete(
        &self,
        recipe: &mut Recipe,
        family: &Family<'_>,
        strands: Option<Strands>,
        assembly: &Assembly,
    ) -> anyhow::Result<Option<Arc<GeneTable>>> {
        let usage = |message: &str| Usage(message.to_owned());
        let Family::Splice(_, splice) = family else {
            let given = self.genes.is_some() || self.distance.is_some() || self.convention.is_some();
            ensure!(!given, usage("--genes, --distance, --convention and --mask are for splice models"));
            return Ok(None);
        };
        ensure!(strands.is_none(), usage("splice models read the strand of each gene; leave out --strands"));
        ensure!(
            recipe.dtype == Dtype::F32,
            usage("splice models are computed in float32; leave out --dtype")
        );
        let distance = self.distance.unwrap_or(SpliceRecipe::DISTANCE);
        // Beyond that an output sees nothing of the variant.
        let most = (splice.context / 2).saturating_sub(1);
        let expected = format!("invalid distance {distance}; expected 1 to {most}");
        ensure!((1..=most).contains(&distance), Usage(expected));
        let genes = self.genes.as_deref().map(|path| read_genes(path, assembly)).transpose()?.map(Arc::new);
        recipe.splice = Some(SpliceRecipe {
            distance,
            convention: self.convention.unwrap_or_default(),
            mask: self.mask,
            genes: genes.as_ref().map(|genes| genes.digest()),
        });
        Ok(genes)
    }
}
