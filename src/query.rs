//! Answers: from regions, variants and tracks to sorted rows.

mod ahead;
mod answer;
mod effects;
mod filter;
mod gather;
mod lists;
mod merge;
mod numbers;
mod order;
mod places;
mod plan;
mod question;
mod scan;
mod shape;
mod sort;
mod source;
mod unseen;
mod wanted;
mod wide;

pub(crate) use ahead::guarded;
pub use answer::AnswerRows;
pub(crate) use effects::chosen;
pub use effects::{EffectOptions, EffectRows, EffectsError, is_effect};
pub(crate) use filter::Bound;
pub use filter::{Filter, FilterError};
pub use merge::Rows;
pub(crate) use numbers::Numbers;
pub use places::{HgvsError, PlaceNameError, Places, PlacesError};
pub use plan::{QueryPlan, Request};
pub use question::{Answer, Batches, Question, QuestionError};
pub(crate) use scan::Checked;
pub use scan::{SegmentReader, SegmentRows};
pub(crate) use shape::check_page;
pub use sort::SortKey;
pub(crate) use source::damaged;
pub use unseen::Unseen;
pub(crate) use wanted::gallop;
pub use wide::{WideRows, wide_schema};

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Metadata, Schema, SchemaRef};
use vestore_schema::{
    EMBEDDING_COLUMNS, GENE_COLUMN, KEY_COLUMNS, LAYER_COLUMN, STATUS_COLUMN, Table, Track, effects_type,
    embedding_type,
};

pub(crate) const CONTIG_COLUMN: &str = "contig";
pub(crate) const TRACK_COLUMN: &str = "track";

/// Columns of an answer before the score columns: contig, 1-based position, alleles, model, track, status.
pub const ANSWER_COLUMNS: [&str; 7] =
    [CONTIG_COLUMN, KEY_COLUMNS[0], KEY_COLUMNS[1], KEY_COLUMNS[2], "model", TRACK_COLUMN, STATUS_COLUMN];

/// Metadata key of an answer's tracks: name, id, model, recipe, columns of each, JSON.
pub const TRACKS_KEY: &str = "vestore.tracks";

/// The schema of an answer over the scores of `tracks`: [`ANSWER_COLUMNS`], then every score column that
/// one of the tracks has, in the order in which they first come, each before what its calibration makes of it.
#[must_use]
pub fn answer_schema(tracks: &[Track]) -> SchemaRef {
    let mut fields = number_fields(tracks, Table::Scores);
    for track in tracks.iter().filter(|track| !track.calibrations.is_empty()) {
        let mut before = 0;
        for (name, scale) in track.scores() {
            let at = fields.iter().position(|field| *field.name() == name);
            match (at, scale) {
                (Some(at), None) => before = at,
                // The name of a score of another track.
                (Some(at), Some(_)) => fields[at].set_data_type(DataType::Float64),
                (None, _) => {
                    fields.insert(before + 1, Field::new(name, DataType::Float64, true));
                    before += 1;
                }
            }
        }
    }
    with_answer_columns(fields, tracks)
}

/// The schema of an answer over the ablations of `tracks`: as over scores, with the layer before them.
#[must_use]
pub(crate) fn ablation_answer_schema(tracks: &[Track]) -> SchemaRef {
    let mut fields = number_fields(tracks, Table::Ablation);
    fields.insert(0, Field::new(LAYER_COLUMN, DataType::Int32, false));
    with_answer_columns(fields, tracks)
}

/// The schema of an answer over the gene effects of `tracks`: as over scores, or, where they have `targets` targets, as
/// over effects, with the gene after the variant.
#[must_use]
pub(crate) fn gene_effects_answer_schema(tracks: &[Track], targets: Option<u32>) -> SchemaRef {
    let mut fields = number_fields(tracks, Table::GeneEffects);
    if let Some(targets) = targets {
        for field in &mut fields {
            field.set_data_type(effects_type(targets));
        }
    }
    let schema = with_answer_columns(fields, tracks);
    let mut fields = schema.fields().to_vec();
    fields.insert(1 + KEY_COLUMNS.len(), Arc::new(Field::new(GENE_COLUMN, DataType::Utf8, false)));
    Arc::new(Schema::new(fields).with_metadata(schema.metadata().clone()))
}

/// The schema of an answer over the effects of `tracks`, which all have `targets` targets: a list per kind.
#[must_use]
pub(crate) fn effects_answer_schema(tracks: &[Track], targets: u32) -> SchemaRef {
    let mut fields = number_fields(tracks, Table::Effects);
    for field in &mut fields {
        field.set_data_type(effects_type(targets));
    }
    with_answer_columns(fields, tracks)
}

fn number_fields(tracks: &[Track], table: Table) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for column in tracks.iter().flat_map(|track| track.columns_of(table)) {
        if !fields.iter().any(|field| field.name() == column) {
            fields.push(Field::new(column, DataType::Float32, true));
        }
    }
    fields
}

/// The schema of an answer over the embeddings of `tracks`, of models of one width.
#[must_use]
pub(crate) fn embeddings_answer_schema(tracks: &[Track], hidden: u32) -> SchemaRef {
    let fields = EMBEDDING_COLUMNS.map(|name| Field::new(name, embedding_type(hidden), true));
    with_answer_columns(fields.into(), tracks)
}

/// The schema of the variants nearest to one: a column of numbers, and their labels if they have some.
#[must_use]
pub(crate) fn similar_schema(tracks: &[Track], column: &str, labelled: bool) -> SchemaRef {
    let label = labelled.then(|| Field::new("label", DataType::Utf8, true));
    with_answer_columns(
        [Field::new(column, DataType::Float32, false)].into_iter().chain(label).collect(),
        tracks,
    )
}

fn with_answer_columns(values: Vec<Field>, tracks: &[Track]) -> SchemaRef {
    let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let types =
        [name.clone(), DataType::Int32, DataType::Utf8, DataType::Utf8, name.clone(), name, DataType::Utf8];
    let mut fields: Vec<Field> =
        ANSWER_COLUMNS.iter().zip(types).map(|(column, kind)| Field::new(*column, kind, false)).collect();
    fields.extend(values);
    let tracks = serde_json::json!(tracks).to_string();
    Arc::new(Schema::new(fields).with_metadata(Metadata::default().with(TRACKS_KEY, tracks)))
}
