//! vestore: an embedded store for variant effects scored by genomic language models.
//!
//! A [`Store`] is one folder: a redb catalog over immutable Parquet segments. This crate reads genome
//! files, commits segments, answers queries and exports; the engine that scores is another crate.

mod export;
#[cfg(test)]
mod fixture;
mod query;
mod reference;
mod store;
mod variants;

pub use export::{ExportError, Format, write_rows};
pub use query::{
    ANSWER_COLUMNS, QueryPlan, Request, Rows, SegmentReader, SegmentRows, TRACKS_KEY, answer_schema,
};
pub use reference::{Reference, ReferenceError};
pub use store::{
    AblationRow, Access, Damage, Disk, EmbeddingRow, Guard, Lock, Medium, MediumFile, ScoreRow, Snapshot,
    Store, StoreError, Writer, ablation_batch, check_track, embedding_batch, score_batch,
};
pub use variants::{
    Allele, InputError, Listed, Normalized, Plan, PlanError, PlanOptions, Planned, PlannedRows, Record,
    RefMismatch, Rejection, Report, ReportError, SpillError, VariantSource, normalize, read_bed,
};
