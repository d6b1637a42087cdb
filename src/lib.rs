//! vestore: an embedded store for variant effects scored by genomic language models.
//!
//! A [`Store`] is one folder: a redb catalog over immutable Parquet segments. This crate reads genome
//! files, commits segments, answers queries and exports; the engine that scores is another crate.

mod annotate;
mod diff;
mod export;
#[cfg(test)]
mod fixture;
mod import;
mod query;
mod reference;
mod store;
mod study;
mod variants;

pub use annotate::{AnnotateError, Annotated, VariantForm, annotate};
pub use diff::{Cells, Diff, Mover, diff, scatter};
pub use export::{
    ExportError, Format, PositionValue, TextFormat, write_bedgraph, write_bigwig, write_hive,
    write_indexed_text, write_rows, write_text, write_vcf,
};
pub use import::{
    ImportError, ImportOptions, Imported, LabelledRow, LabelledRows, TableRow, TableRows, import,
};
pub use query::{
    ANSWER_COLUMNS, Filter, FilterError, QueryPlan, Request, Rows, SegmentReader, SegmentRows, TRACKS_KEY,
    WideRows, answer_schema, wide_schema,
};
pub use reference::{FastaPiece, Reference, ReferenceError, read_fasta, sequence_digest};
pub use store::{
    AblationRow, Access, Compacted, Damage, Disk, EmbeddingRow, FileSystem, Guard, Lock, Medium, MediumFile,
    ScoreRow, Snapshot, Store, StoreError, Writer, ablation_batch, check_track, embedding_batch, score_batch,
};
pub use study::study_report;
pub use variants::{
    Allele, InputError, Listed, Normalized, Plan, PlanError, PlanOptions, Planned, PlannedRows, Record,
    RefMismatch, Rejection, Report, ReportError, SpillError, VariantSource, normalize, read_bed,
};
