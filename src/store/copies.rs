//! Copies of checkpoints and adapters that a store keeps in `models/`, one folder a copy.
//!
//! Files are written into a new folder, synced, and the folder renamed; only then the catalog names it. A folder that
//! no model names is what a crash left, or what a removed model had, and goes with the next writer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use vestore_schema::{Digest, Model, ModelFile};

use super::commit::Writer;
use super::digest::digest;
use super::error::StoreError;
use super::folders::{self, Folders};
use super::medium::Access;
use super::{PARTIAL, Store};

/// Folder of all copies.
pub(super) const MODELS: &str = "models";
/// Folders of a copy.
const PARTS: [&str; 2] = ["checkpoint", "adapter"];
/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// Where a copy lies that no model names yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCopy {
    /// Folder of the copy, relative to the store.
    pub folder: String,
    /// Its files.
    pub files: Vec<ModelFile>,
}

impl Writer {
    /// Copies files of the model `id` into a new folder. Each comes with its place in there, such as
    /// `checkpoint/config.json`. It is part of the store once [`Writer::put_model`] names it.
    ///
    /// # Errors
    /// When a file is not a plain one or the system refuses; nothing more can be written with this writer then.
    pub fn copy_model(&mut self, id: Digest, files: &[(PathBuf, String)]) -> Result<ModelCopy, StoreError> {
        self.guarded(|writer| {
            let store = writer.store().clone();
            let name = free_name(&store, id)?;
            let folder = format!("{MODELS}/{name}");
            let unfinished = format!("{folder}{PARTIAL}");
            let (mut folders, mut filled) = (Folders::default(), BTreeSet::new());
            let mut copied = Vec::new();
            for (from, place) in files {
                let path = format!("{unfinished}/{place}");
                folders.make(store.medium.as_ref(), &store.root, Path::new(&path))?;
                filled.extend(store.root.join(&path).parent().map(Path::to_owned));
                let (bytes, sha256) = copy(&store, from, &store.root.join(&path))?;
                copied.push(ModelFile { path: format!("{folder}/{place}"), bytes, sha256 });
            }
            for folder in &filled {
                folders::sync(store.medium.as_ref(), folder)?;
            }
            folders.sync(store.medium.as_ref())?;
            let (from, to, above) =
                (store.root.join(&unfinished), store.root.join(&folder), store.root.join(MODELS));
            store.medium.rename(&from, &to).map_err(StoreError::io("rename", &from))?;
            store.medium.sync_folder(&above).map_err(StoreError::io("sync the folder", &above))?;
            Ok(ModelCopy { folder, files: copied })
        })
    }
}

/// A name that nothing in `models/` has: what lies there may be somebody else's.
fn free_name(store: &Store, id: Digest) -> Result<String, StoreError> {
    let above = store.root.join(MODELS);
    let in_root = store.medium.list(&store.root).map_err(StoreError::io("list", &store.root))?;
    if in_root.iter().any(|(path, is_folder)| *path == above && !is_folder) {
        let reason = io::Error::new(io::ErrorKind::NotADirectory, "it is a link or a file, not a folder");
        return Err(StoreError::io("copy into", &above)(reason));
    }
    let there = store.medium.list(&above).map_err(StoreError::io("list", &above))?;
    let is_free = |name: &String| {
        let of = |path: &Path| path.file_name().is_some_and(|other| *other == **name);
        let partial = above.join(format!("{name}{PARTIAL}"));
        !there.iter().any(|(path, _)| of(path) || *path == partial)
    };
    let numbered = (1_u64..).map(|number| format!("{id}.{number}"));
    let free = std::iter::once(id.to_string()).chain(numbered).find(is_free);
    Ok(free.unwrap_or_else(|| panic!("there are more numbers than files; this is a bug")))
}

/// Copies a plain file, durably; gives its length and digest.
fn copy(store: &Store, from: &Path, to: &Path) -> Result<(u64, Digest), StoreError> {
    let read = |error| StoreError::io("copy", from)(error);
    let not_plain = || read(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    // Asked before it is opened: opening a pipe would wait.
    if !from.symlink_metadata().map_err(read)?.is_file() {
        return Err(not_plain());
    }
    let mut source = File::open(from).map_err(read)?;
    if !source.metadata().map_err(read)?.is_file() {
        return Err(not_plain());
    }
    let target = store.medium.open(to, Access::Create).map_err(StoreError::io("create", to))?;
    let (mut hash, mut piece, mut offset) = (Sha256::new(), vec![0; PIECE], 0);
    loop {
        let count = source.read(&mut piece).map_err(read)?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
        target.write_at(&piece[..count], offset).map_err(StoreError::io("write", to))?;
        offset += count as u64;
    }
    target.sync().map_err(StoreError::io("sync", to))?;
    Ok((offset, Digest::from(<[u8; 32]>::from(hash.finalize()))))
}

impl Store {
    /// The first file of a copied model that is not what the catalog says, and what is wrong with it.
    ///
    /// A copy that was made before files were recorded is only looked at: its loader digests it.
    #[must_use]
    pub fn copy_damage(&self, model: &Model) -> Option<(PathBuf, String)> {
        if model.files.is_empty() {
            let folder = self.root.join(&model.checkpoint);
            return match self.medium.list(&folder) {
                Ok(entries) if !entries.is_empty() => None,
                Ok(_) => Some((folder, "the folder is missing or empty".to_owned())),
                Err(error) => Some((folder, error.to_string())),
            };
        }
        model.files.iter().find_map(|file| {
            let path = self.root.join(&file.path);
            self.file_damage(&path, file).map(|reason| (path, reason))
        })
    }

    fn file_damage(&self, path: &Path, file: &ModelFile) -> Option<String> {
        let check = || -> io::Result<Option<String>> {
            let opened = self.medium.open(path, Access::Read)?;
            let length = opened.len()?;
            if length != file.bytes {
                return Ok(Some(format!("{length} bytes long, not {}", file.bytes)));
            }
            let found = digest(opened.as_ref(), |error| error, |_, _| Ok(()))?;
            let differs = || format!("checksum {} is not {}", found.short(), file.sha256.short());
            Ok((found != file.sha256).then(differs))
        };
        match check() {
            Ok(reason) => reason,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("the file is missing".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Folders of copies that none of `models` names.
    pub(super) fn unnamed_copies(&self, models: &[Model]) -> Result<Vec<PathBuf>, StoreError> {
        let above = self.root.join(MODELS);
        let mut found = self.medium.list(&above).map_err(StoreError::io("list", &above))?;
        found.retain(|(path, is_folder)| *is_folder && is_copy(path) && !is_named(self, path, models));
        Ok(found.into_iter().map(|(path, _)| path).collect())
    }

    /// Removes folders of copies that none of `models` names. Only the holder of the writer lock may call it.
    pub(super) fn remove_unnamed_copies(&self, models: &[Model]) -> Result<(), StoreError> {
        for folder in self.unnamed_copies(models)? {
            let list = |folder: &Path| self.medium.list(folder).map_err(StoreError::io("list", folder));
            let parts = list(&folder)?;
            let is_part =
                |path: &Path| path.file_name().is_some_and(|name| PARTS.iter().any(|part| name == *part));
            if !parts.iter().all(|(path, is_folder)| *is_folder && is_part(path)) {
                // Not all of it is ours.
                continue;
            }
            for (part, _) in &parts {
                for (path, _) in list(part)?.into_iter().filter(|(_, is_folder)| !is_folder) {
                    match self.medium.remove(&path) {
                        // What is not a plain file is not of a copy, and stays.
                        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                        removed => removed.map_err(StoreError::io("remove", &path))?,
                    }
                }
                self.remove_if_empty(part)?;
            }
            self.remove_if_empty(&folder)?;
        }
        Ok(())
    }

    fn remove_if_empty(&self, folder: &Path) -> Result<(), StoreError> {
        match self.medium.remove_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.map_err(StoreError::io("remove the folder", folder)),
        }
    }
}

/// Whether a folder is named as copies are: an id, a number where the id was taken, and `.partial` before it is whole.
fn is_copy(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    let (id, number) = name.split_once('.').unwrap_or((name, "0"));
    id.len() == 64
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a model's files lie in a folder, by a path in the store or by an absolute one.
fn is_named(store: &Store, folder: &Path, models: &[Model]) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = real(folder);
    let places = models.iter().flat_map(|model| {
        [Some(&model.checkpoint), model.adapter.as_ref()].map(|place| Some(store.model_path(model, place?)))
    });
    places.flatten().any(|place| real(&place).starts_with(&folder))
}
