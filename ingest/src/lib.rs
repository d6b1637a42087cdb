//! The engine of vestore: windows, tokens, batches, models, scores, training.

mod adapter;
mod batch;
mod device;
mod model;
mod score;
pub mod synthetic;
mod tokenize;

pub use adapter::AdapterError;
pub use device::{DeviceError, device};
pub use model::checkpoint::{CheckpointError, Dtype};
pub use model::config::{Activation, EncoderConfig, NormPlacement, Positions};
pub use model::error::ModelError;
pub use model::identity::hexadecimal;
pub use model::layers::LayersError;
pub use model::pickle::PickleError;
pub use model::source::{AdapterLayers, ModelSource};
pub use model::{Description, Model, describe};
pub use score::kind::{ScoreKind, Strands};
pub use score::{
    Embedding, GridWindow, Outputs, Recipe, Row, ScoreError, WindowPair, Work, finish, grid_window_start,
    prepare, run,
};
pub use tch::{Device, Kind};
pub use tokenize::{
    BaseTokenizer, BpeTokenizer, KmerTokenizer, SpecialOrder, Tokenizer, TokenizerError, TokenizerKind,
    Tokens, complement, reverse_complement,
};
