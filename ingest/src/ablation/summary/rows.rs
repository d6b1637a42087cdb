//! Ablation rows beside the scores of the same variants.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type};
use vestore::{QueryPlan, Request, Store, StoreError};
use vestore_schema::{LAYER_COLUMN, Table, Track};

/// The changes of one score, of variants that have the score and all its changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) full: Vec<f32>,
    /// By layer, in the order of `full`.
    pub(super) by_layer: Vec<(u32, Vec<f32>)>,
    /// Variants without the score, or without one of its changes.
    pub(super) left_out: u64,
}

/// Contig, position, alleles: what both tables are sorted by.
type Key = (usize, u32, Box<str>, Box<str>);

/// A variant and its changes by layer.
type Group = (Key, Vec<(u32, Option<f32>)>);

/// A row of either table; `layer` is 0 in scores.
struct Row {
    key: Key,
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
    let contigs: HashMap<&str, usize> = store
        .assembly()
        .contigs
        .iter()
        .enumerate()
        .map(|(index, contig)| (contig.name.as_str(), index))
        .collect();
    let mut scores = scores.rows().flat_map(|batch| rows(batch, column, &contigs));
    let mut changes = Changes::default();
    let mut group: Option<Group> = None;
    let mut score = scores.next().transpose()?;
    let mut close = |(key, layers): Group| -> Result<(), StoreError> {
        while score.as_ref().is_some_and(|score| score.key < key) {
            score = scores.next().transpose()?;
        }
        let full = score.as_ref().filter(|score| score.key == key).and_then(|score| score.value);
        changes.add(full, &layers);
        Ok(())
    };
    for row in ablation.rows().flat_map(|batch| rows(batch, column, &contigs)) {
        let row = row?;
        match &mut group {
            Some((key, layers)) if *key == row.key => layers.push((row.layer, row.value)),
            _ => {
                if let Some(done) = group.replace((row.key, vec![(row.layer, row.value)])) {
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
fn rows(
    batch: Result<RecordBatch, StoreError>,
    column: &str,
    contigs: &HashMap<&str, usize>,
) -> Vec<Result<Row, StoreError>> {
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return vec![Err(error)],
    };
    let names = batch.column(0).as_dictionary::<Int32Type>();
    let contigs: Vec<usize> = names
        .values()
        .as_string::<i32>()
        .iter()
        .map(|name| name.and_then(|name| contigs.get(name)).copied().unwrap_or(usize::MAX))
        .collect();
    let positions = batch.column(1).as_primitive::<Int32Type>();
    let (references, alternates) = (batch.column(2).as_string::<i32>(), batch.column(3).as_string::<i32>());
    let layers = batch.column_by_name(LAYER_COLUMN).map(|layers| layers.as_primitive::<Int32Type>());
    let values = batch.column_by_name(column).map(|values| values.as_primitive::<Float32Type>());
    let row = |row: usize| Row {
        key: (
            contigs[names.keys().value(row) as usize],
            positions.value(row).cast_unsigned(),
            references.value(row).into(),
            alternates.value(row).into(),
        ),
        layer: layers.map_or(0, |layers| layers.value(row).cast_unsigned()),
        value: values.filter(|values| values.is_valid(row)).map(|values| values.value(row)),
    };
    (0..batch.num_rows()).map(|at| Ok(row(at))).collect()
}
