//! How well a model knows DNA: the loss of hidden bases, with intervals, beside models that count contexts.

mod comparison;
mod context;
mod losses;
mod masked;

pub use comparison::LossComparison;
pub use context::{ContextModel, MAX_ORDER};
pub use losses::{BaseSet, Interval, Loss, Losses};
pub use masked::{MaskedOptions, masked_losses};

use tch::TchError;
use thiserror::Error;

use crate::error::ModelError;
use crate::tokenize::TokenizerError;

/// Why a model cannot be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The tokenizer has no token that hides another.
    #[error("the tokenizer has no mask token")]
    NoMask,
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}
