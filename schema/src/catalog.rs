//! The tables of the catalog. Values are JSON, so that any redb reader can make sense of them.

use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use crate::assembly::Assembly;
use crate::digest::Digest;
use crate::segment::Table;
use crate::shard::Shard;

/// Single records: [`FORMAT`], [`STORE`], [`NEXT_SEGMENT`].
pub const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Model name to [`crate::Model`].
pub const MODELS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("models");
/// Track name to [`crate::Track`].
pub const TRACKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tracks");
/// Table name, track name, contig index, 0-based first position, number: to [`crate::Segment`].
pub const SEGMENTS: TableDefinition<'_, SegmentKey, &[u8]> = TableDefinition::new("segments");
/// Run number to [`Run`].
pub const RUNS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("runs");
/// Kind, name and part: to [`crate::ReportRecord`].
pub const REPORTS: TableDefinition<'_, ReportKey, &[u8]> = TableDefinition::new("reports");
/// Digest of a gene table to its [`crate::GeneTableRecord`]; absent until the first is added.
pub const GENES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("genes");
/// Study name to the study, in stores from before [`REPORTS`].
pub const STUDIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("studies");
/// Study name, variation in words, seed: to the run, in stores from before [`REPORTS`].
pub const STUDY_RUNS: TableDefinition<'_, StudyRunKey, &[u8]> = TableDefinition::new("study_runs");
/// Digest of the names of targets, in hexadecimal, to the names, in stores that have tracks with effects.
pub const TARGETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("targets");
/// Track name and score column to the [`crate::Calibration`]; absent until the first is made.
pub const CALIBRATIONS: TableDefinition<'_, CalibrationKey, &[u8]> = TableDefinition::new("calibrations");
/// Digest of a distribution, in hexadecimal, to the distribution, of stores with calibrations.
pub const DISTRIBUTIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("distributions");
/// Path of a segment that no table names any more, to the Unix second in which that happened. Its file
/// is deleted after a grace period, so that readers of an older snapshot find it.
pub const RETIRED: TableDefinition<'_, &str, u64> = TableDefinition::new("retired");

/// Key of the segments table. Segments of one table, track and contig stand together by position.
pub type SegmentKey = (&'static str, &'static str, u32, u32, u64);

/// Key of the table of reports.
pub type ReportKey = (&'static str, &'static str, &'static str);

/// Key of the table of calibrations.
pub type CalibrationKey = (&'static str, &'static str);

/// Key of the older table of a study's runs.
pub type StudyRunKey = (&'static str, &'static str, u64);

/// Key in [`META`] of the [`crate::Format`].
pub const FORMAT: &str = "format";
/// Key in [`META`] of the [`StoreRecord`].
pub const STORE: &str = "store";
/// Key in [`META`] of the number that the next segment gets, JSON.
pub const NEXT_SEGMENT: &str = "next_segment";

/// What a store is about: one reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// Where the reference lies: absolute, or relative to the store where it is `copied`.
    pub reference: String,
    /// Whether the reference is a copy inside the store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied: bool,
    /// Its contigs with their digests.
    pub assembly: Assembly,
}

/// One invocation that wrote rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Number in the catalog.
    pub number: u64,
    /// Track that it wrote.
    pub track: String,
    /// Table that it wrote.
    pub table: Table,
    /// Digest of the plan: every normalized variant in order.
    pub plan: Digest,
    /// Which part of the plan it scored, of a run that did not score all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Whether it wrote embeddings beside scores.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub embeddings: bool,
    /// Variants of its plan, or of the part that it scored; runs of a whole plan of older programs do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<u64>,
    /// Digest of the contents of the store that it was merged from, of a run in another store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Digest>,
    /// Version of the program.
    pub program: String,
    /// Where it computed: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of the model.
    pub threads: u32,
    /// Most tokens of one batch, of a model that reads tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<u32>,
    /// When it started, in Unix seconds.
    pub started: u64,
    /// When it ended, if it did; a run that was killed has no end.
    pub finished: Option<u64>,
    /// Units of its plan.
    pub units: u64,
    /// Units that it committed itself.
    pub committed: u64,
    /// Rows that it committed itself.
    pub rows: u64,
    /// What is worth knowing later, such as a halved batch.
    pub remarks: Vec<String>,
    /// Of a run of ablations: how far each layer moved the hidden states of what was committed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerRecord>,
}

/// How far one layer moves hidden states, in the undisturbed model. Two proxies of a layer's importance that
/// cost nothing beside the ablation itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Original number of the layer.
    pub layer: u32,
    /// Forward passes that the means are taken over.
    pub passes: u64,
    /// Block influence: 1 − the mean cosine between a token's hidden states before and after the layer.
    pub block_influence: f64,
    /// Mean angle between these, as a share of a half turn.
    pub angular_distance: f64,
}
