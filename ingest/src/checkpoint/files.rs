//! The files of a model, for whoever copies them: those that a loader reads, the card and the licence, and the code
//! that a published configuration names. Nothing else of a folder is copied.

use std::io;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::source::ModelSource;
use super::weights::Checkpoint;

/// Files of a checkpoint or adapter besides its weights and code, as far as they are there.
pub(crate) const NAMES: [&str; 16] = [
    "config.json",
    "adapter_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "targets.txt",
    "training.json",
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
];

/// What the names of weights begin with: of safetensors, and of torch's `.bin`.
pub(crate) const CHECKPOINT_STEMS: [&str; 2] = ["model", "pytorch_model"];
/// The same of an adapter.
pub(crate) const ADAPTER_STEMS: [&str; 2] = ["adapter_model", "adapter_model"];

/// The files of a model that a copy needs, each with its place in the copy: `checkpoint/…` and `adapter/…`.
///
/// # Errors
/// When weights cannot be opened, or a file is a link to another place or not a plain file.
pub fn model_files(source: &ModelSource) -> Result<Vec<(PathBuf, String)>, CheckpointError> {
    let mut files = part(&source.checkpoint, "checkpoint", CHECKPOINT_STEMS)?;
    if let Some(adapter) = &source.adapter {
        files.extend(part(adapter, "adapter", ADAPTER_STEMS)?);
    }
    Ok(files)
}

fn part(
    folder: &Path,
    place: &str,
    [stem, bin_stem]: [&str; 2],
) -> Result<Vec<(PathBuf, String)>, CheckpointError> {
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    names.extend(code(folder)?);
    names.extend(Checkpoint::open(folder, stem, bin_stem)?.file_names());
    let mut files = Vec::new();
    for name in names {
        if let Some(path) = plain_file(folder, &name)? {
            files.push((path, format!("{place}/{name}")));
        }
    }
    Ok(files)
}

/// Names of the Python files of a folder, which a published configuration may name (`auto_map`). They are never run
/// here.
pub(crate) fn code(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let io = |source| CheckpointError::Io { file: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        names.extend(
            name.to_str()
                .filter(|name| Path::new(name).extension() == Some("py".as_ref()))
                .map(str::to_owned),
        );
    }
    names.sort_unstable();
    Ok(names)
}

/// The plain file `name` of a folder, resolved; nothing when there is none. A link may lead to a file of the same
/// folder, or from a snapshot of the Hugging Face cache to its blobs: a checkpoint of somebody else must not make a
/// copy of anything else that its reader can read.
///
/// # Errors
/// When it is a link to another place, not a plain file, or cannot be looked at.
pub(crate) fn plain_file(folder: &Path, name: &str) -> Result<Option<PathBuf>, CheckpointError> {
    let path = folder.join(name);
    let io = |source| CheckpointError::Io { file: path.clone(), source };
    let _there = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        there => there.map_err(io)?,
    };
    let target = path.canonicalize().map_err(io)?;
    let home = folder.canonicalize().map_err(io)?;
    let blobs = home
        .parent()
        .filter(|above| above.file_name().is_some_and(|name| name == "snapshots"))
        .and_then(|above| Some(above.parent()?.join("blobs")));
    let inside = target.parent().is_some_and(|above| above == home || Some(above) == blobs.as_deref());
    if !inside {
        return Err(CheckpointError::Link { file: path, target });
    }
    if !target.metadata().map_err(io)?.is_file() {
        return Err(CheckpointError::NotPlain { file: path });
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_files_of_the_folder_or_to_blobs_of_a_snapshot() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("models--a--b");
        let snapshot = cache.join("snapshots/0123");
        fs::create_dir_all(&snapshot).expect("made");
        fs::create_dir_all(cache.join("blobs")).expect("made");
        fs::write(cache.join("blobs/abc"), "blob").expect("written");
        fs::write(folder.path().join("key"), "private").expect("written");
        fs::write(snapshot.join("plain.json"), "{}").expect("written");
        symlink("../../blobs/abc", snapshot.join("config.json")).expect("linked");
        symlink("plain.json", snapshot.join("vocab.json")).expect("linked");
        symlink("../../../key", snapshot.join("README.md")).expect("linked");
        fs::create_dir(snapshot.join("LICENSE")).expect("made");
        let text = |name| {
            plain_file(&snapshot, name).map(|path| path.map(|path| fs::read_to_string(path).expect("text")))
        };
        assert_eq!(text("config.json").expect("a blob").as_deref(), Some("blob"));
        assert_eq!(text("vocab.json").expect("a neighbour").as_deref(), Some("{}"));
        assert_eq!(text("absent").expect("nothing"), None);
        assert!(matches!(text("README.md"), Err(CheckpointError::Link { .. })));
        assert!(matches!(text("LICENSE"), Err(CheckpointError::NotPlain { .. })));
        // Elsewhere a folder called `blobs` is nothing special.
        let other = folder.path().join("other/0123");
        fs::create_dir_all(&other).expect("made");
        fs::create_dir_all(folder.path().join("blobs")).expect("made");
        fs::write(folder.path().join("blobs/abc"), "blob").expect("written");
        symlink("../../blobs/abc", other.join("config.json")).expect("linked");
        assert!(matches!(plain_file(&other, "config.json"), Err(CheckpointError::Link { .. })));
    }
}
