//! Training: data, masks, schedule, optimizer, and the loop that can be cut off and gone on with.

mod adamw;
mod alleles;
mod curve;
mod files;
mod genome;
mod initial;
mod masking;
mod network;
mod pretrain;
mod schedule;
mod state;
mod stretches;
mod windows;

pub use adamw::AdamWOptions;
pub use alleles::{AlleleCounts, Alleles, AllelesError};
pub use files::FilesError;
pub use genome::{Genome, GenomeError};
pub use masking::Masked;
pub use pretrain::{
    PretrainError, Pretrained, PretrainingData, PretrainingPlan, PretrainingRun, TrainingResult, pretrain,
    training_batch,
};
pub use schedule::{Decay, LengthWarmup, Schedule};
pub use state::{LossPoint, StateError};
pub use stretches::Stretches;
pub use windows::WindowsError;
