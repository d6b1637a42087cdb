//! The files of segments on their way into the tables' folders, and out of them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore_schema::retired_path;

use super::error::StoreError;
use super::folders::{self, Folders};
use super::medium::{FileSystem, Medium, MediumFile};

/// Most files that are made durable one by one. More are left to a sync of the whole file system: where each sync
/// waits for the disk, thousands of small files would take minutes.
const ONE_BY_ONE: usize = 16;

/// A file with all its content under a temporary name, perhaps not durable yet.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) temporary: PathBuf,
    pub(super) place: PathBuf,
    /// Open until it is synced: a file that is opened anew need not report what could not be written.
    pub(super) file: Option<Arc<dyn MediumFile>>,
}

/// What one writer does with the files of segments.
#[derive(Debug)]
pub(super) struct Files {
    medium: Arc<dyn Medium>,
    root: PathBuf,
    folders: Folders,
    /// The one that holds the store, watched before anything is written.
    file_system: Option<Box<dyn FileSystem>>,
    /// What the next commit names, each with whether it lies in that file system.
    waiting: Vec<(Written, bool)>,
}

impl Files {
    /// Of the store at `root`, which is there.
    pub(super) fn new(medium: &Arc<dyn Medium>, root: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            medium: Arc::clone(medium),
            root: root.to_owned(),
            folders: Folders::default(),
            file_system: medium.watch(root).map_err(StoreError::io("open", root))?,
            waiting: Vec::new(),
        })
    }

    /// Makes the folders that lead to a path below the store.
    pub(super) fn make_folders(&mut self, path: &str) -> Result<(), StoreError> {
        self.folders.make(self.medium.as_ref(), &self.root, Path::new(path))
    }

    /// Takes a file that the next commit names.
    pub(super) fn push(&mut self, mut written: Written) -> Result<(), StoreError> {
        let whole = self.is_held(folder_of(&written.place))?;
        if self.waiting.len() >= ONE_BY_ONE
            && let Some(file) = written.file.take()
            && !whole
        {
            file.sync().map_err(StoreError::io("sync", &written.temporary))?;
        }
        self.waiting.push((written, whole));
        Ok(())
    }

    /// Makes all that was taken durable under its names.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let many = self.waiting.len() > ONE_BY_ONE;
        let (mut changed, mut left) = (BTreeSet::new(), false);
        for (written, whole) in &mut self.waiting {
            let file = written.file.take();
            if many && *whole {
                left = true;
                continue;
            }
            if let Some(file) = file {
                file.sync().map_err(StoreError::io("sync", &written.temporary))?;
            }
            changed.insert(folder_of(&written.place).to_owned());
        }
        self.sync_whole(left)?;
        for (Written { temporary, place, .. }, _) in &self.waiting {
            self.medium.rename(temporary, place).map_err(StoreError::io("rename", temporary))?;
        }
        for folder in &changed {
            folders::sync(self.medium.as_ref(), folder)?;
        }
        self.folders.sync(self.medium.as_ref())?;
        self.sync_whole(left)?;
        self.waiting.clear();
        Ok(())
    }

    /// Moves files, paths below the store, out of the folders that other programs read. Those that are missing
    /// are damage which `verify` reported.
    pub(super) fn retire(&mut self, paths: &[String]) -> Result<(), StoreError> {
        let (mut from, mut to) = (BTreeSet::new(), BTreeSet::new());
        for path in paths {
            let retired = retired_path(path);
            self.make_folders(&retired)?;
            let (old, new) = (self.root.join(path), self.root.join(retired));
            match self.medium.rename(&old, &new) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                renamed => renamed.map_err(StoreError::io("rename", &old))?,
            }
            from.insert(folder_of(&old).to_owned());
            to.insert(folder_of(&new).to_owned());
        }
        let mut left = to.len() + from.len() > ONE_BY_ONE;
        for folder in from.iter().chain(&to) {
            left = left && self.is_held(folder)?;
        }
        // The new names first: a file with none would be lost to readers of an older snapshot.
        for folder in to.iter().filter(|_| !left) {
            folders::sync(self.medium.as_ref(), folder)?;
        }
        self.folders.sync(self.medium.as_ref())?;
        for folder in from.iter().filter(|_| !left) {
            folders::sync(self.medium.as_ref(), folder)?;
        }
        self.sync_whole(left)
    }

    /// Whether a folder lies in the file system that can be synced as a whole.
    fn is_held(&self, folder: &Path) -> Result<bool, StoreError> {
        match &self.file_system {
            Some(file_system) => file_system.holds(folder).map_err(StoreError::io("open", folder)),
            None => Ok(false),
        }
    }

    /// Makes everything durable that was `left` to that.
    fn sync_whole(&self, left: bool) -> Result<(), StoreError> {
        match &self.file_system {
            Some(file_system) if left => {
                file_system.sync().map_err(StoreError::io("sync the file system of", &self.root))
            }
            _ => Ok(()),
        }
    }
}

fn folder_of(place: &Path) -> &Path {
    place.parent().expect("a segment lies in a folder; this is a bug")
}
