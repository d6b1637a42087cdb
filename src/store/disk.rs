//! The file system of this machine.
//!
//! A store may come from somebody else. So below its folder no link is followed, nothing but a plain file is opened,
//! and no open waits for another process, as that of a FIFO would. The store's own path may be a link: it is the
//! user's.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, statat, unlinkat};
#[cfg(target_os = "linux")]
use rustix::fs::{CWD, linkat};

use super::medium::{Access, FileSystem, Guard, Held, Lock, Medium, MediumFile};

/// The disk as one store sees it.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
}

/// How long a reader waits for a commit, which takes milliseconds, to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a folder is opened: as itself, never as what a link of its name leads to.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How a file is opened, besides reading or writing.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// An entry of a folder in the store.
struct Entry {
    folder: OwnedFd,
    name: PathBuf,
}

impl Disk {
    /// The disk for the store at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Opens the folder of the store, which links may lead to.
    fn root(&self) -> io::Result<OwnedFd> {
        let path = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        Ok(rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?)
    }

    /// The path within the store; `None` for the store's folder and what is above it.
    fn inside<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).ok().filter(|inside| !inside.as_os_str().is_empty())
    }

    /// Finds the entry of the store that `inside` names, going from folder to folder.
    fn entry(&self, inside: &Path) -> io::Result<Entry> {
        let mut names = inside.components().peekable();
        let mut folder = self.root()?;
        while let Some(Component::Normal(name)) = names.next() {
            let name = Path::new(name);
            if names.peek().is_none() {
                return Ok(Entry { folder, name: name.to_owned() });
            }
            folder = open_folder(&folder, name)?;
        }
        Err(io::Error::new(ErrorKind::InvalidInput, "not a path within the store"))
    }

    /// Opens the folder at `path`, in the store or above it.
    fn folder(&self, path: &Path) -> io::Result<File> {
        match self.inside(path) {
            Some(inside) => {
                let Entry { folder, name } = self.entry(inside)?;
                Ok(open_folder(&folder, &name)?.into())
            }
            // The parent of a relative path is the empty path, by which people mean this folder.
            None if path.as_os_str().is_empty() => File::open("."),
            None => File::open(path),
        }
    }

    fn open_entry(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let Entry { folder, name } = self.entry(self.inside(path).unwrap_or(path))?;
        let file = match openat(&folder, &name, flags | FILE, Mode::from_raw_mode(0o666)) {
            Ok(file) => File::from(file),
            Err(error) => return Err(refusal(&folder, &name, error)),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_plain(FileType::from_raw_mode(fstat(&file)?.st_mode)));
        }
        let writes = flags.intersects(OFlags::RDWR | OFlags::WRONLY);
        if writes && metadata.nlink() > 1 {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "it has a second name (a hard link), so that writing would change another file too; copy the store",
            ));
        }
        Ok(file)
    }
}

fn open_folder(above: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    openat(above, name, FOLDER, Mode::empty()).map_err(|error| refusal(above, name, error))
}

/// Why an entry could not be opened: a link says so, whichever way the system put it.
fn refusal(folder: &OwnedFd, name: &Path, error: rustix::io::Errno) -> io::Error {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => error.into(),
            FileType::Directory if error != rustix::io::Errno::ISDIR => error.into(),
            other => not_plain(other),
        },
        Err(_) => error.into(),
    }
}

fn not_plain(kind: FileType) -> io::Error {
    let kind = match kind {
        FileType::Symlink => "a symbolic link, which is not followed inside a store",
        FileType::Directory => "a folder, not a file",
        FileType::Fifo => "a FIFO, not a plain file",
        FileType::Socket => "a socket, not a plain file",
        _ => "a device, not a plain file",
    };
    io::Error::new(ErrorKind::InvalidInput, format!("it is {kind}"))
}

impl Medium for Disk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Update => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
        };
        let file = self.open_entry(path, flags)?;
        if access == Access::Create {
            // Not before it is known to be a plain file of one name.
            file.set_len(0)?;
        }
        Ok(Box::new(DiskFile(file)))
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>> {
        loop {
            let file = match self.open_entry(path, OFlags::RDWR | OFlags::CREATE) {
                Ok(file) => file,
                // A medium that cannot be written can still be locked, where the lock file is there.
                Err(_) if lock == Lock::Shared => self.open_entry(path, OFlags::RDONLY)?,
                Err(error) => return Err(error),
            };
            match lock {
                Lock::Shared => lock_shared(&file)?,
                Lock::Exclusive => file.lock()?,
                Lock::TryExclusive => match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(error)) => return Err(error),
                },
            }
            let locked = Locked { file, disk: self.clone(), path: path.to_owned() };
            // Whoever removed the file meanwhile left a lock that nobody else sees.
            if locked.is_named()? {
                return Ok(Some(Box::new(locked)));
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) =
            (self.entry(self.inside(from).unwrap_or(from))?, self.entry(self.inside(to).unwrap_or(to))?);
        Ok(renameat(&from.folder, &from.name, &to.folder, &to.name)?)
    }

    #[cfg(target_os = "linux")]
    fn link(&self, file: &File, to: &Path) -> io::Result<()> {
        let Entry { folder, name } = self.entry(self.inside(to).unwrap_or(to))?;
        // The file that is open, whatever has its name by now.
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, from, &folder, &name, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let Entry { folder, name } = self.entry(self.inside(path).unwrap_or(path))?;
        let kind = FileType::from_raw_mode(statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(not_plain(kind));
        }
        Ok(unlinkat(&folder, &name, AtFlags::empty())?)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match self.inside(path) {
            None => fs::create_dir(path),
            Some(inside) => {
                let Entry { folder, name } = self.entry(inside)?;
                Ok(mkdirat(&folder, &name, Mode::from_raw_mode(0o777))?)
            }
        }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let Entry { folder, name } = self.entry(self.inside(path).unwrap_or(path))?;
        Ok(unlinkat(&folder, &name, AtFlags::REMOVEDIR)?)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.folder(path)?.sync_all()
    }

    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn FileSystem>>> {
        if !syncs_report_failures() {
            return Ok(None);
        }
        let folder = self.folder(path)?;
        let device = folder.metadata()?.dev();
        Ok(Some(Box::new(DiskFileSystem { disk: self.clone(), folder, device })))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let folder = match self.folder(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
            if [".", ".."].iter().any(|own| name == Path::new(own)) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    FileType::from_raw_mode(statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
                }
                known => known,
            };
            // A link out of the store is a file here, never a folder to walk into.
            names.push((path.join(name), kind == FileType::Directory));
        }
        names.sort();
        Ok(names)
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// Locks a file together with others, waiting for whoever has it alone, but not without end: a writer that was stopped
/// in the middle of a commit would keep every reader out.
fn lock_shared(file: &File) -> io::Result<()> {
    match file.try_lock_shared() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let (done, locked) = mpsc::sync_channel(1);
    let waiting = file.try_clone()?;
    // Nothing polls: another thread waits in the kernel. When it is too late, closing the file frees the lock.
    thread::spawn(move || drop(done.send(waiting.lock_shared())));
    locked.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// A locked file. Closing it is not enough: a program that another thread starts holds a copy for a moment.
#[derive(Debug)]
struct Locked {
    file: File,
    disk: Disk,
    path: PathBuf,
}

impl Held for Locked {
    fn is_named(&self) -> io::Result<bool> {
        let Entry { folder, name } = match self.disk.entry(self.disk.inside(&self.path).unwrap_or(&self.path))
        {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            entry => entry?,
        };
        let locked = fstat(&self.file)?;
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino)),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Where this fails, the lock ends when the last copy is closed.
        drop(self.file.unlock());
    }
}

/// The file system that a folder lies in.
#[derive(Debug)]
struct DiskFileSystem {
    disk: Disk,
    folder: File,
    device: u64,
}

impl FileSystem for DiskFileSystem {
    fn holds(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.folder(path)?.metadata()?.dev() == self.device)
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
pub(super) struct DiskFile(pub(super) File);

impl MediumFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn local(&self) -> Option<&File> {
        Some(&self.0)
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
        let (disk, path) = (Disk::new(folder.path()), folder.path().join("lock"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let refused = (0..20_000).position(|_| disk.lock(&path, Lock::TryExclusive).unwrap().is_none());
            done.store(true, Ordering::Relaxed);
            assert_eq!(refused, None);
        });
    }
}
