//! The options of `vestore score` that only splice models have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use vestore::{GeneTable, Store, read_genes};
use vestore_ingest::is_gene_kind;
use vestore_schema::{
    Digest, Dtype, GeneTableRecord, Recipe, SpliceConvention, SpliceRecipe, Strands, Track,
};

use super::family::Family;
use super::shared::{Usage, one_of, say};

/// Fewest characters of a digest that name a gene table.
const DIGITS: usize = 6;

#[derive(clap::Args)]
pub(super) struct SpliceArguments {
    /// Score splicing, or gene effects of a regulatory model, in the genes of this file (GTF, or a table of a splice
    /// program), or of this table of the store, by name or digest; by default those that --track was scored with, else
    /// splicing on both strands
    #[arg(long, value_name = "FILE|NAME", help_heading = "Genes")]
    genes: Option<PathBuf>,
    /// Compare this many positions on either side of a variant; 50 by default
    #[arg(long, value_name = "BP", help_heading = "Splice models")]
    distance: Option<u32>,
    /// Cut windows and align indels as this program; spliceai by default
    #[arg(long, value_parser = one_of(&SpliceConvention::ALL, SpliceConvention::as_str),
          help_heading = "Splice models")]
    convention: Option<SpliceConvention>,
    /// Set gains at annotated sites and losses elsewhere to 0
    #[arg(long, help_heading = "Splice models")]
    mask: bool,
}

impl SpliceArguments {
    /// The file of genes, where one is given.
    pub(super) fn file(&self) -> Option<&Path> {
        self.genes.as_deref().filter(|path| path.exists())
    }

    /// Adds to a recipe what its family needs of these, and reads the table of genes. `track` is that of the store which
    /// is continued, if one is.
    pub(super) fn complete(
        &self,
        recipe: &mut Recipe,
        family: &Family<'_>,
        strands: Option<Strands>,
        store: &Store,
        track: Option<&Track>,
    ) -> anyhow::Result<Option<Arc<GeneTable>>> {
        let usage = |message: &str| Usage(message.to_owned());
        let Family::Splice(_, splice) = family else {
            let given = self.distance.is_some() || self.convention.is_some() || self.mask;
            ensure!(!given, usage("--distance, --convention and --mask are for splice models"));
            let wanted = recipe.scores.iter().find(|kind| is_gene_kind(kind));
            let Some(kind) = wanted else {
                let needed =
                    "--genes is for splice models and for the gene-… score kinds of regulatory models";
                ensure!(self.genes.is_none(), usage(needed));
                return Ok(None);
            };
            let scored_with = track.and_then(|track| track.recipe.regulatory.as_ref()?.genes);
            let genes = self.table(store, track, scored_with)?;
            let genes =
                genes.ok_or_else(|| Usage(format!("`{kind}` needs genes; give a GTF file with --genes")))?;
            ensure!(
                genes.has_exons(),
                usage(
                    "gene effects need exons, and this table names only junctions; give a GTF file with --genes"
                )
            );
            return Ok(Some(Arc::new(genes)));
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
        let scored_with = track.and_then(|track| track.recipe.splice.as_ref()?.genes);
        let genes = self.table(store, track, scored_with)?;
        ensure!(genes.is_some() || !self.mask, usage("--mask needs the annotated sites of --genes"));
        let genes = genes.map(Arc::new);
        recipe.splice = Some(SpliceRecipe {
            distance,
            convention: self.convention.unwrap_or_default(),
            mask: self.mask,
            genes: genes.as_ref().map(|genes| genes.digest()),
        });
        Ok(genes)
    }

    /// The table that is given, or the one that `track` was `scored_with`.
    fn table(
        &self,
        store: &Store,
        track: Option<&Track>,
        scored_with: Option<Digest>,
    ) -> anyhow::Result<Option<GeneTable>> {
        Ok(match (&self.genes, scored_with) {
            (Some(given), _) => Some(table(given, store)?),
            (None, Some(digest)) => Some(store.gene_table(digest)?.with_context(|| {
                format!(
                    "track `{}` was scored with gene table {}, which the store does not keep; give it with --genes",
                    track.map_or("", |track| track.name.as_str()),
                    digest.short()
                )
            })?),
            (None, None) => None,
        })
    }
}

/// The gene table of a file, or that of the store which has this name or digest.
pub(super) fn table(given: &Path, store: &Store) -> anyhow::Result<GeneTable> {
    let known = store.gene_tables()?;
    if given.exists() {
        let table = read_genes(given, store.assembly())?;
        if !known.iter().any(|record| record.digest == table.digest()) {
            say(format_args!(
                "the store does not keep this gene table; `vestore genes add {} {}` does, and `verify --rescore` then \
                 recomputes its scores",
                store.root().display(),
                given.display()
            ));
        }
        return Ok(table);
    }
    let text = given.to_string_lossy();
    let meant = |record: &&GeneTableRecord| {
        record.name == text || (text.len() >= DIGITS && record.digest.to_string().starts_with(&*text))
    };
    let found: Vec<&GeneTableRecord> = known.iter().filter(meant).collect();
    let names = |tables: &mut dyn Iterator<Item = &GeneTableRecord>| -> String {
        tables
            .map(|record| format!("`{}` ({})", record.name, record.digest.short()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match found.as_slice() {
        [record] => store.gene_table(record.digest)?.context("the gene table was removed meanwhile"),
        [] if known.is_empty() => {
            bail!(
                "unknown gene table `{text}`: it is not a file, and the store has no gene tables; add one with `vestore genes add`"
            )
        }
        [] => bail!(
            "unknown gene table `{text}`: it is not a file, and the store has {}",
            names(&mut known.iter())
        ),
        several => bail!(Usage(format!(
            "gene table `{text}` is ambiguous: {}; give the digest",
            names(&mut several.iter().copied())
        ))),
    }
}
