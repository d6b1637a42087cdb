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

/// Whether every answer has a column of this name, which then is not a score's.
#[must_use]
pub fn is_reserved_column(name: &str) -> bool {
    KEY_COLUMNS.contains(&name) || ["contig", "model", "track", STATUS_COLUMN].contains(&name)
}

/// The schema of a scores segment: the key, one nullable float32 per score column, the status.
#[must_use]
pub fn scores_schema(columns: &[String]) -> SchemaRef {
    let mut fields = vec![
        Field::new(KEY_COLUMNS[0], DataType::Int32, false),
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
    let width = i32::try_from(hidden).expect("a model's width is checked; this is a bug");
    DataType::FixedSizeList(Arc::new(item), width)
}

/// Column of an ablation table: original number of the layer that was left out.
pub const LAYER_COLUMN: &str = "layer";

/// The schema of an ablation segment: the key, the layer, per score column its change (without the layer
/// − full), the status.
#[must_use]
pub fn ablation_schema(columns: &[String]) -> SchemaRef {
    let mut fields = scores_schema(columns).fields().to_vec();
    fields.insert(KEY_COLUMNS.len(), Arc::new(Field::new(LAYER_COLUMN, DataType::Int32, false)));
    Arc::new(Schema::new(fields))
}

/// Column of a gene-effects table: the gene, or the strand where there is none.
pub const GENE_COLUMN: &str = "gene";

/// The schema of a gene-effects segment: the key, the gene, per column a nullable float32 or, of effects on `targets`
/// targets, a nullable list of them, the status.
#[must_use]
pub fn gene_effects_schema(columns: &[String], targets: Option<u32>) -> SchemaRef {
    let schema = match targets {
        Some(targets) => effects_schema(columns, targets),
        None => scores_schema(columns),
    };
    let mut fields = schema.fields().to_vec();
    fields.insert(KEY_COLUMNS.len(), Arc::new(Field::new(GENE_COLUMN, DataType::Utf8, false)));
    Arc::new(Schema::new(fields))
}

/// Column of an answer over effects: the name of the target.
pub const TARGET_COLUMN: &str = "target";

/// Metadata key of the names of the targets, in the order of the numbers in a list of an effects segment, JSON.
pub const TARGETS_KEY: &str = "vestore.targets";

/// The schema of an effects segment: the key, per column a nullable list of `targets` nullable float32, the status.
#[must_use]
pub fn effects_schema(columns: &[String], targets: u32) -> SchemaRef {
    let mut fields = scores_schema(&[]).fields().to_vec();
    let lists = columns.iter().map(|name| Arc::new(Field::new(name, effects_type(targets), true)));
    fields.splice(KEY_COLUMNS.len()..KEY_COLUMNS.len(), lists);
    Arc::new(Schema::new(fields))
}

/// The Arrow type of the effects of one kind on `targets` targets.
#[must_use]
pub fn effects_type(targets: u32) -> DataType {
    let item = Field::new("item", DataType::Float32, true);
    let width = i32::try_from(targets).expect("the number of targets is checked; this is a bug");
    DataType::FixedSizeList(Arc::new(item), width)
}

/// The schema of a segment's rows as they are handed on, from that of its file: the integers of version 1 are
/// unsigned, later ones signed, as rows are.
///
/// # Errors
/// What is wrong with the columns, when a segment of `table` cannot have them.
pub fn row_schema(table: Table, format: &Format, file: &Schema) -> Result<SchemaRef, String> {
    let integer = if format.version == 1 { DataType::UInt32 } else { DataType::Int32 };
    let mut keys = vec![(KEY_COLUMNS[0], &integer)];
    keys.extend([KEY_COLUMNS[1], KEY_COLUMNS[2]].map(|name| (name, &DataType::Utf8)));
    keys.extend((table == Table::Ablation).then_some((LAYER_COLUMN, &integer)));
    keys.extend((table == Table::GeneEffects).then_some((GENE_COLUMN, &DataType::Utf8)));
    let status = (STATUS_COLUMN, &DataType::Utf8);
    let values = keys.len()..file.fields().len().max(keys.len() + 1) - 1;
    let is_number = |kind: &DataType| match (table, kind) {
        (Table::Embeddings | Table::Effects | Table::GeneEffects, DataType::FixedSizeList(item, _)) => {
            *item.data_type() == DataType::Float32
        }
        (Table::Embeddings | Table::Effects, _) => false,
        (_, kind) => *kind == DataType::Float32,
    };
    let at = |index: usize| {
        file.fields().get(index).map(|field| (field.name().as_str(), field.data_type(), field.is_nullable()))
    };
    for (index, (name, kind)) in keys.iter().copied().enumerate().chain([(values.end, status)]) {
        if at(index) != Some((name, kind, false)) {
            return Err(format!("column {} is not `{name}` of type {kind}, without nulls", index + 1));
        }
    }
    let fields = file.fields().iter().enumerate().map(|(index, field)| match field.data_type() {
        DataType::UInt32 if !values.contains(&index) => {
            Ok(Arc::new(field.as_ref().clone().with_data_type(DataType::Int32)))
        }
        kind if values.contains(&index) && !is_number(kind) => {
            Err(format!("column `{}` is of type {kind}, which no {} have", field.name(), table.as_str()))
        }
        _ => Ok(Arc::clone(field)),
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    let (count, last) = (names.len(), names.clone());
    names.dedup();
    if names.len() < count {
        return Err(format!("two of its columns have one name: {}", last.join(", ")));
    }
    Ok(Arc::new(Schema::new(fields).with_metadata(file.metadata().clone())))
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

/// The format that the footer of a segment names.
///
/// # Errors
/// When the version or a feature is unknown. A footer without the key is version 0.
pub fn segment_format(what: &str, metadata: &Metadata) -> Result<Format, VersionError> {
    let unknown = Format { version: 0, features: Vec::new() };
    let said = metadata.get(FORMAT_KEY).and_then(|text| serde_json::from_str(text).ok());
    let format = said.unwrap_or(unknown);
    format.check(what)?;
    Ok(format)
}
