//! What a variant effect store holds: the types that its store and its engine share, the Arrow
//! schemas of its tables, the tables of its catalog. FORMAT.md beside this crate specifies the bytes.

mod accession;
mod assembly;
mod calibration;
pub mod catalog;
mod digest;
mod genes;
mod hub;
mod ids;
mod locus;
mod mean;
mod meaning;
mod model;
mod position;
mod precision;
mod published;
mod recipe;
mod record;
mod report;
mod segment;
mod shard;
mod table;
mod targets;
mod track;
mod variant;
mod version;

pub use assembly::{Assembly, Contig, ContigNames, nearest};
pub use calibration::{Calibration, Context, MAX_CALIBRATIONS, Scale};
pub use catalog::{LayerRecord, Run, StoreRecord};
pub use digest::{Digest, canonical_json, hexadecimal};
pub use genes::{GENE_NAMES_ENDING, GENES_ENDING, GENES_FOLDER, GeneNamesRecord, GeneTableRecord};
pub use hub::{HubOrigin, is_commit, is_repository};
pub use ids::{IDS_ENDING, IDS_FOLDER, IdTableRecord};
pub use locus::{LocusError, Region};
pub use mean::{Averaged, MAX_AVERAGED};
pub use meaning::{Direction, Meaning};
pub use model::{
    Architecture, EncoderRecord, Head, Model, ModelFile, OneHotRecord, RegulatoryRecord, SpliceRecord,
    TokenizerKind,
};
pub use position::Position;
pub use precision::{Precision, PrecisionError};
pub use published::{PUBLISHED_FILE, PUBLISHED_VERSION, Published, is_published_catalog};
pub use recipe::{
    AblatedPart, Bins, Dtype, Indels, LONGEST_WINDOW, MAX_SHIFTS, Recipe, RegulatoryRecipe, SpliceConvention,
    SpliceRecipe, StrandPairs, Strands, TargetsError, Untransform,
};
pub use record::{RecordError, ancestors};
pub use report::ReportRecord;
pub use segment::{RETIRED_FOLDER, Segment, Table, Tail, UNRECORDED_RUN, retired_path, segment_path};
pub use shard::{Shard, ShardError};
pub use table::{
    BLOCKS_KEY, CONTIG_KEY, EMBEDDING_COLUMNS, FORMAT_KEY, GENE_COLUMN, KEY_COLUMNS, LAYER_COLUMN, MODEL_KEY,
    STATUS_COLUMN, TABLE_KEY, TARGET_COLUMN, TARGETS_KEY, TRACK_KEY, ablation_schema, effects_schema,
    effects_type, embedding_type, embeddings_schema, gene_effects_schema, is_reserved_column, row_schema,
    scores_schema, segment_format, segment_metadata,
};
pub use targets::{MAX_TARGET_NAME, MAX_TARGETS, Targets, is_target_name, matches_glob};
pub use track::{EXTERNAL_MODEL, External, MAX_NAME, NUMERICS_REVISION, NameError, Track, check_name};
pub use variant::{Status, Variant};
pub use version::{FORMAT_VERSION, Format, GROUPED_VERSION, KNOWN_FEATURES, OLDEST_VERSION, VersionError};
