//! Digests that were computed before, kept per user: a FASTA that stays as it is need not be read whole again.
//! A cache that is missing, damaged or cannot be written costs time and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vestore_schema::hexadecimal;

use super::stamp::Stamps;

/// The most bytes of a cache file that are read.
const LARGEST: u64 = 64 << 20;
/// Cache files that were not written for so long are removed.
const KEPT: Duration = Duration::from_hours(60 * 24);

/// What was found in one FASTA.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// For people.
    path: PathBuf,
    stamps: Stamps,
    /// Refget digest of each contig that was read.
    digests: BTreeMap<String, String>,
}

/// Where the digests of one FASTA are kept.
pub(super) struct DigestCache {
    fasta: PathBuf,
    folder: PathBuf,
    file: PathBuf,
}

impl DigestCache {
    /// The place for a FASTA; `None` where a user has no cache, or the FASTA no path.
    pub(super) fn of(fasta: &Path) -> Option<Self> {
        let folder = folder()?;
        let fasta = fs::canonicalize(fasta).ok()?;
        let name = Sha256::digest(fasta.as_os_str().as_encoded_bytes());
        let name: String = hexadecimal(&name[..16]);
        Some(Self { file: folder.join(format!("{name}.json")), folder, fasta })
    }

    /// The digests that were found under the same stamps.
    pub(super) fn read(&self, stamps: &Stamps) -> BTreeMap<String, String> {
        let read = || -> Option<Entry> {
            // Not a pipe, which would wait for ever.
            fs::symlink_metadata(&self.file).ok().filter(fs::Metadata::is_file)?;
            let mut text = Vec::new();
            File::open(&self.file).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
            let (json, sum) = text.split_at_checked(text.len().checked_sub(8)?)?;
            (sum == checksum(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
        };
        read()
            .filter(|entry| entry.stamps == *stamps && entry.path == self.fasta)
            .map(|entry| entry.digests)
            .unwrap_or_default()
    }

    /// Keeps digests that were computed from the file of these stamps.
    pub(super) fn write(&self, stamps: &Stamps, digests: BTreeMap<String, String>) -> io::Result<()> {
        if !stamps.are_settled() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let entry = Entry { path: self.fasta.clone(), stamps: *stamps, digests };
        let mut text = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        let sum = checksum(&text);
        text.extend_from_slice(sum.as_bytes());
        let mut file = tempfile::Builder::new().prefix(".digests").tempfile_in(&self.folder)?;
        file.write_all(&text)?;
        file.persist(&self.file)?;
        self.remove_old()
    }

    /// Removes what nobody has asked for in a long time.
    fn remove_old(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            let old = metadata.modified()?.elapsed().is_ok_and(|age| age > KEPT);
            if old && metadata.is_file() {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The folder of the digests.
fn folder() -> Option<PathBuf> {
    cache_folder().filter(|cache| cache.is_absolute()).map(|cache| cache.join("references"))
}

/// Where this user's programs cache for vestore: `$VESTORE_CACHE`, else in the cache folder of the desktop.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("VESTORE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("vestore")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/vestore")))
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}
