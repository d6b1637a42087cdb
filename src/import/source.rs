//! The file that is imported, as bytes that can be read more than once.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use vestore_schema::Digest;

use super::ImportError;

pub(super) struct Source {
    /// As it was given, for messages.
    pub(super) path: PathBuf,
    /// A copy of what came from standard input or a pipe.
    copy: Option<NamedTempFile>,
}

impl Source {
    /// Opens a file; standard input (`-`) and pipes are copied to `folder` first.
    pub(super) fn open(path: &Path, folder: &Path) -> Result<Self, ImportError> {
        let failed = |source| ImportError::Read { path: path.into(), source };
        let mut from: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else if path.metadata().map_err(failed)?.is_file() {
            return Ok(Self { path: path.into(), copy: None });
        } else {
            Box::new(File::open(path).map_err(failed)?)
        };
        let mut copy = NamedTempFile::with_prefix_in("vestore-import-", folder).map_err(failed)?;
        io::copy(&mut from, &mut copy).map_err(failed)?;
        Ok(Self { path: path.into(), copy: Some(copy) })
    }

    /// Where its bytes lie.
    pub(super) fn place(&self) -> &Path {
        self.copy.as_ref().map_or(&self.path, NamedTempFile::path)
    }

    /// Opens its bytes.
    pub(super) fn file(&self) -> Result<File, ImportError> {
        File::open(self.place()).map_err(|source| ImportError::Read { path: self.path.clone(), source })
    }

    /// Whether it is a Parquet file, by its first bytes.
    pub(super) fn is_parquet(&self) -> Result<bool, ImportError> {
        let mut magic = Vec::new();
        let read = self.file()?.take(4).read_to_end(&mut magic);
        read.map_err(|source| ImportError::Read { path: self.path.clone(), source })?;
        Ok(magic == b"PAR1")
    }

    /// SHA-256 of its bytes.
    pub(super) fn digest(&self) -> Result<Digest, ImportError> {
        let mut file = self.file()?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer);
            match read.map_err(|source| ImportError::Read { path: self.path.clone(), source })? {
                0 => return Ok(<[u8; 32]>::from(hash.finalize()).into()),
                count => hash.update(&buffer[..count]),
            }
        }
    }
}
