//! What a writer does before it writes: remove what crashed writers left behind.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use vestore_schema::Table;

use super::Store;
use super::error::StoreError;

/// How long the file of a retired segment stays, in seconds, for readers of older snapshots.
const GRACE: u64 = 600;

/// Removes orphans, deletes retired files after their grace period, and gives the number of the next
/// segment. Only the holder of the writer lock may call it.
pub(crate) fn clean(store: &Store) -> Result<u64, StoreError> {
    let (segments, retired, next, models) = store.catalog.read(|catalog| {
        Ok((catalog.all_segments()?, catalog.retired()?, catalog.next_segment()?, catalog.models()?))
    })?;
    let now = store.medium.now();
    let (expired, waiting): (Vec<_>, Vec<_>) =
        retired.into_iter().partition(|(_, since)| now.saturating_sub(*since) >= GRACE);
    let mut named: HashSet<PathBuf> =
        segments.iter().map(|segment| store.root.join(segment.path())).collect();
    named.extend(waiting.iter().map(|(path, _)| store.root.join(path)));
    for table in Table::ALL {
        remove_unnamed(store, &store.root.join(table.as_str()), &named)?;
    }
    store.remove_unnamed_copies(&models)?;
    if !expired.is_empty() {
        let paths: Vec<String> = expired.into_iter().map(|(path, _)| path).collect();
        store.catalog.write(|catalog| catalog.forget_retired(&paths))?;
    }
    Ok(next)
}

/// Files below `folder` that no row names; what is not ours by its name stays.
fn remove_unnamed(store: &Store, folder: &Path, named: &HashSet<PathBuf>) -> Result<(), StoreError> {
    let entries = store.medium.list(folder).map_err(StoreError::io("list", folder))?;
    for (path, is_folder) in entries {
        if is_folder {
            remove_unnamed(store, &path, named)?;
        } else if is_segment_file(&path) && !named.contains(&path) {
            store.medium.remove(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether a file is named as segments and their temporary forms are.
pub(crate) fn is_segment_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".partial").unwrap_or(name).strip_suffix(".parquet");
    stem.is_some_and(|stem| stem.len() >= 12 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}
