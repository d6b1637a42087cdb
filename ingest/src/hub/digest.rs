//! What the hub calls a file by: the SHA-256 of large files, git's digest of small ones.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use vestore_schema::hexadecimal;

use super::error::HubError;

/// The name of a blob in the cache, which is the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlobName(String);

impl BlobName {
    /// Reads an entity tag, `W/"…"` or bare. Anything but a digest could be a path.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let name = tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        let digits = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        (digits && [40, 64].contains(&name.len())).then_some(Self(name))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `file` has the content that the name stands for.
    pub(super) fn fits(&self, file: &Path) -> Result<bool, HubError> {
        let found = if self.0.len() == 64 { sha256(file) } else { git(file) };
        Ok(found.map_err(HubError::io("read", file))? == self.0)
    }
}

/// Verifies a file of a snapshot that is a link to a blob. A copy of a cache may have plain files, of which nothing is
/// known.
pub(super) fn verify_link(file: &Path) -> Result<(), HubError> {
    let Ok(blob) = file.read_link() else { return Ok(()) };
    let name = blob.file_name().and_then(|name| BlobName::of_tag(name.to_str()?));
    match name {
        Some(name) if !name.fits(file)? => Err(HubError::damaged(file)),
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    pieces(&mut File::open(path)?, |piece| hash.update(piece))?;
    Ok(hexadecimal(&hash.finalize()))
}

fn git(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", file.metadata()?.len()));
    pieces(&mut file, |piece| hash.update(piece))?;
    Ok(hexadecimal(&hash.finalize()))
}

fn pieces(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            count => take(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_of_large_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "hello\n").expect("written");
        // `git hash-object`, `sha256sum`.
        for tag in [
            "\"ce013625030ba8dba906f756967f9e9ca394464a\"",
            "W/\"5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03\"",
        ] {
            let name = BlobName::of_tag(tag).expect("a digest");
            assert!(name.fits(&file).expect("read"), "{tag}");
        }
        let other = BlobName::of_tag(&"0".repeat(40)).expect("a digest");
        assert!(!other.fits(&file).expect("read"));
        for tag in ["", "../../x", "\"d41d8cd98f00b204e9800998ecf8427e\"", &"/".repeat(40)] {
            assert_eq!(BlobName::of_tag(tag), None, "{tag}");
        }
    }
}
