//! What a training needs to continue after an interruption: weights, the optimizer's means, the step, and the losses
//! so far, in one safetensors file that is replaced whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};
use thiserror::Error;

use crate::convert::from_dimension;
use crate::tensor_file::safetensors_bytes;

/// Why the state of a training cannot be saved or read.
#[derive(Debug, Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot write or read `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is damaged or of another model.
    #[error("`{}` is not a state of this training ({reason}); remove it to start again", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another training began here.
    #[error(
        "`{}` is of a training with other settings ({difference}); give the same settings to continue it, or \
         another --output", file.display()
    )]
    OtherPlan {
        /// The file.
        file: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// A loss at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps made.
    pub step: u64,
    /// In nats; of labels that are numbers, in squared standard deviations.
    pub loss: f64,
}

/// The losses of a training so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    /// Loss of the training rows, averaged over the steps up to each point.
    pub(crate) losses: Vec<LossPoint>,
    /// Loss of the held-out rows.
    pub(crate) held_out: Vec<LossPoint>,
    /// Sum of the losses since the last point, and of their weights.
    pub(crate) pending: [f64; 2],
    /// The lowest loss of the held-out rows, where a training keeps the weights that gave it.
    #[serde(default)]
    pub(crate) best: Option<LossPoint>,
}

/// The state of a training after a step.
pub(crate) struct State {
    /// Steps made.
    pub(crate) step: u64,
    pub(crate) history: History,
    /// The trained weights.
    pub(crate) weights: BTreeMap<String, Tensor>,
    /// The optimizer's means, by weight.
    pub(crate) means: BTreeMap<String, [Tensor; 2]>,
    /// The trained weights of the lowest held-out loss.
    pub(crate) best_weights: BTreeMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    #[serde(flatten)]
    history: History,
}

/// Writes a state, so that the old one is there until the new one is whole. `plan` says what was trained how.
pub(crate) fn write_state(file: &Path, plan: &serde_json::Value, state: &State) -> Result<(), StateError> {
    let mut tensors = BTreeMap::new();
    for (name, weight) in &state.weights {
        tensors.insert(format!("weight/{name}"), weight);
    }
    for (name, [mean, square]) in &state.means {
        tensors.insert(format!("mean/{name}"), mean);
        tensors.insert(format!("square/{name}"), square);
    }
    for (name, weight) in &state.best_weights {
        tensors.insert(format!("best/{name}"), weight);
    }
    let header = Header { step: state.step, history: state.history.clone() };
    let header = serde_json::to_string(&header).map_err(|error| malformed(file, &error))?;
    let metadata = HashMap::from([("plan".to_owned(), plan.to_string()), ("state".to_owned(), header)]);
    write_tensors(file, &tensors, metadata)
}

/// Reads the state that `file` holds, for the same plan; `None` when there is no file.
pub(crate) fn read_state(file: &Path, plan: &serde_json::Value) -> Result<Option<State>, StateError> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Io { file: file.to_owned(), source }),
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| malformed(file, &error))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| malformed(file, &error))?;
    let field = |key: &str| {
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
        text.cloned().ok_or_else(|| malformed(file, &format!("no `{key}`")))
    };
    let found: serde_json::Value =
        serde_json::from_str(&field("plan")?).map_err(|error| malformed(file, &error))?;
    if found != *plan {
        let difference = difference(&found, plan);
        return Err(StateError::OtherPlan { file: file.to_owned(), difference });
    }
    let header: Header = serde_json::from_str(&field("state")?).map_err(|error| malformed(file, &error))?;
    let mut state = State {
        step: header.step,
        history: header.history,
        best_weights: BTreeMap::new(),
        weights: BTreeMap::new(),
        means: BTreeMap::new(),
    };
    let tensor = |name: &str| -> Result<Tensor, StateError> {
        let view = tensors.tensor(name).map_err(|error| malformed(file, &error))?;
        if view.dtype() != Dtype::F32 {
            return Err(malformed(file, &format!("`{name}` is not float32")));
        }
        let shape: Result<Vec<i64>, _> = view.shape().iter().map(|size| i64::try_from(*size)).collect();
        let shape = shape.map_err(|error| malformed(file, &error))?;
        Ok(Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?)
    };
    for name in tensors.names() {
        if let Some(weight) = name.strip_prefix("best/") {
            state.best_weights.insert(weight.to_owned(), tensor(name)?);
        }
        let Some(weight) = name.strip_prefix("weight/") else { continue };
        state.weights.insert(weight.to_owned(), tensor(name)?);
        let means = [tensor(&format!("mean/{weight}"))?, tensor(&format!("square/{weight}"))?];
        state.means.insert(weight.to_owned(), means);
    }
    Ok(Some(state))
}

/// Writes tensors as float32 under a temporary name, then gives the file its name.
pub(crate) fn write_tensors(
    file: &Path,
    tensors: &BTreeMap<String, &Tensor>,
    metadata: HashMap<String, String>,
) -> Result<(), StateError> {
    let mut numbers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let shape: Vec<usize> = tensor.size().iter().map(|size| from_dimension(*size)).collect();
        let mut bytes = vec![0; tensor.numel() * 4];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        numbers.push((name.clone(), shape, bytes));
    }
    let written = safetensors_bytes(&numbers, Some(metadata)).and_then(|bytes| replace(file, &bytes));
    written.map_err(|source| StateError::Io { file: file.to_owned(), source })
}

/// Writes a file so that a crash leaves the old one or the new one. Whatever has the temporary name, a killed
/// training's or a link, is removed, never written to; the folder is locked to one training.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = folder.join(name);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = File::create_new(&partial)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    std::fs::rename(&partial, file)?;
    File::open(folder)?.sync_all()
}

fn malformed(file: &Path, reason: &dyn std::fmt::Display) -> StateError {
    StateError::Malformed { file: file.to_owned(), reason: reason.to_string() }
}

/// The first setting that two plans differ in, as people read it.
pub(crate) fn difference(found: &serde_json::Value, wanted: &serde_json::Value) -> String {
    let (Some(left), Some(right)) = (found.as_object(), wanted.as_object()) else {
        return format!("{found} there, {wanted} now");
    };
    let key = left.keys().chain(right.keys()).find(|key| left.get(*key) != right.get(*key));
    let Some(key) = key else { return "none".to_owned() };
    let null = serde_json::Value::Null;
    let (left, right) = (left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null));
    if left.is_object() && right.is_object() {
        return format!("{key}: {}", difference(left, right));
    }
    format!("{key} is {left} there and {right} now")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> State {
        let tensor = |start: f32| Tensor::from_slice(&[start, start + 0.1, -start]).view([1, 3]);
        State {
            step: 7,
            history: History {
                losses: vec![LossPoint { step: 5, loss: 1.25 }],
                held_out: Vec::new(),
                pending: [0.5, 0.25],
                best: Some(LossPoint { step: 6, loss: 0.5 }),
            },
            best_weights: BTreeMap::from([("a.weight".to_owned(), tensor(4.0))]),
            weights: BTreeMap::from([("a.weight".to_owned(), tensor(1.0))]),
            means: BTreeMap::from([("a.weight".to_owned(), [tensor(2.0), tensor(3.0)])]),
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("state.safetensors");
        let plan = json!({ "seed": 1, "optimizer": { "beta1": 0.9 } });
        assert!(read_state(&file, &plan).expect("no file").is_none());
        write_state(&file, &plan, &state()).expect("written");
        let read = read_state(&file, &plan).expect("read").expect("a state");
        assert_eq!((read.step, read.history), (7, state().history));
        assert!(read.best_weights["a.weight"].equal(&state().best_weights["a.weight"]));
        assert!(read.weights["a.weight"].equal(&state().weights["a.weight"]));
        assert!(read.means["a.weight"][1].equal(&state().means["a.weight"][1]));
        let other = json!({ "seed": 1, "optimizer": { "beta1": 0.8 } });
        let error = read_state(&file, &other).err().expect("another plan").to_string();
        assert!(error.contains("optimizer: beta1 is 0.9 there and 0.8 now"), "{error}");
    }

    #[test]
    fn a_damaged_state_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("state.safetensors");
        write_state(&file, &json!({}), &state()).expect("written");
        let bytes = std::fs::read(&file).expect("bytes");
        for length in [0, 4, 40, bytes.len() - 1] {
            std::fs::write(&file, &bytes[..length]).expect("cut");
            let error = read_state(&file, &json!({})).err().expect("damage").to_string();
            assert!(error.contains("remove it"), "{error}");
        }
    }
}
