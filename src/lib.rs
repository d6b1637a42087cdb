//! vestore: an embedded store for variant effects scored by genomic language models.
//!
//! A [`Store`] is one folder: a redb catalog over immutable Parquet segments. This crate reads genome
//! files, commits segments, answers queries and exports; the engine that scores is another crate.
//!
//! ```
//! use std::sync::Arc;
//!
//! use vestore::{Disk, ImportOptions, QueryPlan, Reference, Request, Store, import};
//! use vestore_schema::{Region, StoreRecord};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let (genome, table) = (folder.path().join("genome.fa"), folder.path().join("scores.tsv"));
//! std::fs::write(&genome, ">1\nACGTACGTACGTACGTACGT\n")?;
//! std::fs::write(&table, "contig\tposition\treference\talternate\tscore\n1\t2\tC\tT\t0.5\n1\t9\tA\tG\t-1.25\n")?;
//!
//! // A store has one reference.
//! let assembly = Reference::open(&genome)?.survey()?;
//! let root = folder.path().join("store");
//! let record = StoreRecord { reference: genome.to_string_lossy().into_owned(), copied: false, assembly };
//! Store::create(&root, Arc::new(Disk::new(&root)), record)?;
//!
//! // Scores that were computed elsewhere become a track.
//! let store = Store::open(&root)?;
//! import(&store, "mine", &table, &ImportOptions::default(), "an example", |_| {})?;
//!
//! // Rows are Arrow record batches.
//! let region = Region::parse("1:1-5", store.assembly())?;
//! let plan = QueryPlan::new(&store, &Request { regions: vec![region], ..Request::default() })?;
//! let rows: usize = plan.rows().map(|batch| Ok(batch?.num_rows())).sum::<Result<_, vestore::StoreError>>()?;
//! assert_eq!(rows, 1);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "the numbers of tests are small"
    )
)]

mod annotate;
mod calibration;
mod certificates;
mod date;
mod diff;
mod export;
mod fidelity;
mod figure;
#[cfg(test)]
mod fixture;
mod genes;
mod grouped;
mod ids;
mod import;
mod interrupt;
mod markup;
mod mean;
mod narrow;
mod ordered;
mod output;
mod query;
mod reference;
mod report;
mod similar;
mod store;
mod variants;
mod view;

pub use annotate::{AnnotateError, Annotated, VariantForm, annotate};
pub use calibration::{CalibrateError, CalibrateOptions, CalibrationTaken, calibrate, remove_calibration};
pub use certificates::{CertificatesError, tls_config};
pub use date::utc;
pub use diff::{Cells, Diff, EffectDiffs, Mover, diff, scatter};
pub use export::{
    ExportError, FileForm, FileFormat, FormError, Format, HubOptions, HubWritten, PositionValue, TextFormat,
    browser_contents, hive_contents, index_ending, visible, visible_lines, write_alternates, write_bedgraph,
    write_bigbed, write_bigwig, write_hive, write_hub, write_indexed_text, write_rows, write_text, write_vcf,
};
pub use fidelity::{
    ColumnFidelity, Criterion, Fidelity, KeptFidelity, LabelledFidelity, PairedFigure, Verdict,
};
pub use figure::{FigureError, FigureFile};
pub use genes::{Gene, GeneTable, read_genes};
pub use grouped::grouped;
pub use ids::rs_number;
pub use import::{
    Duplicates, ImportError, ImportOptions, Imported, KeyColumns, LabelledRow, LabelledRows, ListRule,
    Preset, TableRow, TableRows, import, open_variants,
};
pub use interrupt::on_interrupt;
pub use mean::{MeanError, MeanTaken, mean};
pub use output::{
    Output, OutputError, OutputFolder, OutputRules, check_output_folder, check_published_folder,
    create_folder, remove_unfinished_outputs,
};
pub use query::{
    ANSWER_COLUMNS, Answer, AnswerRows, Batches, EffectOptions, EffectRows, EffectsError, Filter,
    FilterError, HgvsError, PlaceNameError, Places, PlacesError, QueryPlan, Question, QuestionError, Request,
    Rows, SegmentReader, SegmentRows, SortKey, TRACKS_KEY, Unseen, WideRows, answer_schema, is_effect,
    wide_schema,
};
pub use reference::{FastaPiece, Reference, ReferenceError, cache_folder, read_fasta, sequence_digest};
pub use report::{
    Agreement, BaselineFigure, LayerVerdict, Ranking, Study, StudyError, StudyFigure, StudyResult, StudyRun,
    Variation, mean_and_deviation, study_figure, study_report,
};
pub use similar::{Compared, MAX_NEIGHBOURS, Nearness, Similar, SimilarError, SimilarOptions, similar};
pub use store::{
    AblationRow, Access, AddedIds, CalledGene, CalledGenes, Compacted, Damage, Disk, EffectRow, EmbeddingRow,
    FileSystem, GeneEffectRow, Guard, Held, IdsError, Lock, Medium, MediumFile, MergeError, Merged,
    ModelCopy, PublishOptions, PublishedFiles, RowKeys, ScoreRow, Snapshot, Store, StoreError, Writer,
    ablation_batch, check_model, check_track, effect_batches, embedding_batch, gene_effect_batch, remedy_of,
    score_batch,
};
pub use variants::{
    Allele, BedLine, Contigs, HELD_RECORDS, Input as TextInput, InputError, Listed, Normalized,
    NormalizedSite, Plan, PlanError, PlanOptions, Planned, PlannedRows, Record, RecordSite, RefCheck,
    RefComparison, RefDifference, RefMismatch, RefMismatchError, Rejection, Report, ReportError, SpillError,
    VariantRecords, VariantSource, normalize, normalize_sites, plain_text, read_bed,
};
pub use view::{View, ViewError, ViewOptions};
