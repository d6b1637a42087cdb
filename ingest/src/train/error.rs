//! What can go wrong in a training.

use std::fmt::Display;
use std::path::PathBuf;

use tch::TchError;
use thiserror::Error;
use vestore::ReferenceError;

use super::pretrain::WindowsError;
use super::run_directory::RunDirectoryError;
use super::state::StateError;
use crate::coverage::CoverageError;
use crate::error::ModelError;
use crate::regulatory::TargetsFileError;
use crate::tokenize::TokenizerError;

/// Why a training cannot begin or continue.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting out of its range.
    #[error("the {setting} is {found}; expected {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The tokenizer has no token that hides another.
    #[error("the tokenizer has no mask token; add `<mask>` or `[MASK]` to its vocabulary")]
    NoMask,
    /// Nothing to learn from, or to stop by.
    #[error("there are no {which} examples; give the data another split")]
    NoExamples {
        /// `training` or `validation`.
        which: &'static str,
    },
    /// The difference needs two windows.
    #[error(
        "the input is the difference of two windows, and example {place} has one; tune on the alternate alone"
    )]
    NoReference {
        /// Number of the example, from 0.
        place: usize,
    },
    /// An adapter's file cannot say that the head has other outputs than the base's configuration says.
    #[error(
        "the model's config.json says `problem_type` {problem}, and a tuned head gives classes or one number; \
         tune all its weights (--method full), or set `problem_type` to null and add it as another model"
    )]
    OtherOutputs {
        /// What it says.
        problem: &'static str,
    },
    /// A model takes one adapter.
    #[error("the model is adapted already, and a model takes one adapter; tune its parent")]
    Adapted,
    /// No module of that name.
    #[error("no module of a layer ends in `{found}`; expected one of {}", known.join(", "))]
    NoTarget {
        /// What was given.
        found: String,
        /// The modules of a layer.
        known: Vec<String>,
    },
    /// A window of more tokens than the model takes.
    #[error("a window of {bases} bases has {tokens} tokens and the model takes {limit}; use shorter windows")]
    TooLong {
        /// Tokens.
        tokens: usize,
        /// The model's limit.
        limit: u32,
        /// Bases.
        bases: usize,
    },
    /// The loss is not a number any more.
    #[error(
        "at step {step} the loss is {loss} and the gradient norm {gradient}; use a lower --learning-rate or a longer \
         --warmup, with another --output"
    )]
    Diverged {
        /// Steps made.
        step: u64,
        /// The mean loss.
        loss: f64,
        /// The gradient norm; NaN where it was not computed.
        gradient: f64,
    },
    /// A tuned model that cannot score.
    #[error(
        "the {what} of the tuned model are not finite numbers, and nothing was written; use a lower --learning-rate, or \
         labels of a smaller range"
    )]
    NotFinite {
        /// `weights` or `predictions`.
        what: &'static str,
    },
    /// The model cannot be opened or computed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No window can be drawn.
    #[error(transparent)]
    Windows(#[from] WindowsError),
    /// A window is not DNA.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The run directory cannot be used.
    #[error(transparent)]
    RunDirectory(#[from] RunDirectoryError),
    /// The table of targets was edited after it was read.
    #[error("{} changed while it was read; run the command again", file.display())]
    ChangedTargets {
        /// The table.
        file: PathBuf,
    },
    /// The network has no place for what the method trains.
    #[error(
        "{family} has no convolutions before a maximum pool, which houlsby-se needs; use --method houlsby"
    )]
    NoGates {
        /// The model's family.
        family: &'static str,
    },
    /// The table of targets cannot be read.
    #[error(transparent)]
    Targets(#[from] TargetsFileError),
    /// What was measured cannot be read.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// Bases cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}

impl TrainError {
    /// A setting out of its range, as a result.
    pub(super) fn setting<T>(
        setting: &'static str,
        found: impl Display,
        expected: &str,
    ) -> Result<T, TrainError> {
        Err(Self::Setting { setting, found: found.to_string(), expected: expected.to_owned() })
    }
}
