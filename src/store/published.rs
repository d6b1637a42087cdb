//! Opening a published store: its head names the one catalog that there is, and nobody writes.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use vestore_schema::{Digest, PUBLISHED_FILE, Published};

use super::Store;
use super::catalog::Catalog;
use super::error::StoreError;
use super::medium::{Access, Medium};
use crate::narrow::to_usize;

/// Most bytes of a head.
pub(super) const MOST_HEAD: u64 = 64 << 10;

/// What `vestore.json` in the folder `root` says; none where there is no such file.
pub(super) fn head(root: &Path, medium: &dyn Medium) -> Result<Option<Published>, StoreError> {
    let path = root.join(PUBLISHED_FILE);
    let file = match medium.open(&path, Access::Read) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(StoreError::io("open", &path))?,
    };
    let length = file.len().map_err(StoreError::io("read", &path))?;
    if length > MOST_HEAD {
        let reason = format!("{length} bytes; expected at most {MOST_HEAD}");
        return Err(StoreError::DamagedCopy { path, reason });
    }
    let mut text = vec![0; to_usize(length)];
    file.read_at(&mut text, 0).map_err(StoreError::io("read", &path))?;
    Published::parse(&text).map(Some).map_err(|reason| StoreError::DamagedCopy { path, reason })
}

impl Store {
    /// Opens the published store at `root` of a medium with this head.
    pub(super) fn open_published(
        root: &Path,
        medium: Arc<dyn Medium>,
        head: &Published,
    ) -> Result<Self, StoreError> {
        let path = root.join(&head.catalog);
        let file = match medium.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(StoreError::Incomplete { path }),
            file => file.map_err(StoreError::io("open", &path))?,
        };
        let length = file.len().map_err(StoreError::io("read", &path))?;
        if length != head.bytes {
            let reason = format!("{length} bytes long, not {}", head.bytes);
            return Err(StoreError::DamagedCopy { path, reason });
        }
        let catalog = Catalog::of_published(root, Arc::clone(&medium), head);
        let (record, format) = catalog.read(|catalog| Ok((catalog.store()?, catalog.format()?)))?;
        Ok(Self { published: true, ..Self::new(root, medium, catalog, record, format) })
    }

    /// What is wrong with the catalog of a published store as a file, if something is.
    pub(super) fn published_damage(&self) -> Result<Option<String>, StoreError> {
        let Some(head) = head(&self.root, self.medium.as_ref())?.filter(|_| self.published) else {
            return Ok(None);
        };
        let path = self.root.join(&head.catalog);
        let read = || {
            let file = self.medium.open(&path, Access::Read)?;
            let mut bytes = vec![0; to_usize(file.len()?)];
            file.read_at(&mut bytes, 0)?;
            Ok(Digest::of(&bytes))
        };
        let found = read().map_err(StoreError::io("read", &path))?;
        let differs = || format!("checksum {} is not {}", found.short(), head.sha256.short());
        Ok((found != head.sha256).then(differs))
    }
}
