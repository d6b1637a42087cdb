//! Folders and the durability of their names.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::medium::Medium;

/// The folders that one writer makes or finds in a store.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Those that are there.
    known: HashSet<PathBuf>,
    /// Those in which names may not be durable.
    unsynced: BTreeSet<PathBuf>,
}

impl Folders {
    /// Makes the folders that lead from `root` to `file`, a path below it. Their names are durable after
    /// [`Folders::sync`], also those that are there already: a writer may have been killed between making and
    /// syncing them.
    pub(super) fn make(&mut self, medium: &dyn Medium, root: &Path, file: &Path) -> Result<(), StoreError> {
        let mut above = root.to_owned();
        for name in file.parent().into_iter().flatten() {
            let folder = above.join(name);
            if !self.known.contains(&folder) {
                match medium.create_folder(&folder) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    made => made.map_err(StoreError::io("create the folder", &folder))?,
                }
                self.known.insert(folder.clone());
                self.unsynced.insert(above);
            }
            above = folder;
        }
        Ok(())
    }

    /// Makes the names of all folders durable.
    pub(super) fn sync(&mut self, medium: &dyn Medium) -> Result<(), StoreError> {
        for folder in std::mem::take(&mut self.unsynced) {
            sync(medium, &folder)?;
        }
        Ok(())
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync(medium: &dyn Medium, folder: &Path) -> Result<(), StoreError> {
    medium.sync_folder(folder).map_err(StoreError::io("sync the folder", folder))
}

/// Makes the folder of a new store and those above it that are missing, and their names durable.
pub(super) fn make_root(medium: &dyn Medium, root: &Path) -> Result<(), StoreError> {
    let above = root.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match medium.create_folder(root) {
        // Empty, so somebody else's or of an `init` that was cut short.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == ErrorKind::NotFound && above != root => {
            make_root(medium, above)?;
            medium.create_folder(root).map_err(StoreError::io("create the folder", root))?;
        }
        made => made.map_err(StoreError::io("create the folder", root))?,
    }
    match medium.sync_folder(above) {
        // A folder that we may pass but not read holds what somebody else put there.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(StoreError::io("sync the folder", above)),
    }
}
