//! A folder of files that appears under its name when all are whole.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::check::{refuse_scheme, refuse_store};
use super::unfinished::Unfinished;
use super::{OutputError, OutputRules};

/// A folder that is written beside its place and renamed at the end. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct OutputFolder {
    temporary: TempDir,
    path: PathBuf,
    /// Files and folders of an earlier export that give way, those inside first; nothing when the place is free.
    old: Vec<PathBuf>,
    _unfinished: Unfinished,
}

impl OutputFolder {
    /// Makes the folder beside `path`. `contents` lists files and folders of a folder that an earlier export wrote,
    /// those inside first, and names the first that none did as its error: only these are replaced, and only with
    /// `--force`.
    ///
    /// # Errors
    /// When the path is an address, lies in a store, is a file, or holds something; when the system refuses.
    pub fn create(
        path: &Path,
        rules: &OutputRules<'_>,
        contents: impl Fn(&Path) -> Result<Vec<PathBuf>, PathBuf>,
    ) -> Result<Self, OutputError> {
        refuse_scheme(path)?;
        // Without the slash at the end, and where a link leads: a link cannot be replaced by a folder.
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) => std::path::absolute(path.components().as_path()).map_err(OutputError::io(path))?,
        };
        let mut old = Vec::new();
        if path.symlink_metadata().is_ok() {
            if !path.is_dir() {
                return Err(OutputError::NotAFolder { path });
            }
            refuse_store(&path, &path)?;
            old = contents(&path).map_err(|path| OutputError::Foreign { path })?;
            if !old.is_empty() && !rules.force {
                return Err(OutputError::Exists { path });
            }
        }
        let above = path.parent().ok_or_else(|| OutputError::Folder { path: path.clone() })?;
        let mut there = above;
        while let (false, Some(next)) = (there.exists(), there.parent()) {
            there = next;
        }
        refuse_store(&path, &there.canonicalize().map_err(OutputError::io(&path))?)?;
        fs::create_dir_all(above).map_err(OutputError::io(&path))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".vestore-").suffix(".partial").permissions(Permissions::from_mode(0o777));
        let temporary = builder.tempdir_in(above).map_err(OutputError::io(&path))?;
        let unfinished = Unfinished::new(temporary.path(), &path)?;
        Ok(Self { temporary, path, old, _unfinished: unfinished })
    }

    /// Where files are written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the folder its name. An earlier export steps aside and is removed once the new one stands.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(self) -> Result<(), OutputError> {
        let Self { temporary, path, old, _unfinished } = self;
        let failed = |error: io::Error| OutputError::io(&path)(error);
        if old.is_empty() {
            // An empty folder gives way by itself.
            fs::rename(temporary.path(), &path).map_err(failed)?;
            // Its content has another name now; there is nothing to remove.
            drop(temporary.keep());
            return Ok(());
        }
        let aside = tempfile::Builder::new()
            .prefix(".vestore-")
            .suffix(".partial")
            .tempdir_in(path.parent().unwrap_or(Path::new("/")))
            .map_err(failed)?
            .keep();
        fs::rename(&path, &aside).map_err(failed)?;
        if let Err(error) = fs::rename(temporary.path(), &path) {
            // The earlier export is better than none.
            fs::rename(&aside, &path).map_err(failed)?;
            return Err(failed(error));
        }
        drop(temporary.keep());
        for entry in old {
            let moved = aside.join(entry.strip_prefix(&path).unwrap_or(&entry));
            if moved.is_dir() { fs::remove_dir(&moved) } else { fs::remove_file(&moved) }.map_err(failed)?;
        }
        fs::remove_dir(&aside).map_err(failed)
    }
}
