//! What lies in the folder of a checkpoint or adapter, whatever its architecture: named tensors in safetensors, torch's
//! `.bin` or shards, configuration, model card, and the names that wrappers write. Nothing here knows a family.

mod archive;
mod card;
mod config_file;
mod digest;
mod error;
mod files;
mod names;
mod pickle;
mod source;
mod tensor;
mod text;
mod weights;

pub(crate) use card::{card_field, card_license};
pub(crate) use config_file::ConfigFile;
pub(crate) use digest::{Hash, digest, tensor_line};
pub use error::CheckpointError;
pub use files::model_files;
pub(crate) use files::{ADAPTER_STEMS, CHECKPOINT_STEMS, NAMES, code, plain_file};
pub(crate) use names::{BaseNames, check_prefix, current, unwrap, without_compiled};
pub use pickle::PickleError;
pub use source::{ModelSource, source_of};
pub(crate) use tensor::StoredTensor;
pub use tensor::TensorDtype;
pub(crate) use text::{has_file, read_text};
pub(crate) use weights::{Checkpoint, Found, to_tensor, weight_map, weight_names};
