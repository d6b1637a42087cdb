//! Training: one loop, its state on disk, its optimizer and its network of leaves; beside each other, pretraining of
//! masked language models, fine-tuning of heads and transfer of regulatory models.

mod adamw;
mod card;
mod course;
mod curve;
mod error;
mod finetune;
mod leaves;
mod lock;
mod memory;
mod network;
mod pretrain;
mod run_directory;
mod schedule;
mod state;
mod trainer;
mod transfer;

pub use adamw::AdamWOptions;
pub use error::TrainError;
pub(crate) use finetune::TunedModel;
pub use finetune::{
    Finetuned, Finetuning, TuningData, TuningFigure, TuningInput, TuningMethod, TuningPlan, TuningResult,
    finetune, tuned_record, tuning_metrics,
};
pub(crate) use lock::FolderLock;
pub use pretrain::{
    AlleleCounts, Alleles, AllelesError, Masked, Pretrained, PretrainingData, PretrainingPlan,
    PretrainingResult, PretrainingRun, WindowsError, pretrain, training_batch,
};
pub(crate) use run_directory::check_own;
pub use run_directory::{RunDirectoryError, is_trained};
pub use schedule::{Decay, LengthWarmup, Schedule};
pub use state::{LossPoint, StateError};
pub use transfer::{
    TransferData, TransferFigures, TransferMethod, TransferPlan, TransferRun, Transferred, check_transfer,
    transfer, transfer_identity, transfer_metrics, transfer_record, transfer_settings,
};
pub(crate) use transfer::{coverage_figures, coverage_loss, transfer_collected};
