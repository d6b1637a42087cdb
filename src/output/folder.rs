//! A folder of files that appears under its name when all are whole.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::check::{refuse_scheme, refuse_store};
use super::unfinished::Unfinished;
use super::{OutputError, OutputRules};

/// Lists files and folders of a folder that an earlier export wrote, those inside first, or names the first that none
/// did.
type Contents = fn(&Path) -> Result<Vec<PathBuf>, PathBuf>;

/// A folder that is written beside its place and renamed at the end. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct OutputFolder {
    temporary: TempDir,
    path: PathBuf,
    contents: Contents,
    /// Whether an earlier export gives way.
    replaces: bool,
    unfinished: Unfinished,
}

impl OutputFolder {
    /// Makes the folder beside `path`. `contents` lists files and folders of a folder that an earlier export wrote,
    /// those inside first, and names the first that none did as its error: only these are replaced, and only with
    /// `--force`.
    ///
    /// # Errors
    /// When the path is an address, lies in a store, is a file, or holds something; when the system refuses.
    pub fn create(path: &Path, rules: &OutputRules<'_>, contents: Contents) -> Result<Self, OutputError> {
        refuse_scheme(path)?;
        // Without the slash at the end, and where a link leads: a link cannot be replaced by a folder.
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) => std::path::absolute(path.components().as_path()).map_err(OutputError::io(path))?,
        };
        let mut replaces = false;
        if path.symlink_metadata().is_ok() {
            if !path.is_dir() {
                return Err(OutputError::NotAFolder { path });
            }
            refuse_store(&path, &path)?;
            replaces = !contents(&path).map_err(|path| OutputError::Foreign { path })?.is_empty();
            if replaces && !rules.force {
                return Err(OutputError::Exists { path });
            }
        }
        let above = path.parent().ok_or_else(|| OutputError::Folder { path: path.clone() })?;
        let mut there = above;
        while let (false, Some(next)) = (there.exists(), there.parent()) {
            there = next;
        }
        refuse_store(&path, &there.canonicalize().map_err(OutputError::io(&path))?)?;
        create_folder(above).map_err(OutputError::io(&path))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".vestore-").suffix(".partial").permissions(Permissions::from_mode(0o777));
        let temporary = builder.tempdir_in(above).map_err(OutputError::io(&path))?;
        let unfinished = Unfinished::new(temporary.path(), &path)?;
        Ok(Self { temporary, path, contents, replaces, unfinished })
    }

    /// Where files are written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the folder its name. An earlier export steps aside, and is removed once the new one stands.
    ///
    /// # Errors
    /// When the system refuses; when something else came into the folder of the earlier export, which then stays.
    pub fn finish(self) -> Result<(), OutputError> {
        let Self { temporary, path, contents, replaces, unfinished } = self;
        unfinished.complete(|| {
            if replaces {
                replace(temporary, &path, contents)
            } else {
                // An empty folder gives way by itself.
                fs::rename(temporary.path(), &path).map_err(OutputError::io(&path))?;
                // Its content has another name now; there is nothing to remove.
                drop(temporary.keep());
                Ok(())
            }
        })
    }
}

/// Makes a folder with those above it, as far as they are missing.
///
/// # Errors
/// When the system refuses. Unlike [`fs::create_dir_all`], what it says of a folder that is there is reported as such,
/// and not as that the folder exists.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir_all(folder) {
        Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(folder)?.is_dir() {
                Ok(())
            } else {
                Err(exists)
            }
        }
        made => made,
    }
}

/// Puts a new folder in the place of an earlier export.
fn replace(temporary: TempDir, path: &Path, contents: Contents) -> Result<(), OutputError> {
    let aside = tempfile::Builder::new()
        .prefix(".vestore-")
        .suffix(".partial")
        .tempdir_in(path.parent().unwrap_or(Path::new("/")))
        .map_err(OutputError::io(path))?;
    fs::rename(path, aside.path()).map_err(OutputError::io(path))?;
    let aside = aside.keep();
    // Only now does nobody add to it by its name.
    let placed = contents(&aside)
        .map_err(|foreign| OutputError::Foreign {
            path: path.join(foreign.strip_prefix(&aside).unwrap_or(&foreign)),
        })
        .and_then(|old| fs::rename(temporary.path(), path).map_err(OutputError::io(path)).map(|()| old));
    let left_aside = |source| OutputError::Aside { path: path.to_owned(), aside: aside.clone(), source };
    match placed {
        Err(error) => {
            fs::rename(&aside, path).map_err(left_aside)?;
            Err(error)
        }
        Ok(old) => {
            drop(temporary.keep());
            let remove =
                |entry: &PathBuf| if entry.is_dir() { fs::remove_dir(entry) } else { fs::remove_file(entry) };
            let left =
                |source| OutputError::NotRemoved { path: path.to_owned(), aside: aside.clone(), source };
            old.iter().chain([&aside]).try_for_each(remove).map_err(left)
        }
    }
}
