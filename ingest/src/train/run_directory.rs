//! The folder that a training writes to: until the model is whole, what it starts from and its state are in
//! `training/`; only then does the folder hold a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::curve::plot_losses;
use super::lock::FolderLock;
use super::state::{LossPoint, StateError, difference, replace};
use crate::error::ModelError;

/// Files that make a checkpoint besides its weights, as far as they are there.
pub(super) const COPIED: [&str; 5] =
    ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/// What was trained how, and what came of it.
pub(crate) const RECORD: &str = "training.json";

/// Why the folder that a training writes to cannot be used.
#[derive(Debug, Error)]
pub enum RunDirectoryError {
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
        "`{}` holds `{name}`, which was not written by a training and would be overwritten; give another --output",
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
    /// A catalog holds text.
    #[error("{} is not valid UTF-8; rename it", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The config.json to start from is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Values that a transfer collects, in `training/`.
const COVERAGE: &str = "coverage.values";

/// The table of a transfer's targets, as the models' authors call it.
pub(super) const TARGETS: &str = "targets.txt";

/// Refuses a folder below `output`, which will be removed, where it holds anything but what `own` names.
pub(crate) fn check_own(
    output: &Path,
    folder: &Path,
    own: impl Fn(&str) -> bool,
) -> Result<(), RunDirectoryError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(folder)(error)),
    };
    for entry in entries {
        let name = entry.map_err(io_error(folder))?.file_name().to_string_lossy().into_owned();
        if !own(&name) {
            let place = folder.strip_prefix(output).unwrap_or(folder).join(name);
            let name = place.to_string_lossy().into_owned();
            return Err(RunDirectoryError::Occupied { output: output.to_owned(), name });
        }
    }
    Ok(())
}

/// Further files that a training writes.
const WRITTEN: [&str; 5] = ["adapter_config.json", "README.md", TARGETS, MERGED, CURVE];

/// Folder of a whole checkpoint beside an adapter, with the adapter merged.
pub(super) const MERGED: &str = "merged";

/// The picture of the losses.
const CURVE: &str = "loss.svg";

/// Whether a folder holds a model that was trained here and is whole.
#[must_use]
pub fn is_trained(output: &Path) -> bool {
    output.join(RECORD).is_file()
}

/// Whether a file exists; an error where that cannot be found out.
pub(super) fn exists(file: &Path) -> Result<bool, RunDirectoryError> {
    file.try_exists().map_err(io_error(file))
}

/// Makes the system's refusal of `file` an error.
pub(super) fn io_error(file: &Path) -> impl FnOnce(io::Error) -> RunDirectoryError {
    let file = file.to_owned();
    move |source| RunDirectoryError::Io { file, source }
}

/// Copies a small file, durably.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), RunDirectoryError> {
    let bytes = std::fs::read(from).map_err(io_error(from))?;
    replace(to, &bytes).map_err(io_error(to))
}

/// The folder of a training, locked to this process.
pub(super) struct RunDirectory {
    output: PathBuf,
    /// `training/` within it.
    working: PathBuf,
    /// Held until the training ends.
    _lock: FolderLock,
}

impl RunDirectory {
    /// Opens `output`, which is made if needed. A folder with files that no training wrote and this one would overwrite
    /// (one without a record or a state of a training) is refused.
    pub(super) fn open(output: &Path) -> Result<Self, RunDirectoryError> {
        let working = output.join("training");
        check_vacant(output, &working)?;
        let lock = FolderLock::take(output, &working)?;
        Ok(Self { output: output.to_owned(), working, _lock: lock })
    }

    /// The same, which is not the folder of the model that is trained: a record of an earlier training does not make that
    /// a place to write to.
    pub(super) fn open_apart(output: &Path, parent: &Path) -> Result<Self, RunDirectoryError> {
        let place = |folder: &Path| folder.canonicalize().ok();
        if place(output).is_some_and(|output| Some(output) == place(parent)) {
            let name = "config.json".to_owned();
            return Err(RunDirectoryError::Occupied { output: output.to_owned(), name });
        }
        Self::open(output)
    }

    /// Where the finished model is written.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// Where everything is until the training ends; removed then.
    pub(super) fn working(&self) -> &Path {
        &self.working
    }

    /// The file of the training state.
    pub(super) fn state(&self) -> PathBuf {
        self.working.join("state.safetensors")
    }

    /// The result of the training if it is whole; the model of another training is an error. Its state is removed
    /// where that was not yet done.
    pub(super) fn finished<T: DeserializeOwned>(
        &self,
        record: &Value,
    ) -> Result<Option<T>, RunDirectoryError> {
        let Self { output, working, .. } = self;
        let file = output.join(RECORD);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RunDirectoryError::Io { file, source }),
        };
        let occupied = || RunDirectoryError::Occupied { output: output.clone(), name: RECORD.to_owned() };
        let found: Value = serde_json::from_slice(&text).map_err(|_| occupied())?;
        let (Some(made), Some(result)) = (found.get("training"), found.get("result")) else {
            return Err(occupied());
        };
        if made != record {
            let difference = difference(made, record);
            return Err(RunDirectoryError::OtherPlan { output: output.clone(), difference });
        }
        let result = serde_json::from_value(result.clone()).map_err(|_| occupied())?;
        match std::fs::remove_dir_all(working) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(working)(error)),
            _ => Ok(Some(result)),
        }
    }

    /// Draws the losses into `loss.svg`.
    pub(super) fn draw_losses(
        &self,
        losses: &[LossPoint],
        held_out: &[LossPoint],
    ) -> Result<(), RunDirectoryError> {
        let file = self.output.join(CURVE);
        let svg = plot_losses(losses, held_out)
            .map_err(|error| RunDirectoryError::Curve { file: file.clone(), reason: error.to_string() })?;
        replace(&file, svg.as_bytes()).map_err(io_error(&file))
    }

    /// Writes what was trained how and the result, and removes the state: the last step of a training.
    pub(super) fn finish<T: Serialize>(&self, record: &Value, result: &T) -> Result<(), RunDirectoryError> {
        let text = format!("{:#}\n", json!({ "training": record, "result": result }));
        let file = self.output.join(RECORD);
        replace(&file, text.as_bytes()).map_err(io_error(&file))?;
        std::fs::remove_dir_all(&self.working).map_err(io_error(&self.working))
    }
}

/// Whether a training wrote a file or folder of this name into `training/`.
fn is_of_training(name: &str) -> bool {
    let known = ["lock", "adapter", "model.safetensors", "state.safetensors", COVERAGE, TARGETS];
    let end = [".partial", ".py"].iter().any(|end| name.ends_with(end));
    end || known.iter().chain(&COPIED).any(|own| *own == name)
}

fn check_vacant(output: &Path, working: &Path) -> Result<(), RunDirectoryError> {
    check_own(output, working, is_of_training)?;
    let ours = exists(&output.join(RECORD))? || exists(working)?;
    let model = |name: std::ffi::OsString| {
        let name = name.to_string_lossy().into_owned();
        let weights = [".safetensors", ".bin", ".pt", ".pth", ".py"].iter().any(|end| name.ends_with(end));
        let written = weights || COPIED.iter().chain(&WRITTEN).any(|own| *own == name);
        written.then_some(name)
    };
    let entries = match std::fs::read_dir(output) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(output)(error)),
    };
    for entry in entries {
        if let (Some(name), false) = (model(entry.map_err(io_error(output))?.file_name()), ours) {
            return Err(RunDirectoryError::Occupied { output: output.to_owned(), name });
        }
    }
    Ok(())
}
