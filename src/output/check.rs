//! What an output must not be: an address, an input, part of a store, something that is there already.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use vestore_schema::PUBLISHED_FILE;

use super::{OutputError, OutputRules};
use crate::store::CATALOG;

/// Endings of the indexes that lie beside an input and are read with it.
const INDEXES: [&str; 5] = [".fai", ".gzi", ".tbi", ".csi", ".crai"];

/// Where an output goes.
pub(super) enum Place {
    Stdout,
    /// A pipe, terminal or device, which is written as it is.
    Device,
    /// A file of that path in that folder, which is there and resolved.
    File {
        folder: PathBuf,
        path: PathBuf,
    },
}

/// Where the output `path` goes, if it may be written.
pub(super) fn place(path: &Path, rules: &OutputRules<'_>) -> Result<Place, OutputError> {
    if path.as_os_str() == "-" || path == Path::new("/dev/stdout") {
        return Ok(Place::Stdout);
    }
    refuse_scheme(path)?;
    let there = path.metadata().ok();
    if let Some(metadata) = &there {
        let kind = metadata.file_type();
        if kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
            return Ok(Place::Device);
        }
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(OutputError::io(path)(Error::new(ErrorKind::InvalidInput, "not a plain file")));
        }
    }
    let (folder, path) = resolved(path)?;
    if there.as_ref().is_some_and(Metadata::is_dir) {
        return Err(OutputError::Folder { path });
    }
    refuse_store(&path, &folder)?;
    refuse_inputs(&path, there.as_ref(), rules.inputs)?;
    // A link that leads nowhere is there too.
    if !rules.force && path.symlink_metadata().is_ok() {
        return Err(OutputError::Exists { path });
    }
    Ok(Place::File { folder, path })
}

/// The folder that `path` lies in, resolved, and the path in it as given.
fn resolved(path: &Path) -> Result<(PathBuf, PathBuf), OutputError> {
    let slash = path.as_os_str().as_bytes().ends_with(b"/");
    if slash || path.file_name().is_none() {
        return Err(OutputError::Folder { path: path.to_owned() });
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = above.canonicalize().map_err(|error| {
        let missing = error.kind() == ErrorKind::NotFound;
        let told = format!("the folder `{}` does not exist", above.display());
        OutputError::io(path)(if missing { Error::new(ErrorKind::NotFound, told) } else { error })
    })?;
    Ok((folder, path.to_owned()))
}

/// Checks the folder that a command writes several files into, and makes nothing: a local one outside any store, not
/// one of `inputs`, that is there or can be made.
///
/// # Errors
/// When it is not, or the system refuses.
pub fn check_output_folder(path: &Path, inputs: &[PathBuf]) -> Result<(), OutputError> {
    refuse_scheme(path)?;
    if path.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(OutputError::NotAFolder { path: path.to_owned() });
    }
    // Before anything is made: the nearest folder that is there tells where the others would be.
    let mut above = std::path::absolute(path).map_err(OutputError::io(path))?;
    while !above.exists() {
        above.pop();
    }
    let above = above.canonicalize().map_err(OutputError::io(path))?;
    refuse_store(path, &above)?;
    refuse_inputs(path, path.metadata().ok().as_ref(), inputs)?;
    // Told now rather than after hours.
    tempfile::tempfile_in(above).map(drop).map_err(OutputError::io(path))
}

/// Checks the folder that a store is published into, and makes nothing: a local one that lies in no store.
///
/// # Errors
/// When it is not, or the system refuses.
pub fn check_published_folder(path: &Path) -> Result<(), OutputError> {
    refuse_scheme(path)?;
    let mut above = std::path::absolute(path).map_err(OutputError::io(path))?;
    above = above.canonicalize().unwrap_or(above);
    while above.pop() && !above.exists() {}
    refuse_store(path, &above.canonicalize().map_err(OutputError::io(path))?)
}

pub(super) fn refuse_scheme(path: &Path) -> Result<(), OutputError> {
    let Some(text) = path.to_str() else { return Ok(()) };
    let Some((scheme, _)) = text.split_once("://") else { return Ok(()) };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    if scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.bytes().all(letters) {
        return Err(OutputError::Scheme { address: text.to_owned() });
    }
    Ok(())
}

/// Refuses what lies in a store: `folder` is resolved.
pub(super) fn refuse_store(path: &Path, folder: &Path) -> Result<(), OutputError> {
    let is_store = |above: &&Path| {
        [CATALOG, PUBLISHED_FILE].iter().any(|name| above.join(name).symlink_metadata().is_ok())
    };
    match folder.ancestors().find(is_store) {
        None => Ok(()),
        Some(store) => Err(OutputError::InStore { path: path.to_owned(), store: store.to_owned() }),
    }
}

/// Refuses a file, or folder, that is one of `inputs`, by whatever name or link.
fn refuse_inputs(path: &Path, there: Option<&Metadata>, inputs: &[PathBuf]) -> Result<(), OutputError> {
    let Some(there) = there else { return Ok(()) };
    let same = |other: &Path| {
        other.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (there.dev(), there.ino()))
    };
    for input in inputs {
        let file = if input.as_os_str() == "-" { Path::new("/dev/stdin") } else { input.as_path() };
        let index = |ending: &&str| {
            let mut name = OsString::from(file);
            name.push(ending);
            same(Path::new(&name))
        };
        let mut held = file.read_dir().into_iter().flatten().flatten();
        if same(file) || INDEXES.iter().any(index) || held.any(|entry| same(&entry.path())) {
            return Err(OutputError::Input { path: path.to_owned(), input: input.clone() });
        }
    }
    Ok(())
}
