//! What is stored of an ablation: by how much each score changes without a layer.

use vestore::AblationRow;
use vestore_schema::{Status, Variant};

use crate::work::Row;

/// The change of each score of a variant: without a layer − full; and why there is one or none.
#[must_use]
pub fn change(full: &Row, without: &Row) -> (Vec<Option<f32>>, Status) {
    let difference = |(full, without): (&Option<f32>, &Option<f32>)| {
        full.zip(*without).map(|(full, without)| without - full).filter(|change| change.is_finite())
    };
    let changes: Vec<Option<f32>> = full.values.iter().zip(&without.values).map(difference).collect();
    let status = if changes.iter().any(Option::is_some) {
        Status::Scored
    } else if full.status == Status::Scored {
        Status::NonFinite
    } else {
        full.status
    };
    (changes, status)
}

/// The rows of one variant: `full`, and `without` each of the layers `kept`.
pub(crate) fn rows<'a>(
    variant: &'a Variant,
    kept: &'a [u32],
    full: &'a Row,
    without: impl Iterator<Item = Option<&'a Row>> + 'a,
) -> impl Iterator<Item = AblationRow> + 'a {
    kept.iter().zip(without).map(move |(layer, without)| {
        // What could not be scored has no row without the layer either.
        let (changes, status) = match without {
            Some(without) => change(full, without),
            None => (vec![None; full.values.len()], full.status),
        };
        AblationRow { variant: variant.clone(), layer: *layer, changes, status }
    })
}
