//! The folder of a training: what it starts from and its state lie in `training/` until the model is whole;
//! only then does the folder hold a checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tch::Tensor;
use thiserror::Error;

use super::curve::plot_losses;
use super::initial::initial_weights;
use super::lock::FolderLock;
use super::network::Network;
use super::pretrain::TrainingResult;
use super::state::{LossPoint, StateError, difference, replace, write_tensors};
use crate::model::checkpoint::{Checkpoint, CheckpointError};
use crate::model::describe;
use crate::model::error::ModelError;
use crate::model::files::plain_file;
use crate::model::identity::hexadecimal;
use crate::model::source::ModelSource;
use crate::synthetic::write_safetensors;

/// Files that make a checkpoint besides its weights, as far as they are there.
pub(crate) const COPIED: [&str; 5] =
    ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/// What was trained how, and what came of it.
pub(crate) const RECORD: &str = "training.json";

/// Why the folder of a training cannot be used.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The operating system refused.
    #[error("cannot use `{}`", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder holds something else.
    #[error(
        "`{}` holds `{name}`, which no training here wrote and which would be overwritten; give another --output",
        output.display()
    )]
    Occupied {
        /// The folder.
        output: PathBuf,
        /// The first such file.
        name: String,
    },
    /// Another process trains there.
    #[error("`{}` is being trained by {holder}; wait for it to end, or give another --output", output.display())]
    Locked {
        /// The folder.
        output: PathBuf,
        /// Command, process, host.
        holder: String,
    },
    /// The folder holds the model of another training.
    #[error(
        "`{}` holds the model of a training with other settings ({difference}); give another --output",
        output.display()
    )]
    OtherPlan {
        /// The folder.
        output: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// The picture cannot be written.
    #[error("cannot draw `{}`: {reason}", file.display())]
    Curve {
        /// The file.
        file: PathBuf,
        /// What the drawing library said.
        reason: String,
    },
    /// The config.json to start from is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Further files that a training writes.
const WRITTEN: [&str; 3] = ["adapter_config.json", "README.md", CURVE];

/// The picture of the losses.
const CURVE: &str = "loss.svg";

/// Whether a folder holds a model that was trained here and is whole.
#[must_use]
pub fn is_trained(output: &Path) -> bool {
    output.join(RECORD).is_file()
}

/// Whether something is there; an error where that cannot be found out.
fn is_there(file: &Path) -> Result<bool, FilesError> {
    file.try_exists().map_err(|source| FilesError::Io { file: file.to_owned(), source })
}

/// Refuses a folder that holds files of somebody else which a training would overwrite: one without a record of its
/// training, or its state.
pub(crate) fn check_vacant(output: &Path, working: &Path) -> Result<(), FilesError> {
    let ours = is_there(&output.join(RECORD))? || is_there(working)?;
    let model = |name: std::ffi::OsString| {
        let name = name.to_string_lossy().into_owned();
        let weights = [".safetensors", ".bin", ".pt", ".pth", ".py"].iter().any(|end| name.ends_with(end));
        let written = weights || COPIED.iter().chain(&WRITTEN).any(|own| *own == name);
        written.then_some(name)
    };
    let io = |source| FilesError::Io { file: output.to_owned(), source };
    let entries = match std::fs::read_dir(output) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        if let (Some(name), false) = (model(entry.map_err(io)?.file_name()), ours) {
            return Err(FilesError::Occupied { output: output.to_owned(), name });
        }
    }
    Ok(())
}

/// What came of the training that `output` holds whole, if it does; another training's model is an error.
/// Its state is taken away where that was still to be done.
pub(crate) fn finished<T: DeserializeOwned>(
    output: &Path,
    working: &Path,
    record: &Value,
) -> Result<Option<T>, FilesError> {
    let file = output.join(RECORD);
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FilesError::Io { file, source }),
    };
    let occupied = || FilesError::Occupied { output: output.to_owned(), name: RECORD.to_owned() };
    let found: Value = serde_json::from_slice(&text).map_err(|_| occupied())?;
    let (Some(made), Some(result)) = (found.get("training"), found.get("result")) else {
        return Err(occupied());
    };
    if made != record {
        let difference = difference(made, record);
        return Err(FilesError::OtherPlan { output: output.to_owned(), difference });
    }
    let result = serde_json::from_value(result.clone()).map_err(|_| occupied())?;
    match std::fs::remove_dir_all(working) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FilesError::Io { file: working.to_owned(), source: error })
        }
        _ => Ok(Some(result)),
    }
}

/// Writes what was trained how and what came of it, and takes the state away: the last step of a training.
pub(crate) fn finish<T: Serialize>(
    output: &Path,
    working: &Path,
    record: &Value,
    result: &T,
) -> Result<(), FilesError> {
    let text = format!("{:#}\n", json!({ "training": record, "result": result }));
    let file = output.join(RECORD);
    let io = |file: PathBuf| move |source| FilesError::Io { file, source };
    replace(&file, text.as_bytes()).map_err(io(file.clone()))?;
    std::fs::remove_dir_all(working).map_err(io(working.to_owned()))
}

/// Copies a small file, durably.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), FilesError> {
    let bytes = std::fs::read(from).map_err(|source| FilesError::Io { file: from.to_owned(), source })?;
    replace(to, &bytes).map_err(|source| FilesError::Io { file: to.to_owned(), source })
}

/// Draws the losses of a training into `loss.svg`.
pub(crate) fn draw_losses(
    output: &Path,
    losses: &[LossPoint],
    held_out: &[LossPoint],
) -> Result<(), FilesError> {
    let file = output.join(CURVE);
    let svg = plot_losses(losses, held_out)
        .map_err(|error| FilesError::Curve { file: file.clone(), reason: error.to_string() })?;
    replace(&file, svg.as_bytes()).map_err(|source| FilesError::Io { file, source })
}

/// The folder of a training.
pub(crate) struct Files {
    output: PathBuf,
    /// Where configuration, tokenizer, first random weights and the state lie.
    working: PathBuf,
    /// The checkpoint to start from.
    start: PathBuf,
    digest: String,
    /// Held until the training ends.
    _lock: FolderLock,
}

impl Files {
    /// Sees to it that the checkpoint to start from is there: the weights of `start`, or random ones of `seed`
    /// for its config.json.
    pub(crate) fn prepare(start: &Path, output: &Path, seed: u64) -> Result<Self, FilesError> {
        let working = output.join("training");
        let io = |file: &Path| {
            let file = file.to_owned();
            move |source| FilesError::Io { file, source }
        };
        check_vacant(output, &working)?;
        let mut hash = Sha256::new();
        let mut contents = Vec::new();
        for name in COPIED {
            let Some(file) = plain_file(start, name).map_err(ModelError::from)? else {
                if name == "config.json" {
                    return Err(io(&start.join(name))(io::ErrorKind::NotFound.into()));
                }
                continue;
            };
            contents.push((name, std::fs::read(&file).map_err(io(&file))?));
        }
        for (name, bytes) in &contents {
            hash.update(name.as_bytes());
            hash.update(Sha256::digest(bytes));
        }
        let trained = match Checkpoint::open(start, "model", "pytorch_model") {
            Err(CheckpointError::NoWeights { .. }) => false,
            Err(error) => return Err(ModelError::from(error).into()),
            Ok(_) => true,
        };
        if trained {
            hash.update(describe(&ModelSource::new(start))?.id);
        }
        let lock = FolderLock::take(output, &working)?;
        let files = Self {
            _lock: lock,
            output: output.to_owned(),
            digest: hexadecimal(&hash.finalize()),
            start: if trained { start.to_owned() } else { working.clone() },
            working,
        };
        if is_there(&output.join(RECORD))? {
            return Ok(files);
        }
        std::fs::create_dir_all(&files.working).map_err(io(&files.working))?;
        for (name, bytes) in &contents {
            let file = files.working.join(name);
            replace(&file, bytes).map_err(io(&file))?;
        }
        if !trained {
            let file = files.working.join("model.safetensors");
            write_safetensors(&file, &initial_weights(start, seed)?).map_err(io(&file))?;
        }
        Ok(files)
    }

    /// SHA-256 over what the training starts from, less random weights, which a seed stands for.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The checkpoint to start from.
    pub(crate) fn checkpoint(&self) -> &Path {
        &self.start
    }

    /// Where the state is kept.
    pub(crate) fn state(&self) -> PathBuf {
        self.working.join("state.safetensors")
    }

    /// What came of the training if it is whole; another training's model is an error.
    pub(crate) fn finished(&self, record: &Value) -> Result<Option<TrainingResult>, FilesError> {
        finished(&self.output, &self.working, record)
    }

    /// Writes the model, its loss curve and what made it, and takes the state away.
    pub(crate) fn finish(
        &self,
        network: &Network,
        record: &Value,
        result: &TrainingResult,
    ) -> Result<(), FilesError> {
        for name in COPIED {
            let from = self.working.join(name);
            if is_there(&from)? {
                copy(&from, &self.output.join(name))?;
            }
        }
        let weights: BTreeMap<String, &Tensor> =
            network.weights().iter().map(|(name, weight)| (network.published(name), weight)).collect();
        // transformers refuses files that do not say whose tensors they are.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        write_tensors(&self.output.join("model.safetensors"), &weights, metadata)?;
        draw_losses(&self.output, &result.losses, &result.held_out)?;
        finish(&self.output, &self.working, record, result)
    }
}
