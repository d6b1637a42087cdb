//! Files of a commit, brought into the cache and verified.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo};

use super::client::Client;
use super::digest::BlobName;
use super::error::HubError;
use crate::progress::Progress;

/// Bytes that are read at once.
const PIECE: usize = 1 << 18;

/// HTTP status of a range that begins where the file ends.
const BEYOND: u16 = 416;

/// A file of a commit.
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) blob: BlobName,
    pub(super) size: u64,
}

/// The cache's folders of one commit.
pub(super) struct CachedCommit<'a> {
    client: &'a Client<'a>,
    cache: CacheRepo,
    blobs: PathBuf,
    locks: PathBuf,
    /// The snapshot.
    pub(super) folder: PathBuf,
    progress: &'a dyn Progress,
}

impl<'a> CachedCommit<'a> {
    pub(super) fn new(
        client: &'a Client<'a>,
        cache: &Cache,
        repo: &Repo,
        commit: &str,
        progress: &'a dyn Progress,
    ) -> Self {
        let blobs = cache.path().join(repo.folder_name()).join("blobs");
        let locks = cache.path().join(".locks").join(repo.folder_name());
        let cache = cache.repo(repo.clone());
        let folder = cache.pointer_path(commit);
        Self { client, cache, blobs, locks, folder, progress }
    }

    /// Sees to it that the snapshot has the file, with the content that the hub announces. If it has, nothing is
    /// written: the cache may be read-only.
    pub(super) fn place(&self, remote: &Remote) -> Result<(), HubError> {
        let link = self.folder.join(&remote.name);
        if link.is_file() {
            return self.verify(remote, &link);
        }
        for folder in [&self.locks, &self.blobs, &self.folder] {
            std::fs::create_dir_all(folder).map_err(HubError::io("create", folder))?;
        }
        // The Python library takes the same lock. It is released when the file is closed.
        let lock = self.locks.join(format!("{}.lock", remote.blob.as_str()));
        let held = File::create(&lock).map_err(HubError::io("create", &lock))?;
        if held.try_lock().is_err() {
            self.progress.note("waiting for another program that fetches the same file");
            held.lock().map_err(HubError::io("lock", &lock))?;
            self.progress.note("");
        }
        let blob = self.cache.blob_path(remote.blob.as_str());
        if blob.is_file() {
            self.verify(remote, &blob)?;
        } else {
            self.download(remote, &blob)?;
        }
        if link.is_file() {
            return Ok(());
        }
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(HubError::io("replace", &link)(error)),
            _ => symlink(format!("../../blobs/{}", remote.blob.as_str()), &link)
                .map_err(HubError::io("create", &link)),
        }
    }

    /// Verifies a file that the cache has: another program may have been cut while it wrote.
    fn verify(&self, remote: &Remote, file: &Path) -> Result<(), HubError> {
        if !remote.blob.fits(file)? {
            return Err(HubError::damaged(file));
        }
        self.progress.advance(remote.size);
        Ok(())
    }

    /// Downloads a blob, or what is missing of it: what an interrupted download left is kept beside it.
    fn download(&self, remote: &Remote, blob: &Path) -> Result<(), HubError> {
        let partial = blob.with_extension("incomplete");
        let write = HubError::io("write", &partial);
        let mut file = OpenOptions::new().append(true).create(true).open(&partial).map_err(&write)?;
        let discarded = |problem: String| {
            let _ = std::fs::remove_file(&partial);
            HubError::Content { name: remote.name.clone(), problem }
        };
        let mut received = file.seek(SeekFrom::End(0)).map_err(&write)?;
        let mut shown = 0;
        self.show(&mut shown, received.min(remote.size));
        while received < remote.size {
            let (start, mut body) = match self.client.bytes(remote, received) {
                Err(HubError::Status { status: BEYOND, .. }) => {
                    return Err(discarded(format!("{received} bytes, not {}", remote.size)));
                }
                answer => answer?,
            };
            if start != received {
                // The server ignores ranges.
                file.set_len(0).map_err(&write)?;
                received = 0;
            }
            let begun = received;
            let mut piece = vec![0; PIECE];
            let cut = loop {
                let count = match body.read(&mut piece) {
                    Ok(0) => break None,
                    Ok(count) => count,
                    Err(error) => break Some(error),
                };
                received += count as u64;
                if received > remote.size {
                    return Err(discarded(format!("more than {} bytes", remote.size)));
                }
                file.write_all(&piece[..count]).map_err(&write)?;
                self.show(&mut shown, received);
            };
            // A connection that brought something is continued.
            if received == begun {
                let name = remote.name.clone();
                return Err(HubError::Cut { name, received, size: remote.size, source: cut });
            }
        }
        file.sync_all().map_err(&write)?;
        if received > remote.size {
            return Err(discarded(format!("{received} bytes, not {}", remote.size)));
        }
        if !remote.blob.fits(&partial)? {
            return Err(discarded(format!("its digest is not {}", remote.blob.as_str())));
        }
        std::fs::rename(&partial, blob).map_err(HubError::io("rename", &partial))
    }

    /// Shows that `received` bytes are there, of which `shown` were shown.
    fn show(&self, shown: &mut u64, received: u64) {
        self.progress.advance(received.saturating_sub(*shown));
        *shown = received.max(*shown);
    }
}
