//! What a variant takes of a splice model.

use vestore_schema::{Model as ModelRecord, SpliceRecipe, SpliceRecord};

use crate::seam::Cost;

/// Units are as many times longer than those of other models: neighbours share the reference of their stretch, and what
/// they need on either side of it is paid once a unit.
const SHARED: f64 = 10.0;

/// Units in hand at once, planned, computed or written: activations are held by one of them alone.
const IN_HAND: f64 = 3.0;

/// In an ablation each branch holds states of its own; its units are this much smaller, and take more memory than others.
const BRANCHES: f64 = 6.0;

/// What one variant takes of the model `record` when it shares the reference with neighbours: its cone in one gene, and
/// its part of the bases that a stretch of variants needs on either side.
#[must_use]
pub fn splice_cost(
    record: &ModelRecord,
    splice: &SpliceRecord,
    recipe: &SpliceRecipe,
    ablation: bool,
) -> Cost {
    // Every parameter of a convolution is used once a base, in a multiplication and an addition.
    let each_base = 2.0 * record.parameters as f64;
    let (context, outputs) = (f64::from(splice.context), f64::from(2 * recipe.distance + 1));
    // The cone: on average a sixth of the context, as far as the outputs do not reach further; half of it at its widest.
    let cone = each_base * (context / 6.0 + outputs);
    let state =
        4.0 * f64::from(record.hidden) * splice.kept_networks.len() as f64 * (context / 2.0 + outputs);
    let branches = if ablation { BRANCHES } else { 1.0 };
    Cost { operations: cone / SHARED, bytes: state * branches / IN_HAND, together: 1 }
}
