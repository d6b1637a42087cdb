//! Ablation rows beside the scores of the same variants.

use arrow::array::RecordBatch;
use vestore::{AnswerRows, QueryPlan, Request, Store, StoreError};
use vestore_schema::{Table, Track, Variant};

/// The changes of one score, of variants that have the score and all its changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) full: Vec<f32>,
    /// By layer, in the order of `full`.
    pub(super) by_layer: Vec<(u32, Vec<f32>)>,
    /// Variants without the score, or without one of its changes.
    pub(super) left_out: u64,
}

/// A variant and its changes by layer.
type Group = (Variant, Vec<(u32, Option<f32>)>);

/// A row of either table; `layer` is 0 in scores.
struct Row {
    variant: Variant,
    layer: u32,
    value: Option<f32>,
}

/// Reads the changes of `column` and joins them with the full scores.
pub(super) fn read(store: &Store, track: &Track, column: &str) -> Result<Changes, StoreError> {
    let plan = |table| {
        let request = Request { tracks: vec![track.name.clone()], table, ..Request::default() };
        QueryPlan::new(store, &request)
    };
    let (scores, ablation) = (plan(Table::Scores)?, plan(Table::Ablation)?);
    let mut scores = scores.rows().flat_map(|batch| rows(batch, column, store));
    let mut changes = Changes::default();
    let mut group: Option<Group> = None;
    let mut score = scores.next().transpose()?;
    let mut close = |(variant, layers): Group| -> Result<(), StoreError> {
        while score.as_ref().is_some_and(|score| score.variant < variant) {
            score = scores.next().transpose()?;
        }
        let full = score.as_ref().filter(|score| score.variant == variant).and_then(|score| score.value);
        changes.add(full, &layers);
        Ok(())
    };
    for row in ablation.rows().flat_map(|batch| rows(batch, column, store)) {
        let row = row?;
        match &mut group {
            Some((variant, layers)) if *variant == row.variant => layers.push((row.layer, row.value)),
            _ => {
                if let Some(done) = group.replace((row.variant, vec![(row.layer, row.value)])) {
                    close(done)?;
                }
            }
        }
    }
    if let Some(done) = group {
        close(done)?;
    }
    Ok(changes)
}

impl Changes {
    fn add(&mut self, full: Option<f32>, layers: &[(u32, Option<f32>)]) {
        if self.by_layer.is_empty() {
            self.by_layer = layers.iter().map(|(layer, _)| (*layer, Vec::new())).collect();
        }
        let values: Option<Vec<f32>> = layers.iter().map(|(_, value)| *value).collect();
        match full.zip(values).filter(|(_, values)| values.len() == self.by_layer.len()) {
            Some((full, values)) => {
                self.full.push(full);
                self.by_layer.iter_mut().zip(values).for_each(|((_, to), value)| to.push(value));
            }
            None => self.left_out += 1,
        }
    }
}

/// The rows of a batch.
fn rows(batch: Result<RecordBatch, StoreError>, column: &str, store: &Store) -> Vec<Result<Row, StoreError>> {
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return vec![Err(error)],
    };
    let rows = AnswerRows::of(&batch);
    let row = |row: usize| {
        let variant = rows.variant(store, row)?;
        Some(Ok(Row { variant, layer: rows.keys.layer(row), value: rows.score(column, row) }))
    };
    (0..batch.num_rows()).filter_map(row).collect()
}
