//! vestore: an embedded store for variant effects scored by genomic language models.
//!
//! A [`Store`] is one folder: a redb catalog over immutable Parquet segments. This crate reads genome
//! files, commits segments, answers queries and exports; the engine that scores is another crate.

mod export;
mod query;
mod store;

pub use export::{ExportError, Format, write_rows};
pub use query::{ANSWER_COLUMNS, Plan, Request, Rows, SegmentReader, SegmentRows, TRACKS_KEY, answer_schema};
pub use store::{
    Access, Damage, Disk, Guard, Lock, Medium, MediumFile, ScoreRow, Snapshot, Store, StoreError, Writer,
    check_track, score_batch,
};
