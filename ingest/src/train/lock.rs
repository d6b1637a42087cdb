//! One training a folder: a kernel lock on a file in `training/`, which holds a note of who has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::run_directory::RunDirectoryError;

/// Longest note that is shown, in bytes.
const NOTE: u64 = 1024;

/// Keeps the folder of a training to this process until it is dropped.
pub(crate) struct FolderLock {
    file: File,
    working: PathBuf,
}

impl FolderLock {
    /// Locks the training whose state lies in `working`, below `output`.
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub(crate) fn take(output: &Path, working: &Path) -> Result<Self, RunDirectoryError> {
        let path = place(working);
        let io = |source| RunDirectoryError::Io { file: path.clone(), source };
        loop {
            vestore::create_folder(working).map_err(io)?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW);
            let mut file = match options.open(&path) {
                // A training that ends takes the folder away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(io)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut note = String::new();
                    let read = file.take(NOTE).read_to_string(&mut note).is_ok();
                    let holder = if read && !note.is_empty() { note } else { "another process".to_owned() };
                    return Err(RunDirectoryError::Locked { output: output.to_owned(), holder });
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            // The lock counts only while the file has its name: its holder may have taken it away meanwhile.
            let named = path.symlink_metadata().map(|named| (named.dev(), named.ino())).ok();
            let locked = file.metadata().map_err(io)?;
            if named == Some((locked.dev(), locked.ino())) {
                file.set_len(0).map_err(io)?;
                file.write_all(note().as_bytes()).map_err(io)?;
                return Ok(Self { file, working: working.to_owned() });
            }
        }
    }
}

fn place(working: &Path) -> PathBuf {
    working.join("lock")
}

/// Who this is: command, process, host.
fn note() -> String {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("`vestore {}`, process {} on {}", words.join(" "), std::process::id(), host.trim())
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Best effort: a lock file that stays is locked again by whoever comes next. A folder with a state stays.
        let _ = fs::remove_file(place(&self.working));
        let _ = fs::remove_dir(&self.working);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_is_named_and_nothing_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (output, working) = (folder.path().join("out"), folder.path().join("out/training"));
        let held = FolderLock::take(&output, &working).expect("free");
        let told = FolderLock::take(&output, &working).err().expect("held").to_string();
        assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
        drop(held);
        assert!(!working.exists());
        drop(FolderLock::take(&output, &working).expect("free again"));
        fs::create_dir_all(&working).expect("made");
        std::os::unix::fs::symlink(folder.path().join("victim"), place(&working)).expect("linked");
        assert!(FolderLock::take(&output, &working).is_err(), "a link was followed");
        assert!(!folder.path().join("victim").exists());
    }
}
