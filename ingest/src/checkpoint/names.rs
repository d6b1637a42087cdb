//! Names of weights as wrappers and older programs write them, and what a checkpoint is called.

use std::path::Path;

use super::config_file::ConfigFile;
use super::error::CheckpointError;
use super::weights::Checkpoint;

/// What training programs put before every name when they save their own object instead of the model in it:
/// `DataParallel`, `torch.compile`, Lightning.
const WRAPPERS: [&str; 2] = ["module.", "model."];

/// Takes away the prefixes that every name has from a wrapper around the model, and gives them.
pub(crate) fn unwrap(checkpoint: &mut Checkpoint) -> Result<Option<String>, CheckpointError> {
    let mut prefix = String::new();
    while checkpoint.tensors().next().is_some()
        && checkpoint.tensors().all(|(name, _)| name.starts_with(&format!("{prefix}_orig_mod.")))
    {
        prefix += "_orig_mod.";
    }
    // `torch.compile` may wrap a part of the model as well.
    checkpoint.rename(without_compiled)?;
    while let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| {
        let mut names = checkpoint.tensors().peekable();
        names.peek().is_some() && names.all(|(name, _)| name.starts_with(wrapper))
    }) {
        checkpoint.rename(|name| name.strip_prefix(wrapper).unwrap_or(name).to_owned())?;
        prefix += wrapper;
    }
    Ok((!prefix.is_empty()).then_some(prefix))
}

/// A name without the steps that `torch.compile` adds, which are never modules of a model.
pub(crate) fn without_compiled(name: &str) -> String {
    name.split('.').filter(|part| *part != "_orig_mod").collect::<Vec<_>>().join(".")
}

/// A weight's name as it is written today: norms converted from TensorFlow, or made by transformers 5, have a `gamma`
/// and a `beta`.
pub(crate) fn current(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

/// Says so when the weight `key` is missing because all names begin with something that is not known.
pub(crate) fn check_prefix(checkpoint: &Checkpoint, key: &str) -> Result<(), CheckpointError> {
    let wrapped = checkpoint.tensors().find_map(|(name, tensor)| {
        let prefix = name.strip_suffix(key).filter(|prefix| prefix.ends_with('.'))?;
        Some((prefix.to_owned(), checkpoint.path_of(tensor).to_owned()))
    });
    match wrapped {
        None => Ok(()),
        Some((prefix, file)) => Err(CheckpointError::Wrapped { file, prefix, key: key.to_owned() }),
    }
}

/// What a checkpoint is called: by its folder, and in its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseNames(Vec<String>);

impl BaseNames {
    pub(crate) fn of(folder: &Path, config: &ConfigFile) -> Self {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let parts = [folder, &whole].map(|folder| folder.components().collect::<Vec<_>>()).concat();
        let mut names: Vec<String> = [folder, &whole]
            .into_iter()
            .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
            .collect();
        // Hugging Face's cache names folders `models--<owner>--<name>/snapshots/<revision>`.
        let cached = parts.iter().filter_map(|part| part.as_os_str().to_str()?.strip_prefix("models--"));
        names.extend(cached.filter_map(|name| name.rsplit("--").next()).map(str::to_owned));
        names.extend(config.text("_name_or_path").and_then(last_part).map(str::to_owned));
        // A copy in a store is called `checkpoint`, which says nothing.
        let copied = names.iter().all(|name| name == "checkpoint");
        Self(if copied { Vec::new() } else { names })
    }

    /// Whether `name`, a path or an id on the hub, is another model's. Unknown names are nobody else's.
    pub(crate) fn differ_from(&self, name: &str) -> bool {
        last_part(name).is_some_and(|name| !self.0.is_empty() && !self.0.iter().any(|own| own == name))
    }
}

fn last_part(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty() && *name != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_today() {
        assert_eq!(current("encoder.layer.0.LayerNorm.gamma"), "encoder.layer.0.LayerNorm.weight");
        assert_eq!(current("embeddings.LayerNorm.beta"), "embeddings.LayerNorm.bias");
        assert_eq!(current("gamma"), "gamma");
        assert_eq!(without_compiled("esm._orig_mod.encoder.layer.0.x"), "esm.encoder.layer.0.x");
    }

    #[test]
    fn a_base_is_another_only_when_no_name_of_it_fits() {
        let names = BaseNames(vec!["nt-v1".to_owned(), "run3".to_owned()]);
        for own in ["nt-v1", "lab/nt-v1", "/data/models/run3/", "", "/"] {
            assert!(!names.differ_from(own), "{own}");
        }
        for other in ["nt-v2", "nt-v1/checkpoint-500", "NT-V1"] {
            assert!(names.differ_from(other), "{other}");
        }
        assert!(!BaseNames(Vec::new()).differ_from("nt-v2"));
    }
}
