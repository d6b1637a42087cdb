//! The engine of vestore: windows, models, scores, training, and the pipeline that runs them into a store.
//!
//! Scoring two windows with a checkpoint as Hugging Face publishes it:
//!
//! ```no_run
//! use vestore::Reference;
//! use vestore_ingest::{Device, EncoderScorer, Kind, Model, ModelSource, Scorer, Strands, rows};
//! use vestore_schema::{AblatedPart, Dtype, Position, Recipe, Variant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut reference = Reference::open("genome.fa")?;
//! let assembly = reference.survey()?;
//! let model = Model::load(&ModelSource::new("checkpoint"), Device::Cpu, Kind::Float)?;
//! let recipe = Recipe {
//!     scores: vec!["llr".to_owned()],
//!     window: 600,
//!     strands: Strands::Both,
//!     dtype: Dtype::F32,
//!     precision: None,
//!     part: AblatedPart::default(),
//!     splice: None,
//!     regulatory: None,
//! };
//! let scorer = EncoderScorer::new(&model, &recipe, false, 1536)?;
//! let position = Position::new(43_044_294);
//! let variant = Variant { contig: 0, position, reference: "G".into(), alternate: "A".into() };
//! match scorer.cut(&variant, &mut reference, &assembly)? {
//!     Ok(window) => println!("{:?}: {:?}", scorer.columns(), rows(&scorer, &model, &[window])?[0].values),
//!     Err(status) => println!("not scored: {status}"),
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "tests convert small numbers of their own"
    )
)]

mod ablation;
mod adapter;
mod checkpoint;
mod convert;
mod coverage;
mod dataset;
mod device;
mod encoder;
mod error;
mod evaluate;
mod fidelity;
mod forward;
mod genome;
mod hub;
mod layers;
mod measure;
mod module;
mod pipeline;
mod progress;
mod random;
mod regulatory;
mod seam;
mod splice;
mod study;
#[doc(hidden)]
pub mod synthetic;
mod tensor_file;
mod tokenize;
mod train;
mod window;
mod work;

pub use ablation::{
    Ablated, Figure, Figures, LayerSummary, Movement, Summary, SummaryError, ablate, ablated_tracks, change,
    plot, summarize,
};
pub use adapter::{AdapterError, AdapterKind, Ia3Layers, TransferAdapter};
pub use checkpoint::{CheckpointError, ModelSource, PickleError, TensorDtype, model_files, source_of};
pub use coverage::{
    BinLayout, CoverageError, CoverageFigure, CoverageFigures, CoverageInput, CoverageReport,
    CoverageTargets, CoverageValues, Folds, GeneExpression, GeneGroupFigures, GeneReport, GeneTargetFigures,
    KmerBaseline, KmerSums, RandomSplit, Sequence, Sequences, TargetCoverage, TargetFigures, TileOptions,
};
pub use dataset::{
    Dataset, DatasetCounts, DatasetError, DatasetInput, Example, GroupBy, LabelCounts, LabelRules,
    LabelledWindows, Labels, Leakage, SequenceColumns, Split, SplitOptions, SplitPair, SplitRule, Task,
    TaskKind, TuningTask,
};
pub use device::{DeviceError, device_name, devices, no_gpu, set_tf32, set_threads, threads};
pub use encoder::{
    Activation, CPU_BATCH_TOKENS, Description, EncoderConfig, EncoderDefaults, EncoderScorer, EncoderWindow,
    GPU_BATCH_TOKENS, GridWindow, Model, NormPlacement, Positions, Problem, TokenOutput, TokenPass,
    cost as encoder_cost, describe, encoder_kinds, grid_window_start, record_of,
};
pub use error::ModelError;
pub use evaluate::{
    Baseline, Bootstrap, Comparison, ComparisonRow, CrossValidation, Curves, FeatureKind, Features,
    FeaturesError, FoldsError, Metric, MetricFigure, Probe, ProbeError, Sample, ScoredColumn, plot_curves,
    stored_features, stored_scores,
};
pub use fidelity::{FidelityError, fidelity};
pub use forward::{Launched, Outputs, launch, rows, run};
pub use genome::{Genome, GenomeError, KnownRegions};
pub use hub::{HubError, HubFiles, HubId, HubIdError, HubPart, HubSettings, fetch as fetch_from_hub};
pub use layers::LayersError;
pub use measure::{
    BaseSet, ContextModel, Interval, Loss, LossComparison, Losses, MAX_ORDER, MaskedOptions, MeasureError,
    masked_losses,
};
pub use pipeline::{
    Estimate, Interrupt, Job, Outcome, PipelineError, Stages, UNIT, estimate, new_run, unit_size,
};
pub use progress::Progress;
pub use random::Random;
pub use regulatory::{
    RegulatoryConfig, RegulatoryFamily, RegulatoryModel, RegulatoryOptions, RegulatoryOptionsError,
    RegulatoryOutput, RegulatoryPass, RegulatoryReading, RegulatoryScorer, RegulatoryState, RegulatoryWindow,
    TargetTable, TargetsFileError, TargetsSource, Trunk, WindowState, choose_targets, is_gene_kind,
    is_regulatory_model, regulatory_config, regulatory_cost, regulatory_defaults, regulatory_kinds,
    regulatory_record, regulatory_scores, regulatory_targets, regulatory_window,
};
pub use seam::{Cost, Network, Output, Pass, ScoreError, ScoreKind, Scorer, State, Step};
pub use splice::{
    Alternate, PassState, SPLICE, Sites, SpliceModel, SpliceOptions, SpliceOutput, SplicePass, SpliceReading,
    SpliceScorer, SpliceState, is_splice_model, load_splice_model, splice_columns, splice_cost,
    splice_gene_columns, splice_record,
};
pub use study::{
    CoverageSubject, IngredientRow, IngredientStudy, LayerRanking, LayerStudy, LayerStudyEvent,
    LayerStudyOptions, SeedInterval, StudyError, StudySubject, StudyTraining, check_layers, check_study_name,
    rank_layers,
};
pub use tch::{Device, Kind};
pub use tokenize::{
    BaseTokenizer, BpeTokenizer, CorpusCounts, KmerTokenizer, SpecialOrder, Tokenizer, TokenizerError,
    TokenizerOptions, Tokens, TrainTokenizerError, TrainedTokenizer, complement, reverse_complement,
    train_tokenizer,
};
pub use train::{
    AdamWOptions, AlleleCounts, Alleles, AllelesError, Decay, Finetuned, Finetuning, LengthWarmup, LossPoint,
    Masked, Pretrained, PretrainingData, PretrainingPlan, PretrainingResult, PretrainingRun,
    RunDirectoryError, Schedule, StateError, TrainError, TransferData, TransferFigures, TransferMethod,
    TransferPlan, TransferRun, Transferred, TuningData, TuningFigure, TuningInput, TuningMethod, TuningPlan,
    TuningResult, WindowsError, check_transfer, finetune, is_trained, pretrain, training_batch, transfer,
    transfer_identity, transfer_metrics, transfer_record, transfer_settings, tuned_record, tuning_metrics,
};
pub use vestore_schema::{AblatedPart, Strands};
pub use window::{ContigEnd, WindowCutter, WindowPair};
pub use work::{Embedding, GeneRow, Row, RowPlan, Work};
