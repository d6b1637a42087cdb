//! The engine of vestore: windows, tokens, batches, models, scores, training.

mod adapter;
mod device;
mod model;
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
pub use tch::{Device, Kind};
pub use tokenize::{
    BaseTokenizer, BpeTokenizer, KmerTokenizer, SpecialOrder, Tokenizer, TokenizerError, TokenizerKind,
    Tokens, complement, reverse_complement,
};
