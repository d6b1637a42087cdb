//! Where a store lies: every system call of the store goes through this one trait, so that tests can
//! fail, cut or forget each of them.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

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
    /// Together with other sharers; waits some seconds, then `TimedOut`.
    Shared,
    /// Alone; waits.
    Exclusive,
    /// Alone, or not at all.
    TryExclusive,
}

/// A lock that is held.
pub trait Held: Debug + Send + Sync {
    /// Whether its path still names the file that is locked. Where it does not, somebody removed the file or put
    /// another folder in the store's place, and others may hold a lock of the same name.
    ///
    /// # Errors
    /// As the system reports.
    fn is_named(&self) -> io::Result<bool>;
}

/// Keeps a lock until it is dropped.
pub type Guard = Box<dyn Held>;

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
    /// The same file, whose bytes in `ranges` were fetched together, where each read takes long; none where that gains
    /// nothing.
    ///
    /// # Errors
    /// As the system reports.
    fn fetched(&self, _ranges: &[Range<u64>]) -> io::Result<Option<Box<dyn MediumFile>>> {
        Ok(None)
    }
    /// The file of this machine that it is, if it is one.
    fn local(&self) -> Option<&File> {
        None
    }
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
    /// Gives a file of this machine another name, at which there is nothing.
    ///
    /// # Errors
    /// As the system reports; `Unsupported` where files have one name.
    fn link(&self, _file: &File, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
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
