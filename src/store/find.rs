//! Things by their names; an unknown name is an error that lists the known ones.

use vestore_schema::{Model, Run, Track};

use super::error::StoreError;
use super::{Snapshot, Store};

impl Snapshot {
    /// The model called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn model(&self, name: &str) -> Result<&Model, StoreError> {
        find("model", name, &self.models, |model| &model.name)
    }

    /// The track called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn track(&self, name: &str) -> Result<&Track, StoreError> {
        find("track", name, &self.tracks, |track| &track.name)
    }
}

impl Store {
    /// The run of this number.
    ///
    /// # Errors
    /// When there is none, or the catalog cannot be read.
    pub fn run(&self, number: u64) -> Result<Run, StoreError> {
        find("run", &number.to_string(), &self.runs()?, |run| run.number).cloned()
    }
}

/// That of `all` which `name_of` calls `name`.
pub(crate) fn find<'a, T, N: ToString>(
    kind: &'static str,
    name: &str,
    all: &'a [T],
    name_of: impl Fn(&'a T) -> N,
) -> Result<&'a T, StoreError> {
    all.iter().find(|one| name_of(one).to_string() == name).ok_or_else(|| StoreError::Unknown {
        kind,
        name: name.to_owned(),
        known: all.iter().map(|one| name_of(one).to_string()).collect(),
    })
}
