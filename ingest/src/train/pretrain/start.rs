//! What a pretraining starts from: a configuration and a tokenizer, and the weights of the same folder or random ones.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::initial::initial_weights;
use crate::checkpoint::ModelSource;
use crate::checkpoint::plain_file;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::encoder::model::describe;
use crate::error::ModelError;
use crate::tensor_file::write_safetensors;
use crate::train::run_directory::{COPIED, RunDirectoryError, copy_file, exists, io_error};
use crate::train::state::replace;
use vestore_schema::hexadecimal;

/// The folder that a pretraining starts from.
pub(super) struct Start<'a> {
    folder: &'a Path,
    /// Names and contents of the small files.
    contents: Vec<(&'static str, Vec<u8>)>,
    has_weights: bool,
    digest: String,
}

impl<'a> Start<'a> {
    /// Reads the configuration and the tokenizer's files of `folder`.
    pub(super) fn read(folder: &'a Path) -> Result<Self, RunDirectoryError> {
        let mut contents = Vec::new();
        for name in COPIED {
            let Some(file) = plain_file(folder, name).map_err(ModelError::from)? else {
                if name == "config.json" {
                    return Err(io_error(&folder.join(name))(io::ErrorKind::NotFound.into()));
                }
                continue;
            };
            contents.push((name, std::fs::read(&file).map_err(io_error(&file))?));
        }
        let mut hash = Sha256::new();
        for (name, bytes) in &contents {
            hash.update(name.as_bytes());
            hash.update(Sha256::digest(bytes));
        }
        let has_weights = match Checkpoint::open(folder, "model", "pytorch_model") {
            Err(CheckpointError::NoWeights { .. }) => false,
            Err(error) => return Err(ModelError::from(error).into()),
            Ok(_) => true,
        };
        if has_weights {
            hash.update(describe(&ModelSource::new(folder))?.id);
        }
        Ok(Self { folder, contents, has_weights, digest: hexadecimal(&hash.finalize()) })
    }

    /// SHA-256 over what the training starts from, without random weights, which a seed stands for.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes the small files into `working`, and random weights of `seed` where the folder has none; returns the
    /// folder of the checkpoint to start from.
    pub(super) fn write(&self, working: &Path, seed: u64) -> Result<PathBuf, RunDirectoryError> {
        for (name, bytes) in &self.contents {
            let file = working.join(name);
            replace(&file, bytes).map_err(io_error(&file))?;
        }
        if self.has_weights {
            return Ok(self.folder.to_owned());
        }
        let file = working.join("model.safetensors");
        write_safetensors(&file, &initial_weights(self.folder, seed)?).map_err(io_error(&file))?;
        Ok(working.to_owned())
    }
}

/// Copies the small files from `working` beside the trained weights.
pub(super) fn copy(working: &Path, output: &Path) -> Result<(), RunDirectoryError> {
    for name in COPIED {
        let from = working.join(name);
        if exists(&from)? {
            copy_file(&from, &output.join(name))?;
        }
    }
    Ok(())
}
