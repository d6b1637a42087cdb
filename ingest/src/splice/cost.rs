//! What a variant takes of a splice model.

use vestore_schema::{Model as ModelRecord, SpliceRecipe, SpliceRecord};

use crate::seam::Cost;

/// What one variant takes of the model `record` when it shares the reference with neighbours: its cone in one gene, and
/// its part of the bases that a stretch of variants needs on either side.
#[must_use]
pub fn splice_cost(record: &ModelRecord, splice: &SpliceRecord, recipe: &SpliceRecipe) -> Cost {
    // Every parameter of a convolution is used once a base, in a multiplication and an addition.
    let each_base = 2.0 * record.parameters as f64;
    let (context, outputs) = (f64::from(splice.context), f64::from(2 * recipe.distance + 1));
    // The cone: on average a sixth of the context, as far as the outputs do not reach further.
    let cone = each_base * (context / 6.0 + outputs);
    Cost { operations: cone / SHARED, bytes: (context + outputs) * 2.0 + outputs * 32.0 }
}

/// Neighbours that make the reference of their stretch a tenth of their work: units are as many times longer than those
/// of other models.
const SHARED: f64 = 7.0;
