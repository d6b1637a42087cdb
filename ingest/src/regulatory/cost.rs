//! What a variant takes of a regulatory model.

use vestore_schema::{Model as ModelRecord, Recipe, RegulatoryRecord};

use super::kinds::is_gene_kind;
use super::options::RegulatoryOptions;
use crate::seam::Cost;

/// Multiplications and additions of a published network for one base of a window, below and above its transformer, by
/// the square of a token's width: within a factor of two for all families.
const CONVOLUTIONS: f64 = 2.5;

/// Genes of a window, about.
const GENES: f64 = 20.0;

/// What one variant of `recipe` takes of the model `record` when it shares the reference with the others of its site.
#[must_use]
pub fn regulatory_cost(
    record: &ModelRecord,
    regulatory: &RegulatoryRecord,
    recipe: &Recipe,
    ablation: bool,
) -> Cost {
    let (window, hidden) = (f64::from(recipe.window), f64::from(record.hidden));
    let tokens = window / 128.0;
    let layers = record.kept_layers.len() as f64;
    // Below the layer that is left out a pass is shared.
    let runs = if ablation { layers + layers * (layers - 1.0) / 2.0 } else { layers };
    let block = 2.0 * tokens * 7.0 * hidden * hidden + 6.0 * tokens * tokens * hidden;
    let bins = match regulatory.center_bins {
        0 => window / f64::from(regulatory.bin),
        bins => f64::from(bins),
    };
    let head = 2.0 * bins * 1.25 * hidden * f64::from(regulatory.targets);
    let shifts = recipe.regulatory.as_ref().map_or(1, |regulatory| regulatory.shifts.len()) as f64;
    let predictions = shifts * recipe.strands.count() as f64;
    let of_genes = recipe.scores.iter().filter(|kind| is_gene_kind(kind)).count() as f64;
    let kinds = recipe.scores.len() as f64 + of_genes * (GENES - 1.0);
    Cost {
        // A third of the reference's, which the three SNVs of a site share.
        operations: 4.0 / 3.0 * predictions * (CONVOLUTIONS * window * hidden * hidden + runs * block + head),
        // The window as cut; effects of each kind as they wait and as they are written.
        bytes: 2.0 * window + (8.0 * shifts + 8.0) * kinds * f64::from(regulatory.targets),
        together: RegulatoryOptions::WINDOWS - 1,
    }
}
