//! The indexes of a FASTA, which lie beside it under its name and an ending.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::bgzf::Blocks;
use super::error::ReferenceError;
use super::stamp::Stamp;

/// The block table of a BGZF file, and the stamp of the file beside it that holds it.
pub(super) fn blocks(path: &Path, file: &mut File) -> Result<(Blocks, Option<Stamp>), ReferenceError> {
    // A block has 26 bytes at the least, an entry 16.
    let limit = file.metadata().map_err(|source| ReferenceError::read(path, source))?.len();
    let index = read_index(path, ".gzi", limit).map_err(|source| ReferenceError::read(path, source))?;
    if let Some((bytes, stamp)) = index {
        let fitting = Blocks::read(&bytes, file).map_err(|source| ReferenceError::read(path, source))?;
        if let Some(blocks) = fitting {
            return Ok((blocks, Some(stamp)));
        }
    }
    let blocks = Blocks::walk(file).map_err(|source| ReferenceError::read(path, source))?;
    Ok((blocks, None))
}

/// The index beside a FASTA, of at most `limit` bytes; `None` where it is missing, older or too large to be one.
pub(super) fn read_index(path: &Path, ending: &str, limit: u64) -> io::Result<Option<(Vec<u8>, Stamp)>> {
    let index = beside(path, ending);
    // A pipe would keep us waiting.
    if !index.metadata().is_ok_and(|metadata| metadata.is_file()) || is_older(&index, path) {
        return Ok(None);
    }
    let file = File::open(&index)?;
    // Taken before it is read: a later change shows.
    let stamp = Stamp::of(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some((bytes, stamp)))
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn is_older(index: &Path, fasta: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    matches!((modified(index), modified(fasta)), (Ok(index), Ok(fasta)) if index < fasta)
}

/// Writes an index under a temporary name and renames it, so that nobody reads half of one.
pub(super) fn write_beside(path: &Path, ending: &str, bytes: &[u8]) -> io::Result<Stamp> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder marked read-only stays as it is, even where the system would let us write.
    if folder.metadata()?.permissions().readonly() {
        return Err(io::ErrorKind::ReadOnlyFilesystem.into());
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The index is for whoever may read the FASTA; the umask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".index").tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(Stamp::of(&file.persist(beside(path, ending))?.metadata()?))
}
