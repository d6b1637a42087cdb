//! Where a store lies: every system call of the store goes through this one trait, so that tests can
//! fail, cut or forget each of them.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Existing, for reading.
    Read,
    /// Existing, for reading and writing.
    Update,
    /// For writing; a new file, or an existing one emptied.
    Create,
}

/// How a lock file is locked. The kernel frees a lock when its holder dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Together with other sharers; waits.
    Shared,
    /// Alone; waits.
    Exclusive,
    /// Alone, or not at all.
    TryExclusive,
}

/// Keeps a lock until it is dropped.
pub type Guard = Box<dyn Any + Send + Sync>;

/// An open file.
pub trait MediumFile: Debug + Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// As the system reports.
    fn len(&self) -> io::Result<u64>;
    /// Whether it holds nothing.
    ///
    /// # Errors
    /// As the system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// As the system reports; `UnexpectedEof` when the file is shorter.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As the system reports.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends with zeros.
    ///
    /// # Errors
    /// As the system reports.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Returns once content and length are durable.
    ///
    /// # Errors
    /// As the system reports. What was written since the last success is then in doubt.
    fn sync(&self) -> io::Result<()>;
}

/// All of a file system, to be made durable at once.
pub trait FileSystem: Debug + Send + Sync {
    /// Whether the folder at `path` lies in it.
    ///
    /// # Errors
    /// As the system reports.
    fn holds(&self, path: &Path) -> io::Result<bool>;
    /// Returns once every content, length and name in it is durable.
    ///
    /// # Errors
    /// As the system reports, also of what failed to be written since the file system is watched.
    fn sync(&self) -> io::Result<()>;
}

/// A file system, as far as a store needs one.
pub trait Medium: Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As the system reports.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>>;
    /// Locks the file at `path`, making it when it is missing. `None`: somebody else has it.
    ///
    /// # Errors
    /// As the system reports.
    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>>;
    /// Renames a file, replacing any at the new place, or a folder.
    ///
    /// # Errors
    /// As the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// As the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder in one that is there. Its name is durable once that one was synced.
    ///
    /// # Errors
    /// As the system reports; `AlreadyExists` when something has the name, `NotFound` when the folder above is
    /// missing.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    ///
    /// # Errors
    /// As the system reports; `DirectoryNotEmpty` when it is not empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a folder are durable.
    ///
    /// # Errors
    /// As the system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Watches the file system that holds the folder at `path`; `None` where all of it cannot be made durable at
    /// once, or failed writes would not be reported.
    ///
    /// # Errors
    /// As the system reports.
    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn FileSystem>>>;
    /// Names in a folder and whether each is a folder itself; nothing when the folder is missing.
    ///
    /// # Errors
    /// As the system reports.
    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>>;
    /// The Unix second.
    fn now(&self) -> u64;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Medium for Disk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read);
        if access == Access::Create {
            options.create(true).truncate(true);
        }
        Ok(Box::new(DiskFile(options.open(path)?)))
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>> {
        let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
            Ok(file) => file,
            // A medium that cannot be written can still be locked, where the lock file is there.
            Err(_) if lock == Lock::Shared => File::open(path)?,
            Err(error) => return Err(error),
        };
        match lock {
            Lock::Shared => file.lock_shared()?,
            Lock::Exclusive => file.lock()?,
            Lock::TryExclusive => match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            },
        }
        Ok(Some(Box::new(Locked(file))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // The parent of a relative path is the empty path, by which people mean this folder.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()
    }

    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn FileSystem>>> {
        if !syncs_report_failures() {
            return Ok(None);
        }
        let folder = File::open(path)?;
        let device = folder.metadata()?.dev();
        Ok(Some(Box::new(DiskFileSystem { folder, device })))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A link out of the store is a file here, never a folder to walk into.
            names.push((entry.path(), entry.file_type()?.is_dir()));
        }
        names.sort();
        Ok(names)
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A locked file. Closing it is not enough: a program that another thread starts holds a copy for a moment.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Where this fails, the lock ends when the last copy is closed.
        drop(self.0.unlock());
    }
}

/// The file system that a folder lies in.
#[derive(Debug)]
struct DiskFileSystem {
    folder: File,
    device: u64,
}

impl FileSystem for DiskFileSystem {
    fn holds(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::metadata(path)?.dev() == self.device)
    }

    #[cfg(target_os = "linux")]
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.folder)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether one sync of a whole file system reports failed writes: from Linux 5.8 on.
fn syncs_report_failures() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    cfg!(target_os = "linux") && (numbers.next(), numbers.next()) >= (Some(5), Some(8))
}

#[derive(Debug)]
struct DiskFile(File);

impl MediumFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_lock_is_free_once_dropped_also_while_programs_are_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let refused = (0..20_000).position(|_| Disk.lock(&path, Lock::TryExclusive).unwrap().is_none());
            done.store(true, Ordering::Relaxed);
            assert_eq!(refused, None);
        });
    }
}
