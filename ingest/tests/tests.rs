//! The tests of the engine, one program.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests convert small numbers of their own"
)]

mod ablation;
mod adapters;
mod arithmetic;
mod checkpoints;
mod engines;
mod finetuning;
mod golden;
mod hostile;
mod memory;
mod mutations;
mod one_hot;
mod scores;
mod tokenizer_training;
mod tokenizers;
mod training;

mod support {
    pub(crate) mod dna;
    pub(crate) mod files;
    pub(crate) mod float64;

    pub(crate) use files::*;
}
