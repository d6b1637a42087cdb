//! The store of a shard: one part of a plan, scored apart, to be merged into the store that it was made for.

use std::path::Path;
use std::sync::Arc;

use vestore_schema::{Architecture, Digest, Model, Shard, StoreRecord};

use super::disk::Disk;
use super::error::StoreError;
use super::{Snapshot, Store};

impl Store {
    /// Opens the store of a shard at `root`, or makes it: with the contigs of this store, whose reference and whose
    /// files of the model it refers to by absolute paths. `model` and what it was derived from are put into it.
    ///
    /// # Errors
    /// When there is another store at `root`, or the system refuses.
    pub fn shard(
        &self,
        root: &Path,
        shard: Shard,
        model: &Model,
        snapshot: &Snapshot,
    ) -> Result<Self, StoreError> {
        let same = |path: &Path| path.canonicalize().ok();
        if same(root).is_some_and(|root| Some(root) == same(&self.root)) {
            return Err(other_shard(root, "it is the store itself".to_owned()));
        }
        let disk = Arc::new(Disk::new(root));
        let store = if Self::check_free(root, disk.as_ref()).is_ok() {
            let reference = absolute(&self.reference())?;
            let assembly = self.assembly().clone();
            Self::create(root, disk, StoreRecord { reference, copied: false, assembly })?
        } else {
            let store = Self::open(root)?;
            if store.assembly().contigs != self.assembly().contigs {
                return Err(other_shard(root, "it has another reference".to_owned()));
            }
            if let Some(run) = store.runs()?.into_iter().find(|run| run.shard != Some(shard)) {
                let found = run.shard.map_or("a whole plan".to_owned(), |other| format!("shard {other}"));
                return Err(other_shard(root, format!("it has rows of {found}, not of shard {shard}")));
            }
            store
        };
        let known = store.snapshot()?.models;
        let mut line = self.ancestors(model, &snapshot.models)?;
        line.insert(0, model);
        let mut new = Vec::new();
        for model in line.into_iter().rev() {
            super::check_model(model, &known)?;
            if known.iter().all(|known| known.name != model.name) {
                new.push(self.elsewhere(model)?);
            }
        }
        if !new.is_empty() {
            let mut writer = store.writer("vestore score --shard")?;
            new.iter().try_for_each(|model| writer.put_model(model))?;
        }
        Ok(store)
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

fn other_shard(path: &Path, reason: String) -> StoreError {
    StoreError::OtherShard { path: path.to_owned(), reason }
}

/// The absolute path as the catalog keeps it.
fn absolute(path: &Path) -> Result<String, StoreError> {
    let absolute = std::path::absolute(path).map_err(StoreError::io("find", path))?;
    let text = absolute.to_str().map(str::to_owned);
    text.ok_or_else(|| other_shard(path, "its path is not UTF-8, which a catalog cannot keep".to_owned()))
}
