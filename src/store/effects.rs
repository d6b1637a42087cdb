//! How effects on targets are kept: per kind a list with a number per target, in one row per variant.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, NullBufferBuilder, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use vestore_schema::{Status, Track, Variant, effects_schema, effects_type};

use super::error::StoreError;
use super::rows::{key_columns, rounding, status_column};
use super::segment::PAGE_ROWS;

/// Numbers in a page, at most: what a reader decompresses of each column for one row.
pub(crate) const PAGE_NUMBERS: usize = 1 << 14;
/// Numbers of all kinds in a row group, about: what a writer holds in memory before it is compressed and after.
const GROUP_NUMBERS: usize = 1 << 24;
/// Numbers of all kinds in a batch on its way into a segment, about.
const BATCH_NUMBERS: usize = 1 << 22;

/// One row of an effects table.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectRow {
    /// What was scored.
    pub variant: Variant,
    /// Per effect column of the track, in order, a number per target, NaN where it is not defined; empty where the
    /// variant has no effects.
    pub effects: Vec<Vec<f32>>,
    /// Why it has effects or none.
    pub status: Status,
}

impl EffectRow {
    /// The row of what was computed: numbers that are not finite are missing; `otherwise` is the status of a row
    /// without any.
    #[must_use]
    pub fn new(variant: Variant, effects: Vec<Vec<f32>>, otherwise: Status) -> Self {
        let defined = effects.iter().flatten().any(|value| value.is_finite());
        let status = match (defined, otherwise) {
            (true, _) => Status::Scored,
            (false, Status::Scored) => Status::NonFinite,
            (false, otherwise) => otherwise,
        };
        Self { variant, effects: if defined { effects } else { Vec::new() }, status }
    }
}

/// The rows of one contig as batches of a track's effects table, rounded where the recipe says so; of rows without
/// end only a few are in a batch.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn effect_batches<'a>(
    track: &'a Track,
    rows: &'a [EffectRow],
) -> impl Iterator<Item = Result<RecordBatch, StoreError>> + 'a {
    let most = rows_of(BATCH_NUMBERS, numbers(track), usize::MAX);
    rows.chunks(most).map(|rows| batch(track, rows))
}

fn batch(track: &Track, rows: &[EffectRow]) -> Result<RecordBatch, StoreError> {
    let targets = track.targets.map_or(0, |targets| targets.count);
    let mut columns = key_columns(rows.iter().map(|row| &row.variant));
    for column in 0..track.effect_columns.len() {
        columns.push(list(track, targets, rows.iter().map(|row| row.effects.get(column)))?);
    }
    columns.push(status_column(rows.iter().map(|row| row.status)));
    Ok(RecordBatch::try_new(effects_schema(&track.effect_columns, targets), columns)?)
}

/// The lists of one kind. A list without a number is missing.
pub(super) fn list<'a>(
    track: &Track,
    targets: u32,
    lists: impl Iterator<Item = Option<&'a Vec<f32>>>,
) -> Result<ArrayRef, StoreError> {
    let DataType::FixedSizeList(item, width) = effects_type(targets) else {
        unreachable!("effects are lists; this is a bug")
    };
    let (count, rounded) = (targets as usize, rounding(track));
    let (mut numbers, mut defined, mut present) = (Vec::new(), NullBufferBuilder::new(0), Vec::new());
    for list in lists {
        let list = list.filter(|list| list.iter().any(|value| value.is_finite()));
        present.push(list.is_some());
        let Some(list) = list else {
            numbers.resize(numbers.len() + count, 0.0);
            defined.append_n_nulls(count);
            continue;
        };
        assert_eq!(list.len(), count, "a number per target; this is a bug");
        for value in list {
            defined.append(value.is_finite());
            numbers.push(if value.is_finite() { rounded(*value) } else { 0.0 });
        }
    }
    let numbers = Float32Array::new(numbers.into(), defined.finish());
    Ok(Arc::new(FixedSizeListArray::try_new(item, width, Arc::new(numbers), Some(present.into()))?))
}

/// Numbers in a row of a track's effects.
fn numbers(track: &Track) -> usize {
    track.targets.map_or(0, |targets| targets.count as usize) * track.effect_columns.len()
}

/// How many rows of so many `numbers` each have about `most` numbers.
fn rows_of(most: usize, numbers: usize, limit: usize) -> usize {
    (most / numbers.max(1)).clamp(1, limit)
}

/// Rows of a page and of a row group of a segment of effects, or gene effects, of this schema.
pub(super) fn layout(schema: &Schema, group_rows: usize) -> (usize, usize) {
    let widths = schema.fields().iter().filter_map(|field| match field.data_type() {
        DataType::FixedSizeList(_, width) => usize::try_from(*width).ok(),
        _ => None,
    });
    let (widest, all) = widths.fold((0, 0), |(widest, all), width| (width.max(widest), all + width));
    (rows_of(PAGE_NUMBERS, widest, PAGE_ROWS), rows_of(GROUP_NUMBERS, all, group_rows))
}
