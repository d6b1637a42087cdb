//! Stored scores of given variants.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type};
use vestore::{QueryPlan, Request, Store, StoreError};
use vestore_schema::{Position, Table, Variant};

/// The scores, or the percentiles and PHRED that a calibration makes of them, that `track` has in `column` for
/// `variants`: `None` without a row, and `Some(None)` where the row has no score.
///
/// # Errors
/// The store cannot be read, or has no such track or column.
pub fn stored_scores(
    store: &Store,
    variants: &[Variant],
    track: &str,
    column: &str,
) -> Result<Vec<Option<Option<f64>>>, StoreError> {
    let mut scores = vec![None; variants.len()];
    let plan = plan_of(store, variants, track, Table::Scores)?;
    each_row(&plan, variants, &[column], |columns, row, places| {
        let found = &columns[0];
        let score = found.is_valid(row).then(|| match found.as_primitive_opt::<Float32Type>() {
            Some(scores) => f64::from(scores.value(row)),
            None => found.as_primitive::<Float64Type>().value(row),
        });
        for place in places {
            scores[*place] = Some(score);
        }
    })?;
    Ok(scores)
}

/// What to read of `variants` in a table of `track`.
pub(super) fn plan_of(
    store: &Store,
    variants: &[Variant],
    track: &str,
    table: Table,
) -> Result<QueryPlan, StoreError> {
    let request =
        Request { variants: variants.into(), tracks: vec![track.to_owned()], table, ..Request::default() };
    QueryPlan::new(store, &request)
}

/// Calls `take` with `columns`, the row in them and the places among `variants`, for every row of `plan` that is one
/// of them.
pub(super) fn each_row(
    plan: &QueryPlan,
    variants: &[Variant],
    columns: &[&str],
    mut take: impl FnMut(&[ArrayRef], usize, &[usize]),
) -> Result<(), StoreError> {
    let mut places: HashMap<&Variant, Vec<usize>> = HashMap::with_capacity(variants.len());
    for (place, variant) in variants.iter().enumerate() {
        places.entry(variant).or_default().push(place);
    }
    let contigs: HashMap<&str, u32> = (0..)
        .zip(&plan.store().assembly().contigs)
        .map(|(index, contig)| (contig.name.as_str(), index))
        .collect();
    for batch in plan.rows() {
        let batch = batch?;
        let keys = batch.column(0).as_dictionary::<Int32Type>();
        let names = keys.values().as_string::<i32>();
        let positions = batch.column(1).as_primitive::<Int32Type>();
        let (references, alternates) =
            (batch.column(2).as_string::<i32>(), batch.column(3).as_string::<i32>());
        let found = columns.iter().map(|column| {
            batch.column_by_name(column).cloned().ok_or_else(|| StoreError::Unknown {
                kind: "score column",
                name: (*column).to_owned(),
                known: plan.tracks.iter().flat_map(|track| track.columns.clone()).collect(),
            })
        });
        let found = found.collect::<Result<Vec<ArrayRef>, _>>()?;
        for row in 0..batch.num_rows() {
            let name = keys.key(row).map(|key| names.value(key));
            let Some(contig) = name.and_then(|name| contigs.get(name)).copied() else { continue };
            let variant = Variant {
                contig,
                position: Position::from_column(positions.value(row)),
                reference: references.value(row).into(),
                alternate: alternates.value(row).into(),
            };
            if let Some(places) = places.get(&variant) {
                take(&found, row, places);
            }
        }
    }
    Ok(())
}
