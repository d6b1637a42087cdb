//! Rows on their way into a segment.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use vestore_schema::{
    Status, Table, Track, Variant, ablation_schema, embedding_type, embeddings_schema, gene_effects_schema,
    scores_schema,
};

use super::effects::list;
use super::error::StoreError;

/// How names of columns end that say where in a gene a change is.
const PLACE_ENDING: &str = "_position";

/// One row of a scores table.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// What was scored.
    pub variant: Variant,
    /// A score per column of the track, in order.
    pub values: Vec<Option<f32>>,
    /// Why it has scores or none.
    pub status: Status,
}

/// The rows of one contig as a batch of a track's scores table, rounded where the recipe says so.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn score_batch(track: &Track, rows: &[ScoreRow]) -> Result<RecordBatch, StoreError> {
    let mut columns = key_columns(rows.iter().map(|row| &row.variant));
    columns.extend(value_columns(track, &track.columns, &rows.iter().map(|row| row.values.as_slice())));
    columns.push(status_column(rows.iter().map(|row| row.status)));
    Ok(RecordBatch::try_new(scores_schema(&track.columns), columns)?)
}

pub(super) fn key_columns<'a>(variants: impl Iterator<Item = &'a Variant> + Clone) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int32Array::from_iter_values(variants.clone().map(|variant| variant.position.to_column()))),
        Arc::new(StringArray::from_iter_values(variants.clone().map(|variant| &variant.reference))),
        Arc::new(StringArray::from_iter_values(variants.map(|variant| &variant.alternate))),
    ]
}

pub(super) fn status_column(statuses: impl Iterator<Item = Status>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(statuses.map(Status::as_str)))
}

/// What becomes of a number on its way into a track: rounded where the recipe says so.
pub(crate) fn rounding(track: &Track) -> impl Fn(f32) -> f32 {
    let precision = track.recipe.rounding();
    move |value| precision.map_or(value, |precision| precision.round(value))
}

/// Columns of numbers with these names, rounded where the recipe says so. Places are whole numbers of bases, no scores.
fn value_columns<'a>(
    track: &Track,
    names: &[String],
    rows: &(impl Iterator<Item = &'a [Option<f32>]> + Clone),
) -> Vec<ArrayRef> {
    let rounded = rounding(track);
    let column = |(column, name): (usize, &String)| -> ArrayRef {
        let is_place = name.ends_with(PLACE_ENDING);
        let kept = |value| if is_place { value } else { rounded(value) };
        let values = rows.clone().map(|row| row.get(column).copied().flatten().map(kept));
        Arc::new(values.collect::<Float32Array>())
    };
    names.iter().enumerate().map(column).collect()
}

/// One row of an ablation table.
#[derive(Clone, Debug, PartialEq)]
pub struct AblationRow {
    /// What was scored.
    pub variant: Variant,
    /// Original number of the layer that was left out.
    pub layer: u32,
    /// Per column of the track, in order: the score without the layer − the score of the full model.
    pub changes: Vec<Option<f32>>,
    /// Why it has changes or none.
    pub status: Status,
}

/// The rows of one contig as a batch of a track's ablation table, rounded where the recipe says so.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn ablation_batch(track: &Track, rows: &[AblationRow]) -> Result<RecordBatch, StoreError> {
    let mut columns = key_columns(rows.iter().map(|row| &row.variant));
    columns.push(Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.layer.cast_signed()))));
    columns.extend(value_columns(track, &track.columns, &rows.iter().map(|row| row.changes.as_slice())));
    columns.push(status_column(rows.iter().map(|row| row.status)));
    Ok(RecordBatch::try_new(ablation_schema(&track.columns), columns)?)
}

/// One row of a gene-effects table.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneEffectRow {
    /// What was scored.
    pub variant: Variant,
    /// The gene, or the strand where there is none; empty where the variant has no scores.
    pub gene: String,
    /// Per gene column of the track, in order; of tracks without targets.
    pub values: Vec<Option<f32>>,
    /// Per gene column of a track with targets a number per target, NaN where it is not defined; empty where none is.
    pub effects: Vec<Vec<f32>>,
    /// Why it has effects or none.
    pub status: Status,
}

/// The rows of one contig as a batch of a track's gene-effects table, rounded where the recipe says so.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn gene_effect_batch(track: &Track, rows: &[GeneEffectRow]) -> Result<RecordBatch, StoreError> {
    let mut columns = key_columns(rows.iter().map(|row| &row.variant));
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.gene))));
    let targets = track.list_length(Table::GeneEffects);
    match targets {
        None => columns.extend(value_columns(
            track,
            &track.gene_columns,
            &rows.iter().map(|row| row.values.as_slice()),
        )),
        Some(targets) => {
            for column in 0..track.gene_columns.len() {
                columns.push(list(track, targets, rows.iter().map(|row| row.effects.get(column)))?);
            }
        }
    }
    columns.push(status_column(rows.iter().map(|row| row.status)));
    Ok(RecordBatch::try_new(gene_effects_schema(&track.gene_columns, targets), columns)?)
}

/// One row of an embeddings table: reference and delta, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingRow {
    /// What was embedded.
    pub variant: Variant,
    /// Pooled hidden state of the reference window, and alternate minus reference.
    pub embedding: Option<[Vec<f32>; 2]>,
    /// `scored`, or why there is no embedding.
    pub status: Status,
}

/// The rows of one contig as a batch of an embeddings table of `hidden` numbers each.
///
/// # Errors
/// When Arrow refuses the columns, which would be a bug.
pub fn embedding_batch(hidden: u32, rows: &[EmbeddingRow]) -> Result<RecordBatch, StoreError> {
    let DataType::FixedSizeList(item, width) = embedding_type(hidden) else {
        unreachable!("an embedding is a list; this is a bug")
    };
    let list = |which: usize| -> Result<ArrayRef, StoreError> {
        let mut numbers = Vec::with_capacity(rows.len() * hidden as usize);
        for row in rows {
            match &row.embedding {
                Some(embedding) => numbers.extend_from_slice(&embedding[which]),
                None => numbers.resize(numbers.len() + hidden as usize, 0.0),
            }
        }
        let valid: Vec<bool> = rows.iter().map(|row| row.embedding.is_some()).collect();
        let numbers = Arc::new(Float32Array::from(numbers));
        let array = FixedSizeListArray::try_new(Arc::clone(&item), width, numbers, Some(valid.into()))?;
        Ok(Arc::new(array))
    };
    let mut columns = key_columns(rows.iter().map(|row| &row.variant));
    columns.extend([list(0)?, list(1)?]);
    columns.push(status_column(rows.iter().map(|row| row.status)));
    Ok(RecordBatch::try_new(embeddings_schema(hidden), columns)?)
}
