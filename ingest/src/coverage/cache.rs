//! The file of the values, which is there whole or not at all: magic bytes, float32 [windows, targets, bins], what they
//! are as JSON, and its length.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vestore_schema::Digest;

use super::values::TargetCoverage;
use crate::convert::as_index;

const MAGIC: &[u8; 8] = b"VESTCOV1";
/// Longest description that is read.
const MOST_DESCRIPTION: u64 = 1 << 26;

/// What the values of a file are.
#[derive(Serialize, Deserialize)]
pub(super) struct Description {
    /// Digest of all that decides them.
    pub(super) identity: Digest,
    pub(super) targets: Vec<TargetCoverage>,
    /// Bins of all windows that are left out.
    pub(super) left_out: u64,
}

/// Where the value at `place` lies in the file.
pub(super) fn offset(place: u64) -> u64 {
    MAGIC.len() as u64 + 4 * place
}

/// The file and its description, when it holds `count` values of this identity. Whatever it is otherwise, it is to be
/// written again.
pub(super) fn open(path: &Path, identity: Digest, count: u64) -> io::Result<Option<(File, Description)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = file.metadata()?.len();
    let values_end = offset(count);
    let Some(rest) = length.checked_sub(values_end + 8).filter(|rest| *rest <= MOST_DESCRIPTION) else {
        return Ok(None);
    };
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 0)?;
    let mut end = vec![0; as_index(rest + 8)];
    file.read_exact_at(&mut end, values_end)?;
    let (description, end) = end.split_at(as_index(rest));
    if head != *MAGIC || end != rest.to_le_bytes() {
        return Ok(None);
    }
    let description: Option<Description> = serde_json::from_slice(description).ok();
    Ok(description.filter(|description| description.identity == identity).map(|found| (file, found)))
}

/// A file that is being written; it is removed unless it is finished.
pub(super) struct Partial {
    pub(super) file: File,
    path: PathBuf,
    finished: bool,
}

impl Partial {
    /// Begins a file that will be called `path`. What a killed process left is removed.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let path = path.with_extension("partial");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        file.write_all_at(MAGIC, 0)?;
        Ok(Self { file, path, finished: false })
    }

    /// Writes the description behind `count` values and gives the file its name.
    pub(super) fn finish(mut self, path: &Path, count: u64, description: &Description) -> io::Result<File> {
        let mut end = serde_json::to_vec(description)?;
        let length = end.len() as u64;
        end.extend_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&end, offset(count))?;
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.finished = true;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        self.file.try_clone()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the next one removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
