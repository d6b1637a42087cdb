//! The family of transformer encoders: DNABERT-2, Nucleotide Transformer, dnaGrinder and what reads tokens as they do.
//! It implements the seam ([`crate::Scorer`], [`crate::Network`]) over [`crate::Model`].

mod cost;
mod defaults;
mod kinds;
pub(crate) mod model;
mod network;
mod pass;
mod record;
mod scorer;
mod window;

pub use cost::cost;
pub use defaults::EncoderDefaults;
pub use kinds::encoder_kinds;
pub use model::config::{Activation, EncoderConfig, NormPlacement, Positions, Problem};
pub use model::{Description, Model, describe};
pub(crate) use network::token_movement;
pub use pass::{CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, TokenOutput, TokenPass};
pub use record::record_of;
pub use scorer::EncoderScorer;
pub use window::{EncoderWindow, GridWindow, grid_window_start};
