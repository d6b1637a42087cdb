//! A disk in memory that keeps what is live and what is durable apart. Its calls are recorded, so that a test
//! can stop it at each of them, and any one can be made to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vestore::{Access, FileSystem, Guard, Held, Lock, Medium, MediumFile};

/// The piece of a write that reaches a disk whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// A call that changes something.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Makes a file where there is none.
    Touch(PathBuf),
    Write(usize, u64, Vec<u8>),
    Length(usize, u64),
    Sync(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    CreateFolder(PathBuf),
    RemoveFolder(PathBuf),
    SyncFolder(PathBuf),
    /// All of the file system.
    SyncAll,
}

impl Call {
    /// What it is, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{self:?}").chars().take(80).collect()
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length as usize, 0),
            Self::Write(offset, bytes) => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(bytes);
            }
        }
    }

    /// In pieces that reach the disk on their own.
    fn pieces(&self) -> Vec<Self> {
        let Self::Write(offset, bytes) = self else { return vec![self.clone()] };
        let (mut pieces, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let here = *offset as usize + at;
            let length = (SECTOR - here % SECTOR).min(bytes.len() - at);
            pieces.push(Self::Write(here as u64, bytes[at..at + length].to_vec()));
            at += length;
        }
        pieces
    }
}

#[derive(Clone, Debug, Default)]
struct Content {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// What was done since the last sync.
    pending: Vec<Change>,
}

/// Names that change together: what each stands for from then on.
type Renaming = Vec<(PathBuf, Option<Node>)>;

/// What a disk holds, and what of it would survive a loss of power.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Changes of names that no sync of their folder made durable.
    pending: Vec<(PathBuf, Renaming)>,
    files: Vec<Content>,
}

impl State {
    /// A disk with one folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let names = BTreeMap::from([(folder.to_owned(), Node::Folder)]);
        Self { durable: names.clone(), names, ..Self::default() }
    }

    fn change_names(&mut self, folder: &Path, renaming: Renaming) {
        for (path, node) in &renaming {
            set(&mut self.names, path, *node);
        }
        self.pending.push((folder.to_owned(), renaming));
    }

    /// The file at `path`.
    fn find(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The folder that `path` lies in.
    fn above<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        let above = path.parent().unwrap();
        if self.names.get(above) == Some(&Node::Folder) { Ok(above) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// Does what a call asks for.
    pub(crate) fn apply(&mut self, call: &Call) -> io::Result<()> {
        match call {
            Call::Touch(path) => {
                let above = self.above(path)?;
                let file = self.files.len();
                self.files.push(Content::default());
                self.change_names(above, vec![(path.clone(), Some(Node::File(file)))]);
            }
            Call::Write(file, offset, bytes) => self.change(*file, Change::Write(*offset, bytes.clone())),
            Call::Length(file, length) => self.change(*file, Change::Length(*length)),
            Call::Sync(file) => {
                let content = &mut self.files[*file];
                content.durable = Arc::clone(&content.live);
                content.pending.clear();
            }
            Call::Rename(from, to) => {
                let (old, new) = (self.above(from)?, self.above(to)?);
                // What lies in a folder goes with it.
                let (mut gone, mut come) = (Vec::new(), Vec::new());
                for (path, node) in self.names.iter().filter(|(path, _)| path.starts_with(from)) {
                    let inside = path.strip_prefix(from).unwrap();
                    let moved = if path == from { to.clone() } else { to.join(inside) };
                    gone.push((path.clone(), None));
                    come.push((moved, Some(*node)));
                }
                if gone.is_empty() {
                    return Err(ErrorKind::NotFound.into());
                }
                if old == new {
                    gone.extend(come);
                    self.change_names(new, gone);
                } else {
                    // Each folder reaches the disk by itself: the file may be found under both names, or none.
                    self.change_names(new, come);
                    self.change_names(old, gone);
                }
            }
            Call::Remove(path) => {
                self.find(path)?;
                let above = self.above(path)?;
                self.change_names(above, vec![(path.clone(), None)]);
            }
            Call::CreateFolder(path) => {
                let above = self.above(path)?;
                if self.names.contains_key(path) {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                self.change_names(above, vec![(path.clone(), Some(Node::Folder))]);
            }
            Call::RemoveFolder(path) => {
                let above = self.above(path)?;
                if self.names.keys().any(|name| name.parent() == Some(path.as_path())) {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                self.change_names(above, vec![(path.clone(), None)]);
            }
            Call::SyncAll => {
                self.pending.clear();
                self.durable = self.names.clone();
                for content in &mut self.files {
                    content.durable = Arc::clone(&content.live);
                    content.pending.clear();
                }
            }
            Call::SyncFolder(path) => {
                let (done, left) =
                    std::mem::take(&mut self.pending).into_iter().partition(|change| change.0 == *path);
                self.pending = left;
                for (path, node) in
                    Vec::into_iter(done).flat_map(|(_, renaming): (PathBuf, Renaming)| renaming)
                {
                    set(&mut self.durable, &path, node);
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, file: usize, change: Change) {
        let content = &mut self.files[file];
        change.apply(Arc::make_mut(&mut content.live));
        content.pending.push(change);
    }

    /// What is found after a loss of power: what was synced, and of the rest what `survives`, sector by
    /// sector and name by name.
    pub(crate) fn after_power_loss(&self, mut survives: impl FnMut() -> bool) -> Self {
        let mut names = self.durable.clone();
        for (_, renaming) in &self.pending {
            if survives() {
                for (path, node) in renaming {
                    set(&mut names, path, *node);
                }
            }
        }
        // What lies in a folder whose name was lost cannot be reached.
        let mut reached: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (path, node) in names {
            let root = !self.durable.keys().any(|other| path.starts_with(other) && *other != path);
            if root || path.parent().is_some_and(|above| reached.contains_key(above)) {
                reached.insert(path, node);
            }
        }
        let files = self.files.iter().map(|content| {
            let mut bytes = Arc::clone(&content.durable);
            for piece in content.pending.iter().flat_map(Change::pieces) {
                if survives() {
                    piece.apply(Arc::make_mut(&mut bytes));
                }
            }
            Content { live: Arc::clone(&bytes), durable: bytes, pending: Vec::new() }
        });
        Self { files: files.collect(), names: reached.clone(), durable: reached, pending: Vec::new() }
    }

    /// The names of files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let is_file = |(path, node): (&PathBuf, &Node)| matches!(node, Node::File(_)).then(|| path.clone());
        self.names.iter().filter_map(is_file).collect()
    }

    /// The content of a file, to be changed behind everybody's back.
    pub(crate) fn content(&mut self, path: &Path) -> &mut Vec<u8> {
        let file = self.find(path).unwrap();
        Arc::make_mut(&mut self.files[file].live)
    }
}

fn set(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The system refuses with this number.
    Refused(i32),
    /// Half of a write is done, then the disk is full.
    Short,
}

const ENOSPC: i32 = 28;

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// Calls that changed something, in order.
    log: Vec<Call>,
    /// Calls of any kind.
    calls: u64,
    /// Those that changed something, and whether they wrote bytes.
    changes: BTreeMap<u64, bool>,
    /// Which call fails, and how.
    fault: Option<(u64, Fault)>,
    /// Whether a call failed before the disk was healed.
    healed: bool,
    locked: BTreeSet<PathBuf>,
    now: u64,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Inner>>);

impl MemoryDisk {
    pub(crate) fn new(state: State, now: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner { state, now, ..Inner::default() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> State {
        self.inner().state.clone()
    }

    pub(crate) fn time(&self) -> u64 {
        self.inner().now
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.inner().now += seconds;
    }

    /// Calls that changed something so far.
    pub(crate) fn log(&self) -> Vec<Call> {
        self.inner().log.clone()
    }

    /// The `nth` call from now on fails, from 0; any later one succeeds.
    pub(crate) fn fail(&self, nth: u64, fault: Fault) {
        let mut inner = self.inner();
        inner.fault = Some((inner.calls + nth, fault));
    }

    /// No call fails any more; whether one did stays known.
    pub(crate) fn heal(&self) {
        let mut inner = self.inner();
        inner.healed = inner.fault.take().is_some_and(|(at, _)| at < inner.calls);
    }

    /// What the `nth` call on this disk changed: `None` when it only looked, whether it wrote bytes otherwise.
    pub(crate) fn change_at(&self, nth: u64) -> Option<bool> {
        self.inner().changes.get(&nth).copied()
    }

    /// Whether the call that was to fail has come.
    pub(crate) fn has_failed(&self) -> bool {
        let inner = self.inner();
        inner.healed || inner.fault.is_some_and(|(at, _)| at < inner.calls)
    }

    /// Counts a call that changes nothing, and lets it fail.
    fn look(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        inner.calls += 1;
        match inner.fault {
            Some((at, Fault::Refused(number))) if at + 1 == inner.calls => {
                Err(io::Error::from_raw_os_error(number))
            }
            Some((at, Fault::Short)) if at + 1 == inner.calls => Err(io::Error::from_raw_os_error(ENOSPC)),
            _ => Ok(inner),
        }
    }

    fn change(&self, call: Call) -> io::Result<()> {
        {
            let mut inner = self.inner();
            if let (Call::Write(file, offset, bytes), Some((at, Fault::Short))) = (&call, inner.fault)
                && at == inner.calls
            {
                let half = bytes[..bytes.len() / 2].to_vec();
                inner.state.apply(&Call::Write(*file, *offset, half))?;
            }
        }
        let mut inner = self.look()?;
        let number = inner.calls - 1;
        inner.changes.insert(number, matches!(call, Call::Write(..)));
        inner.state.apply(&call)?;
        inner.log.push(call);
        Ok(())
    }
}

impl Medium for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        let there = self.look()?.state.find(path);
        let file = match there {
            Err(error) if error.kind() == ErrorKind::NotFound && access == Access::Create => {
                self.change(Call::Touch(path.to_owned()))?;
                self.inner().state.find(path)?
            }
            there => there?,
        };
        if access == Access::Create {
            self.change(Call::Length(file, 0))?;
        }
        Ok(Box::new(MemoryFile { disk: self.clone(), file }))
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Guard>> {
        if self.look()?.state.find(path).is_err() {
            self.change(Call::Touch(path.to_owned()))?;
        }
        // Tests run on one thread: nobody to wait for.
        let alone = lock == Lock::TryExclusive;
        if alone && !self.inner().locked.insert(path.to_owned()) {
            return Ok(None);
        }
        let file = self.inner().state.find(path)?;
        Ok(Some(Box::new(MemoryLock { disk: self.clone(), path: path.to_owned(), file, alone })))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Call::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Call::Remove(path.to_owned()))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Call::CreateFolder(path.to_owned()))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Call::RemoveFolder(path.to_owned()))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Call::SyncFolder(path.to_owned()))
    }

    fn watch(&self, _: &Path) -> io::Result<Option<Box<dyn FileSystem>>> {
        drop(self.look()?);
        Ok(Some(Box::new(self.clone())))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let inner = self.look()?;
        let entries = inner.state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        Ok(entries.map(|(name, node)| (name.clone(), *node == Node::Folder)).collect())
    }

    fn now(&self) -> u64 {
        self.inner().now
    }
}

impl FileSystem for MemoryDisk {
    fn holds(&self, _: &Path) -> io::Result<bool> {
        drop(self.look()?);
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        self.change(Call::SyncAll)
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
}

impl MediumFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.look()?.state.files[self.file].live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.disk.look()?;
        let content = &inner.state.files[self.file].live;
        let end = offset as usize + buffer.len();
        let bytes = content.get(offset as usize..end).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change(Call::Write(self.file, offset, bytes.to_vec()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.change(Call::Length(self.file, length))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(Call::Sync(self.file))
    }
}

#[derive(Debug)]
struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
    file: usize,
    /// Whether others are kept out.
    alone: bool,
}

impl Held for MemoryLock {
    fn is_named(&self) -> io::Result<bool> {
        Ok(self.disk.look()?.state.find(&self.path).is_ok_and(|named| named == self.file))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if self.alone {
            self.disk.inner().locked.remove(&self.path);
        }
    }
}
