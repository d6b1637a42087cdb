//! Copies of the catalogs of published stores, kept per user: one by its digest is fetched once.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use vestore_schema::{Digest, Published};

use super::client::Client;
use super::error::RemoteError;
use crate::reference::cache_folder;

/// Copies that were not made for so long are removed.
const KEPT: Duration = Duration::from_hours(60 * 24);

/// The catalog that a head names, as a file here.
pub(super) fn catalog(client: &Client, url: &str, head: &Published) -> Result<File, RemoteError> {
    let folder = cache_folder().filter(|cache| cache.is_absolute()).map(|cache| cache.join("catalogs"));
    if let Some(known) = folder.as_deref().and_then(|folder| known(&folder.join(&head.catalog), head)) {
        return Ok(known);
    }
    // Without a cache it is fetched each time.
    let kept = folder.filter(|folder| fs::create_dir_all(folder).is_ok());
    let temporary = kept
        .as_deref()
        .and_then(|folder| tempfile::Builder::new().prefix(".catalog").tempfile_in(folder).ok());
    let mut temporary = match temporary {
        Some(temporary) => temporary,
        None => tempfile::NamedTempFile::new().map_err(RemoteError::Cache)?,
    };
    let found = client.download(url, head.bytes, temporary.as_file_mut())?;
    if found != head.sha256 {
        let reason = format!("checksum {} is not {}", found.short(), head.sha256.short());
        return Err(RemoteError::Differs { reason });
    }
    let file = temporary.reopen().map_err(RemoteError::Cache)?;
    if let Some(folder) = kept {
        // Whoever cannot keep it can read it.
        if temporary.persist(folder.join(&head.catalog)).is_ok() {
            remove_old(&folder);
        }
    }
    Ok(file)
}

/// The copy at `path`, if it is the one that `head` names.
fn known(path: &Path, head: &Published) -> Option<File> {
    // Not a pipe, which would wait for ever.
    fs::symlink_metadata(path).ok().filter(|found| found.is_file() && found.len() == head.bytes)?;
    let mut file = File::open(path).ok()?;
    (digest(&mut file).ok()? == head.sha256).then_some(file)
}

fn digest(file: &mut File) -> io::Result<Digest> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
    }
    file.rewind()?;
    Ok(Digest::from(<[u8; 32]>::from(hash.finalize())))
}

/// Removes copies that nobody has made in a long time.
fn remove_old(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| Some((entry.path(), fs::symlink_metadata(entry.path()).ok()?)));
    let is_old = |file: &(PathBuf, fs::Metadata)| {
        let made = file.1.modified().and_then(|made| made.elapsed().map_err(io::Error::other));
        file.1.is_file() && made.is_ok_and(|age| age > KEPT)
    };
    for (path, _) in files.filter(is_old) {
        // It only costs room.
        drop(fs::remove_file(path));
    }
}
