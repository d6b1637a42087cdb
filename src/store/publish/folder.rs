//! The folder that a store is published into.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore_schema::{
    Digest, GENES_FOLDER, IDS_FOLDER, PUBLISHED_FILE, Published, Table, is_published_catalog,
};

use super::super::catalog::CATALOG;
use super::super::copies::MODELS;
use super::super::digest::digest;
use super::super::error::StoreError;
use super::super::files::{Files, Written};
use super::super::medium::{Access, Guard, Lock, Medium, MediumFile};
use super::super::reference::{FOLDER as REFERENCE, write_file};
use super::super::{PARTIAL, Store, folders, published};
use super::PublishedFiles;

/// Locked by whoever publishes, and removed at the end: where it is, the folder is a published store in the making.
const PUBLISHING: &str = ".publishing";
/// Bytes after which copies get their names, so that one that was cut short continues from there.
const SETTLED: u64 = 1 << 30;

/// A file of the store as it is published.
pub(super) struct Wanted {
    /// Relative to the store.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// SHA-256, where the catalog has it.
    pub(super) checksum: Option<Digest>,
}

/// The folder, while it is this process's alone.
pub(super) struct Folder {
    root: PathBuf,
    medium: Arc<dyn Medium>,
    lock: Guard,
    files: Files,
    /// Bytes that wait for their names.
    unsettled: u64,
    head: Option<Published>,
    /// What the folder was published with before, whole files by path; and whether a copy of the reference is among them.
    known: HashMap<String, Digest>,
    has_reference: bool,
    pub(super) done: PublishedFiles,
}

impl Folder {
    /// Takes the folder at `root` to publish `store` into.
    pub(super) fn claim(root: &Path, medium: Arc<dyn Medium>, store: &Store) -> Result<Self, StoreError> {
        let refused = || StoreError::Unpublished { path: root.to_owned() };
        let there = match medium.list(root) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(refused()),
            there => there.map_err(StoreError::io("list", root))?,
        };
        let has = |name: &str| there.iter().any(|(path, is_folder)| *path == root.join(name) && !is_folder);
        if has(CATALOG) || !(there.is_empty() || has(PUBLISHED_FILE) || has(PUBLISHING)) {
            return Err(refused());
        }
        folders::make_root(medium.as_ref(), root)?;
        let path = root.join(PUBLISHING);
        let lock = medium.lock(&path, Lock::TryExclusive).map_err(StoreError::io("lock", &path))?;
        let lock = lock.ok_or_else(|| StoreError::Publishing { path: root.to_owned() })?;
        folders::sync(medium.as_ref(), root)?;
        let head = published::head(root, medium.as_ref())?;
        // One that cannot be read is made anew: its files are compared byte by byte then.
        let before =
            head.as_ref().and_then(|head| Store::open_published(root, Arc::clone(&medium), head).ok());
        let (mut known, mut has_reference) = (HashMap::new(), false);
        if let Some(before) = before {
            if before.assembly() != store.assembly() {
                let reason = "its reference is another one".to_owned();
                return Err(StoreError::OtherPublished { path: root.to_owned(), reason });
            }
            has_reference = before.record.copied;
            let segments = before.all_segments()?;
            known.extend(segments.iter().map(|segment| (segment.path(), segment.checksum)));
            let tables = before.gene_tables()?;
            known.extend(tables.iter().map(|table| (table.path(), table.digest)));
            let names = tables.iter().filter_map(|table| table.names.as_ref());
            known.extend(names.map(|names| (names.path(), names.digest)));
            known.extend(before.id_tables()?.iter().map(|table| (table.path(), table.digest)));
            let models = before.snapshot()?.models;
            let files = models.into_iter().flat_map(|model| model.files);
            known.extend(files.map(|file| (file.path, file.sha256)));
        }
        let files = Files::new(&medium, root)?;
        let (root, unsettled, done) = (root.to_owned(), 0, PublishedFiles::default());
        Ok(Self { root, medium, lock, files, unsettled, head, known, has_reference, done })
    }

    /// Puts a file of the store, which `open` opens, into the folder unless it is there.
    pub(super) fn put(
        &mut self,
        wanted: &Wanted,
        open: &dyn Fn() -> Result<Box<dyn MediumFile>, StoreError>,
    ) -> Result<(), StoreError> {
        self.done.files += 1;
        self.done.bytes += wanted.bytes;
        let place = self.root.join(&wanted.path);
        if self.has(wanted, &place)? {
            return Ok(());
        }
        let mut temporary = place.clone().into_os_string();
        temporary.push(PARTIAL);
        let temporary = PathBuf::from(temporary);
        self.files.make_folders(&wanted.path)?;
        self.remove(&temporary)?;
        let source = open()?;
        let linked = source.local().is_some_and(|file| self.medium.link(file, &temporary).is_ok());
        let unread = |error| StoreError::io("read", Path::new(&wanted.path))(error);
        let length = source.len().map_err(unread)?;
        let broken = |reason| StoreError::Unpublishable { path: wanted.path.clone(), reason };
        if length != wanted.bytes {
            return Err(broken(format!("{length} bytes long, not {}", wanted.bytes)));
        }
        let found;
        let file = if linked {
            found = digest(source.as_ref(), unread, |_, _| Ok(()))?;
            None
        } else {
            let file =
                self.medium.open(&temporary, Access::Create).map_err(StoreError::io("create", &temporary))?;
            let write = |bytes: &[u8], offset| {
                file.write_at(bytes, offset).map_err(StoreError::io("write", &temporary))
            };
            found = digest(source.as_ref(), unread, write)?;
            Some(Arc::from(file))
        };
        if let Some(checksum) = wanted.checksum.filter(|checksum| *checksum != found) {
            self.remove(&temporary)?;
            return Err(broken(format!("checksum {} is not {}", found.short(), checksum.short())));
        }
        self.done.new_files += 1;
        self.done.new_bytes += wanted.bytes;
        self.files.push(Written { temporary, place, file })?;
        self.unsettled += wanted.bytes;
        if self.unsettled >= SETTLED {
            self.settle()?;
        }
        Ok(())
    }

    /// Whether a file is there as it is wanted. What an earlier state has under its name must not change.
    fn has(&self, wanted: &Wanted, place: &Path) -> Result<bool, StoreError> {
        let known = self.known.get(&wanted.path);
        if let (Some(known), Some(checksum)) = (known, &wanted.checksum)
            && known != checksum
        {
            let reason = format!("{} differs", wanted.path);
            return Err(StoreError::OtherPublished { path: self.root.clone(), reason });
        }
        let file = match self.medium.open(place, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(StoreError::io("open", place))?,
        };
        if file.len().map_err(StoreError::io("read", place))? != wanted.bytes {
            return Ok(false);
        }
        match wanted.checksum {
            None => Ok(self.has_reference),
            Some(_) if known.is_some() => Ok(true),
            // Left by one that was cut short, perhaps of another store.
            Some(checksum) => {
                Ok(digest(file.as_ref(), |error| StoreError::io("read", place)(error), |_, _| Ok(()))?
                    == checksum)
            }
        }
    }

    /// Puts a copy of the reference, which `write` makes, into the folder unless it is there.
    pub(super) fn put_copy(
        &mut self,
        paths: &[PathBuf],
        write: impl FnOnce(&dyn Medium) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let length = |path: &PathBuf| {
            let path = self.root.join(path);
            let file = self.medium.open(&path, Access::Read).map_err(StoreError::io("open", &path))?;
            file.len().map_err(StoreError::io("read", &path))
        };
        let lengths = |paths: &[PathBuf]| paths.iter().map(length).sum::<Result<u64, StoreError>>();
        let there = self.has_reference && lengths(paths).is_ok();
        if !there {
            write(self.medium.as_ref())?;
        }
        let (files, bytes) = (paths.len() as u64, lengths(paths)?);
        self.done.files += files;
        self.done.bytes += bytes;
        if !there {
            self.done.new_files += files;
            self.done.new_bytes += bytes;
        }
        Ok(())
    }

    /// Writes the catalog, then the head, with which the new state is the published one.
    pub(super) fn finish(&mut self, head: &Published, catalog: &[u8]) -> Result<(), StoreError> {
        self.settle()?;
        let text = head.to_text();
        self.done.files += 2;
        self.done.bytes += head.bytes + text.len() as u64;
        let wanted = Wanted { path: head.catalog.clone(), bytes: head.bytes, checksum: Some(head.sha256) };
        let path = self.root.join(&head.catalog);
        if !self.has(&wanted, &path)? {
            self.write(&path, catalog)?;
        }
        if self.head.as_ref() != Some(head) {
            self.write(&self.root.join(PUBLISHED_FILE), text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a file in the folder, durably.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        write_file(self.medium.as_ref(), path, |write| write(bytes))?;
        folders::sync(self.medium.as_ref(), &self.root)?;
        self.done.new_files += 1;
        self.done.new_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Removes what was cut short, and gives the files that are not among `files`, relative to the folder; removed too
    /// if they are to be pruned.
    pub(super) fn clean(&self, files: &BTreeSet<PathBuf>, prune: bool) -> Result<Vec<PathBuf>, StoreError> {
        let list = |path: &Path| self.medium.list(path).map_err(StoreError::io("list", path));
        let mut found: Vec<PathBuf> = list(&self.root)?
            .into_iter()
            .filter(|(path, is_folder)| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let name = name.strip_suffix(PARTIAL).unwrap_or(name);
                !is_folder && (is_published_catalog(name) || name == PUBLISHED_FILE)
            })
            .map(|(path, _)| path)
            .collect();
        let mut folders: Vec<PathBuf> = Table::ALL.map(Table::as_str).map(|name| self.root.join(name)).into();
        folders.extend([GENES_FOLDER, IDS_FOLDER, MODELS, REFERENCE].map(|name| self.root.join(name)));
        let mut at = 0;
        while let Some(folder) = folders.get(at).cloned() {
            for (path, is_folder) in list(&folder)? {
                if is_folder { folders.push(path) } else { found.push(path) }
            }
            at += 1;
        }
        let mut earlier = Vec::new();
        for path in found {
            let below = path.strip_prefix(&self.root).unwrap_or(&path).to_owned();
            if path.as_os_str().as_encoded_bytes().ends_with(PARTIAL.as_bytes()) {
                self.remove(&path)?;
            } else if !files.contains(&below) {
                if prune {
                    self.remove(&path)?;
                }
                earlier.push(below);
            }
        }
        // Deepest first; those with files stay.
        for folder in folders.iter().rev().filter(|_| prune) {
            match self.medium.remove_folder(folder) {
                Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => {}
                removed => removed.map_err(StoreError::io("remove the folder", folder))?,
            }
        }
        Ok(earlier)
    }

    /// Lets others publish into the folder.
    pub(super) fn release(self) -> Result<PublishedFiles, StoreError> {
        self.remove(&self.root.join(PUBLISHING))?;
        folders::sync(self.medium.as_ref(), &self.root)?;
        drop(self.lock);
        Ok(self.done)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.unsettled = 0;
        self.files.settle()
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        match self.medium.remove(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StoreError::io("remove", path)),
        }
    }
}
