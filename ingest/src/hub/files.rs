//! Which files of a repository are fetched: those that a loader reads, the card and the licence. No code, and nothing
//! in folders.

use std::path::{Component, Path};

use super::error::HubError;
use crate::checkpoint::{ADAPTER_STEMS, CHECKPOINT_STEMS, NAMES, weight_map, weight_names};

/// What of a repository is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubPart {
    /// A checkpoint.
    Checkpoint,
    /// An adapter in the PEFT layout.
    Adapter,
}

impl HubPart {
    fn weights(self) -> [String; 4] {
        let [stem, bin_stem] = match self {
            Self::Checkpoint => CHECKPOINT_STEMS,
            Self::Adapter => ADAPTER_STEMS,
        };
        weight_names(stem, bin_stem)
    }

    fn config(self) -> &'static str {
        match self {
            Self::Checkpoint => "config.json",
            Self::Adapter => "adapter_config.json",
        }
    }
}

/// Whether a path of the hub's lies inside its repository.
pub(super) fn is_inside(name: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    !name.is_empty() && !name.contains(['\\', '\0']) && Path::new(name).components().all(normal)
}

/// Those of `names` that are needed, in the order of reading. Of shards only their index.
///
/// # Errors
/// What is missing, in words.
pub(super) fn wanted(part: HubPart, names: &[String]) -> Result<Vec<String>, String> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if !has(part.config()) {
        return Err(part.config().to_owned());
    }
    let weights = part.weights();
    let Some(found) = weights.iter().find(|name| has(name)) else {
        return Err(weights.join(", or "));
    };
    let mut wanted: Vec<String> = NAMES.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
    wanted.push(found.clone());
    Ok(wanted)
}

/// A remark on a repository that lacks `part`.
pub(super) fn hint(part: HubPart, names: &[String]) -> &'static str {
    match part {
        HubPart::Checkpoint if wanted(HubPart::Adapter, names).is_ok() => {
            "; it holds an adapter: name it with --hub-adapter, and its base model with --hub"
        }
        HubPart::Adapter if wanted(HubPart::Checkpoint, names).is_ok() => {
            "; it holds a whole model: name it with --hub"
        }
        _ => "",
    }
}

/// Whether a file names the shards of weights.
pub(super) fn is_index(name: &str) -> bool {
    name.ends_with(".index.json")
}

/// The shards that an index among `wanted` names, which lies in `folder`.
pub(super) fn shards(folder: &Path, wanted: &[String]) -> Result<Vec<String>, HubError> {
    let Some(index) = wanted.iter().find(|name| is_index(name)) else { return Ok(Vec::new()) };
    let mut shards: Vec<String> = weight_map(&folder.join(index))?.into_values().collect();
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

/// Names of the files in a folder of the cache; none if it is absent.
pub(super) fn listed(folder: &Path) -> Result<Vec<String>, HubError> {
    let read = HubError::io("list", folder);
    let mut names = Vec::new();
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        entries => entries.map_err(&read)?,
    };
    for entry in entries {
        let entry = entry.map_err(&read)?;
        // Also at the end of a link, which may lead nowhere.
        if entry.path().is_file() {
            names.extend(entry.file_name().to_str().map(str::to_owned));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(part: HubPart, names: &[&str]) -> Result<Vec<String>, String> {
        wanted(part, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn safetensors_are_preferred_and_code_is_left_out() {
        let names = ["modeling_esm.py", "pytorch_model.bin", "model.safetensors", "vocab.txt", "config.json"];
        let found = chosen(HubPart::Checkpoint, &names).expect("files");
        assert_eq!(found, ["config.json", "vocab.txt", "model.safetensors"]);
        let found = chosen(HubPart::Checkpoint, &["config.json", "pytorch_model.bin", "tf_model.h5"]);
        assert_eq!(found.expect("files"), ["config.json", "pytorch_model.bin"]);
        let found =
            chosen(HubPart::Adapter, &["adapter_config.json", "adapter_model.bin", "model.safetensors"]);
        assert_eq!(found.expect("files"), ["adapter_config.json", "adapter_model.bin"]);
        assert_eq!(chosen(HubPart::Checkpoint, &["model.safetensors"]), Err("config.json".to_owned()));
        assert!(chosen(HubPart::Checkpoint, &["config.json", "flax.msgpack"]).is_err());
    }

    #[test]
    fn paths_out_of_the_repository_are_known() {
        for name in ["config.json", "onnx/model.onnx", ".gitattributes"] {
            assert!(is_inside(name), "{name}");
        }
        for name in ["", "..", "../x", "a/../../x", "/etc/passwd", "..\\x", "a\0b"] {
            assert!(!is_inside(name), "{name:?}");
        }
    }
}
