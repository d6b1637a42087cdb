//! Training: data, masks, schedule, optimizer, and the loop that can be cut off and gone on with.

mod adamw;
mod alleles;
mod curve;
mod examples;
mod figures;
mod files;
mod finetune;
mod genome;
mod initial;
mod judge;
mod lock;
mod masking;
mod memory;
mod network;
mod objective;
mod pretrain;
mod published;
mod schedule;
mod start;
mod state;
mod stretches;
mod tuning;
mod windows;

pub use adamw::AdamWOptions;
pub use alleles::{AlleleCounts, Alleles, AllelesError};
pub(crate) use examples::order;
pub use examples::{Example, TuningTask};
pub use figures::{TuningFigure, tuning_metrics};
pub use files::{FilesError, is_trained};
pub use finetune::{Finetuned, Finetuning, finetune};
pub use genome::{Genome, GenomeError};
pub(crate) use judge::Judge;
pub use masking::Masked;
pub use pretrain::{
    PretrainError, Pretrained, PretrainingData, PretrainingPlan, PretrainingRun, TrainingResult, pretrain,
    training_batch,
};
pub use schedule::{Decay, LengthWarmup, Schedule};
pub use state::{LossPoint, StateError};
pub use stretches::Stretches;
pub use tuning::{TuningData, TuningError, TuningInput, TuningMethod, TuningPlan, TuningResult};
pub use windows::WindowsError;
