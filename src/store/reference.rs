//! The reference of a store: where it lies, and a copy of it inside.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use vestore_schema::StoreRecord;

use super::Store;
use super::error::StoreError;
use super::medium::{Access, Medium};
use crate::reference::{Reference, ReferenceError, copy_reference};

/// The folder of a copy.
pub(super) const FOLDER: &str = "reference";
/// The copy, relative to the store.
pub(super) const COPY: &str = "reference/genome.fa.gz";
/// What ends the names of a copy and its indexes.
pub(super) const ENDINGS: [&str; 3] = ["", ".fai", ".gzi"];

impl Store {
    /// Where the reference lies.
    #[must_use]
    pub fn reference(&self) -> PathBuf {
        match &self.elsewhere {
            Some(path) => path.clone(),
            None if self.record.copied => self.root.join(&self.record.reference),
            None => PathBuf::from(&self.record.reference),
        }
    }

    /// Lets this handle and its clones read the reference from `path` instead; its bases are checked all the same.
    pub fn read_reference_from(&mut self, path: &Path) {
        self.elsewhere = Some(path.to_owned());
    }

    /// Opens the reference. It is the one place where bases of a store come from: each contig's digest is checked
    /// before its first base is used, see [`Reference::open_checked`].
    ///
    /// # Errors
    /// The reference is missing, unreadable or another one. Of what lies where the catalog says, nothing is shown.
    pub fn open_reference(&self) -> Result<Reference, ReferenceError> {
        let path = self.reference();
        if self.elsewhere.is_some() {
            return Reference::open_checked(path, self.assembly());
        }
        if self.is_away() || self.published && !self.record.copied {
            let path = if self.record.copied { path } else { PathBuf::new() };
            return Err(ReferenceError::Unpublished { path });
        }
        if self.record.copied && !lies_inside(&self.root, Path::new(&self.record.reference)) {
            return Err(ReferenceError::NotTheReference { path });
        }
        Reference::open_checked(path, self.assembly()).map_err(ReferenceError::of_store)
    }

    /// As [`Store::create`], with a copy of the reference in the store. The copy is durable before the catalog
    /// names it.
    ///
    /// # Errors
    /// As for [`Store::create`]; the reference cannot be read.
    pub fn create_with_copy(
        root: &Path,
        medium: Arc<dyn Medium>,
        record: StoreRecord,
        reference: &mut Reference,
    ) -> Result<Self, StoreError> {
        Self::claim(root, medium.as_ref())?;
        write_copy(root, medium.as_ref(), reference)?;
        let record = StoreRecord { reference: COPY.to_owned(), copied: true, ..record };
        Self::finish(root, medium, record)
    }
}

/// Whether a path leads to a file in the store without any link.
fn lies_inside(root: &Path, path: &Path) -> bool {
    let mut at = root.to_owned();
    let mut components = path.components();
    components.all(|component| {
        at.push(component);
        let linked = at.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        matches!(component, Component::Normal(_)) && !linked
    })
}

/// Whether `path` is the folder of a copy that was cut short, whose files may be removed.
pub(super) fn is_unfinished_copy(path: &Path, medium: &dyn Medium) -> io::Result<bool> {
    if path.file_name() != Some(OsStr::new(FOLDER)) {
        return Ok(false);
    }
    let ours = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let name = name.strip_suffix(".partial").unwrap_or(name);
        ENDINGS.iter().any(|ending| {
            Path::new(COPY)
                .file_name()
                .and_then(OsStr::to_str)
                .is_some_and(|copy| name.strip_prefix(copy) == Some(ending))
        })
    };
    Ok(medium.list(path)?.iter().all(|(path, is_folder)| !is_folder && ours(path)))
}

/// Removes the files of a copy that was cut short.
pub(super) fn remove_unfinished_copy(path: &Path, medium: &dyn Medium) -> Result<(), StoreError> {
    for (file, _) in medium.list(path).map_err(StoreError::io("list", path))? {
        medium.remove(&file).map_err(StoreError::io("remove", &file))?;
    }
    Ok(())
}

/// Writes the copy and its indexes, each under a temporary name first.
pub(super) fn write_copy(
    root: &Path,
    medium: &dyn Medium,
    reference: &mut Reference,
) -> Result<(), StoreError> {
    let folder = root.join(FOLDER);
    match medium.create_folder(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(StoreError::io("create the folder", &folder))?,
    }
    medium.sync_folder(root).map_err(StoreError::io("sync the folder", root))?;
    let mut indexes = None;
    write_file(medium, &root.join(COPY), |write| {
        indexes = Some(copy_reference(reference, write)?);
        Ok(())
    })?;
    if let Some(indexes) = indexes {
        for (ending, bytes) in [(".fai", indexes.fai), (".gzi", indexes.gzi)] {
            write_file(medium, &root.join(format!("{COPY}{ending}")), |write| write(&bytes))?;
        }
    }
    medium.sync_folder(&folder).map_err(StoreError::io("sync the folder", &folder))
}

/// Takes a piece of a file.
type WritePiece<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), StoreError>;

/// Writes a file whole, syncs it and gives it its name.
pub(super) fn write_file(
    medium: &dyn Medium,
    path: &Path,
    fill: impl FnOnce(WritePiece<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = medium.open(&partial, Access::Create).map_err(StoreError::io("create", &partial))?;
    let mut offset = 0;
    fill(&mut |bytes| {
        file.write_at(bytes, offset).map_err(StoreError::io("write", &partial))?;
        offset += bytes.len() as u64;
        Ok(())
    })?;
    file.sync().map_err(StoreError::io("sync", &partial))?;
    medium.rename(&partial, path).map_err(StoreError::io("rename", &partial))
}
