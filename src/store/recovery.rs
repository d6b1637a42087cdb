//! What a writer does before it writes: end what crashed writers began, remove what they left behind.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use vestore_schema::{RETIRED_FOLDER, Table, retired_path};

use super::Store;
use super::error::StoreError;
use super::files::Files;

/// How long the file of a retired segment stays, in seconds, for readers of older snapshots.
const GRACE: u64 = 600;

/// Removes orphans, moves retired files out of the tables' folders, deletes them after their grace period, and
/// gives the number of the next segment. Only the holder of the writer lock may call it.
pub(super) fn clean(store: &Store, files: &mut Files) -> Result<u64, StoreError> {
    let (segments, retired, next, models) = store.catalog.read(|catalog| {
        Ok((catalog.all_segments()?, catalog.retired()?, catalog.next_segment()?, catalog.models()?))
    })?;
    let now = store.medium.now();
    let (expired, waiting): (Vec<_>, Vec<_>) =
        retired.into_iter().partition(|(_, since)| now.saturating_sub(*since) >= GRACE);
    let named: HashSet<PathBuf> = segments.iter().map(|segment| store.root.join(segment.path())).collect();
    let waiting: Vec<String> = waiting.into_iter().map(|(path, _)| path).collect();
    let places: HashMap<PathBuf, &String> =
        waiting.iter().map(|path| (store.root.join(path), path)).collect();
    let mut unmoved = Vec::new();
    for table in Table::ALL {
        for file in segment_files(store, &store.root.join(table.as_str()))? {
            if let Some(path) = places.get(&file) {
                unmoved.push((*path).clone());
            } else if !named.contains(&file) {
                store.medium.remove(&file).map_err(StoreError::io("remove", &file))?;
            }
        }
    }
    if !unmoved.is_empty() {
        // A program of an older format would look for them where they were: the format is raised first.
        store.catalog.write(|_| Ok(()))?;
        files.retire(&unmoved)?;
    }
    let kept: HashSet<PathBuf> = waiting.iter().map(|path| store.root.join(retired_path(path))).collect();
    for file in segment_files(store, &store.root.join(RETIRED_FOLDER))? {
        if !kept.contains(&file) {
            store.medium.remove(&file).map_err(StoreError::io("remove", &file))?;
        }
    }
    store.remove_unnamed_copies(&models)?;
    store.remove_unnamed_gene_files()?;
    store.remove_unnamed_id_files()?;
    if !expired.is_empty() {
        let paths: Vec<String> = expired.into_iter().map(|(path, _)| path).collect();
        store.catalog.write(|catalog| catalog.forget_retired(&paths))?;
    }
    Ok(next)
}

/// Files in and below `folder` that are named as segments and their temporary forms are.
pub(super) fn segment_files(store: &Store, folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for (path, is_folder) in store.medium.list(folder).map_err(StoreError::io("list", folder))? {
        if is_folder {
            found.extend(segment_files(store, &path)?);
        } else if is_segment_file(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

pub(crate) fn is_segment_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".partial").unwrap_or(name).strip_suffix(".parquet");
    stem.is_some_and(|stem| stem.len() >= 12 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}
