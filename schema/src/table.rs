//! The Arrow schemas of the tables, and what the footer of a segment says about it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Metadata, Schema, SchemaRef};
use serde_json::json;

use crate::assembly::Contig;
use crate::model::Model;
use crate::segment::Table;
use crate::track::Track;
use crate::version::{Format, VersionError};

/// Metadata key of the format version and features, JSON.
pub const FORMAT_KEY: &str = "vestore.format";
/// Metadata key of the table's name.
pub const TABLE_KEY: &str = "vestore.table";
/// Metadata key of the track: name, id, recipe, columns, JSON.
pub const TRACK_KEY: &str = "vestore.track";
/// Metadata key of the model without its places on disk, JSON.
pub const MODEL_KEY: &str = "vestore.model";
/// Metadata key of the contig: name, length, refget digest, JSON.
pub const CONTIG_KEY: &str = "vestore.contig";
/// Metadata key of the checksums of the blocks before the footer, base64.
pub const BLOCKS_KEY: &str = "vestore.blocks";

/// Columns that name a variant in every table: 1-based position, reference and alternate allele.
pub const KEY_COLUMNS: [&str; 3] = ["position", "reference", "alternate"];
/// The column that says why a row carries a score or none.
pub const STATUS_COLUMN: &str = "status";

/// The schema of a scores segment: the key, one nullable float32 per score column, the status.
#[must_use]
pub fn scores_schema(columns: &[String]) -> SchemaRef {
    let mut fields = vec![
        Field::new(KEY_COLUMNS[0], DataType::UInt32, false),
        Field::new(KEY_COLUMNS[1], DataType::Utf8, false),
        Field::new(KEY_COLUMNS[2], DataType::Utf8, false),
    ];
    fields.extend(columns.iter().map(|name| Field::new(name, DataType::Float32, true)));
    fields.push(Field::new(STATUS_COLUMN, DataType::Utf8, false));
    Arc::new(Schema::new(fields))
}

/// Columns of an embeddings table: mean-pooled final hidden state of the reference window, and alternate
/// minus reference; means over the strands that were read.
pub const EMBEDDING_COLUMNS: [&str; 2] = ["reference_embedding", "delta_embedding"];

/// The schema of an embeddings segment: the key, two nullable lists of `hidden` float32, the status.
#[must_use]
pub fn embeddings_schema(hidden: u32) -> SchemaRef {
    let mut fields = scores_schema(&[]).fields().to_vec();
    for (index, name) in EMBEDDING_COLUMNS.into_iter().enumerate() {
        fields.insert(KEY_COLUMNS.len() + index, Arc::new(Field::new(name, embedding_type(hidden), true)));
    }
    Arc::new(Schema::new(fields))
}

/// The Arrow type of an embedding of `hidden` numbers.
#[must_use]
pub fn embedding_type(hidden: u32) -> DataType {
    let item = Field::new("item", DataType::Float32, false);
    DataType::FixedSizeList(Arc::new(item), hidden as i32)
}

/// Column of an ablation table: original number of the layer that was left out.
pub const LAYER_COLUMN: &str = "layer";

/// The schema of an ablation segment: the key, the layer, per score column its change (without the layer
/// − full), the status.
#[must_use]
pub fn ablation_schema(columns: &[String]) -> SchemaRef {
    let mut fields = scores_schema(columns).fields().to_vec();
    fields.insert(KEY_COLUMNS.len(), Arc::new(Field::new(LAYER_COLUMN, DataType::UInt32, false)));
    Arc::new(Schema::new(fields))
}

/// What the footer of a segment says, so that a file copied out of the store still tells what it is.
/// Nothing here depends on when, where or by whom it was written.
#[must_use]
pub fn segment_metadata(
    table: Table,
    track: &Track,
    model: Option<&Model>,
    contig: &Contig,
) -> Vec<(String, String)> {
    let mut metadata = vec![
        (FORMAT_KEY.to_owned(), json!(Format::default()).to_string()),
        (TABLE_KEY.to_owned(), table.as_str().to_owned()),
        (TRACK_KEY.to_owned(), json!(track).to_string()),
        (CONTIG_KEY.to_owned(), json!(contig).to_string()),
    ];
    metadata.extend(model.map(|model| (MODEL_KEY.to_owned(), model.provenance().to_string())));
    metadata
}

/// Refuses a segment whose footer names a format that this program does not know.
///
/// # Errors
/// When the version or a feature is unknown. A footer without the key is version 0.
pub fn check_segment_format(what: &str, metadata: &Metadata) -> Result<(), VersionError> {
    let unknown = Format { version: 0, features: Vec::new() };
    let said = metadata.get(FORMAT_KEY).and_then(|text| serde_json::from_str(text).ok());
    said.unwrap_or(unknown).check(what)
}
