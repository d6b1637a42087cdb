//! What can go wrong in a study.

use thiserror::Error;
use vestore::StoreError;

use crate::error::ModelError;
use crate::measure::MeasureError;
use crate::train::TrainError;

/// Why a study cannot begin or continue.
#[derive(Debug, Error)]
pub enum StudyError {
    /// A model without layers to leave out.
    #[error("model `{model}` has one layer; there is nothing to study")]
    OneLayer {
        /// The model.
        model: String,
    },
    /// The study began with another plan.
    #[error(
        "study `{study}` has another plan or model; give the same settings to continue it, another --name, or remove it \
         with `vestore study remove`"
    )]
    OtherPlan {
        /// The study.
        study: String,
    },
    /// The study began elsewhere.
    #[error(
        "study `{study}` began on {device} with {threads} threads; times and last digits would not compare, continue it \
         there"
    )]
    OtherMachine {
        /// The study.
        study: String,
        /// Where it began.
        device: String,
        /// Its threads.
        threads: u32,
    },
    /// A model of the study could not be named.
    #[error("the store already has a model `{model}`; give the study another --name")]
    ModelExists {
        /// The name.
        model: String,
    },
    /// The baseline was removed.
    #[error("the study ranks layers by its baseline `{model}`, which the store no longer has")]
    NoBaseline {
        /// Its name.
        model: String,
    },
    /// Nothing to compare.
    #[error(
        "no ingredient to switch off; give --length-warmup, --repeat-weight, --alleles or --other-tokenizer"
    )]
    NoIngredients,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model cannot be measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}
