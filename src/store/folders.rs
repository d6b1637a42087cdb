//! Folders and the durability of their names.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Store;
use super::error::StoreError;
use super::medium::Medium;

/// Makes the folders that lead from the store to `file`, and their names durable. A folder that is there
/// already may have been made by a writer that was killed before it synced the name, so it counts as durable
/// only once it is in `durable`.
pub(super) fn make_durable(
    store: &Store,
    file: &Path,
    durable: &mut HashSet<PathBuf>,
) -> Result<(), StoreError> {
    let mut above = store.root.clone();
    for name in file.parent().into_iter().flatten() {
        let folder = above.join(name);
        if !durable.contains(&folder) {
            match store.medium.create_folder(&folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.map_err(StoreError::io("create the folder", &folder))?,
            }
            store.medium.sync_folder(&above).map_err(StoreError::io("sync the folder", &above))?;
            durable.insert(folder.clone());
        }
        above = folder;
    }
    Ok(())
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
