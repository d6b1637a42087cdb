//! The store of a shard: one part of a plan, scored apart, to be merged into the store that it was made for.

use std::path::Path;
use std::sync::Arc;

use vestore_schema::{Architecture, Digest, Model, Shard, StoreRecord, Table};

use super::commit::Writer;
use super::disk::Disk;
use super::error::StoreError;
use super::{Snapshot, Store};

impl Store {
    /// Opens the store of a shard at `root`, where there is one; nothing is changed.
    ///
    /// # Errors
    /// When there is something else at `root`, or the system refuses.
    pub fn open_shard(
        &self,
        root: &Path,
        shard: Shard,
        track: &str,
        table: Table,
    ) -> Result<Option<Self>, StoreError> {
        let same = |path: &Path| path.canonicalize().ok();
        if same(root).is_some_and(|root| Some(root) == same(&self.root)) {
            return Err(other_shard(root, "it is the store itself".to_owned()));
        }
        if Self::check_free(root, &Disk::new(root)).is_ok() {
            return Ok(None);
        }
        let store = Self::open(root).map_err(|error| match error {
            StoreError::NotAStore { .. } => other_shard(root, "it is not an empty folder".to_owned()),
            error => error,
        })?;
        if store.assembly().contigs != self.assembly().contigs {
            return Err(other_shard(root, "it has another reference".to_owned()));
        }
        for run in store.runs()? {
            let found = run.shard.map_or("a whole plan".to_owned(), |other| format!("shard {other}"));
            if run.shard != Some(shard) {
                return Err(other_shard(root, format!("it has rows of {found}, not of shard {shard}")));
            }
            if run.track != track || run.table != table {
                let found = format!("it has rows of track `{}` ({})", run.track, run.table.as_str());
                return Err(other_shard(root, format!("{found}, not of `{track}` ({})", table.as_str())));
            }
        }
        Ok(Some(store))
    }

    /// Makes the store of a shard at `root`: with the contigs of this store, whose reference it refers to by an absolute
    /// path.
    ///
    /// # Errors
    /// When something is there already or the system refuses.
    pub fn create_shard(&self, root: &Path) -> Result<Self, StoreError> {
        let reference = absolute(&self.reference())?;
        let record = StoreRecord { reference, copied: false, assembly: self.assembly().clone() };
        Self::create(root, Arc::new(Disk::new(root)), record)
    }

    /// An error where this store of a shard has rows of another plan than that of `digest`.
    ///
    /// # Errors
    /// [`StoreError::OtherShard`], or the catalog cannot be read.
    pub fn check_plan(&self, digest: Digest) -> Result<(), StoreError> {
        if self.runs()?.iter().any(|run| run.plan != digest) {
            return Err(other_shard(&self.root, "it has rows of other variants".to_owned()));
        }
        Ok(())
    }

    /// The record of a model for another store, which finds its files here.
    fn elsewhere(&self, model: &Model) -> Result<Model, StoreError> {
        let mut moved = model.clone();
        if model.copied {
            moved.copied = false;
            moved.files = Vec::new();
            moved.checkpoint = absolute(&self.model_path(model, &model.checkpoint))?;
            let adapter = model.adapter.as_ref();
            moved.adapter = adapter.map(|path| absolute(&self.model_path(model, path))).transpose()?;
            if let Architecture::Regulatory(regulatory) = &mut moved.architecture
                && let Some(targets) = &mut regulatory.targets_file
            {
                *targets = absolute(&self.model_path(model, targets))?;
            }
        }
        Ok(moved)
    }
}

impl Writer {
    /// Puts `model` of the store `from`, and what it was derived from among `snapshot`, into this store of a shard, which
    /// finds its files there.
    ///
    /// # Errors
    /// When the name belongs to another model, or the system refuses.
    pub fn put_models_of(
        &mut self,
        from: &Store,
        model: &Model,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let known = self.store().snapshot()?.models;
        let mut line = from.ancestors(model, &snapshot.models)?;
        line.insert(0, model);
        for model in line.into_iter().rev() {
            super::check_model(model, &known)?;
            if known.iter().all(|known| known.name != model.name) {
                self.put_model(&from.elsewhere(model)?)?;
            }
        }
        Ok(())
    }
}

fn other_shard(path: &Path, reason: String) -> StoreError {
    StoreError::OtherShard { path: path.to_owned(), reason }
}

/// The absolute path as the catalog keeps it.
fn absolute(path: &Path) -> Result<String, StoreError> {
    let absolute = std::path::absolute(path).map_err(StoreError::io("find", path))?;
    let text = absolute.to_str().map(str::to_owned);
    text.ok_or_else(|| other_shard(path, "its path is not UTF-8, which a catalog cannot keep".to_owned()))
}
