//! Outputs that are being written, for whoever ends the program before they are whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OutputError;

/// Temporary file or folder, and the output that it becomes.
static UNFINISHED: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());

fn unfinished() -> MutexGuard<'static, BTreeMap<PathBuf, PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is written of outputs that are not whole: the last thing that an interrupted program does.
pub fn remove_unfinished_outputs() {
    for temporary in unfinished().keys() {
        // The program ends: nobody is left to tell.
        let _ = if temporary.is_dir() { fs::remove_dir_all(temporary) } else { fs::remove_file(temporary) };
    }
}

/// Keeps an output listed until it is dropped.
#[derive(Debug)]
pub(super) struct Unfinished(PathBuf);

impl Unfinished {
    /// Lists what is written at `temporary` and becomes `path`.
    pub(super) fn new(temporary: &Path, path: &Path) -> Result<Self, OutputError> {
        let (temporary, output) =
            (std::path::absolute(temporary).map_err(OutputError::io(path))?, resolved(path));
        let mut list = unfinished();
        if list.values().any(|other| *other == output) {
            return Err(OutputError::Twice { path: path.to_owned() });
        }
        list.insert(temporary.clone(), output);
        Ok(Self(temporary))
    }

    /// Takes the last steps, after which the output is whole: a program that is interrupted meanwhile ends after them.
    pub(super) fn complete<T>(self, steps: impl FnOnce() -> T) -> T {
        let mut list = unfinished();
        let done = steps();
        list.remove(&self.0);
        drop(list);
        done
    }
}

/// The path with its folder resolved, so that two ways to it compare as one.
fn resolved(path: &Path) -> PathBuf {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (above.canonicalize(), path.file_name()) {
        (Ok(above), Some(name)) => above.join(name),
        _ => path.to_owned(),
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}
