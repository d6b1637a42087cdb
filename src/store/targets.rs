//! The names of the targets of effects.

use std::sync::Arc;

use vestore_schema::{Table, Targets, Track};

use super::Store;
use super::error::StoreError;

impl Store {
    /// The names of the targets of a track's effects, in their order; none where it has no effects.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn target_names(&self, track: &Track) -> Result<Vec<String>, StoreError> {
        let Some(targets) = &track.targets else { return Ok(Vec::new()) };
        self.catalog.read(|catalog| catalog.target_names(targets))
    }
}

/// The names of the targets that were last written, so that a segment does not begin with reading them.
#[derive(Debug, Default)]
pub(super) struct LastTargets(Option<(Targets, Arc<[String]>)>);

impl LastTargets {
    /// The names that the footer of a segment has.
    pub(super) fn of(
        &mut self,
        store: &Store,
        table: Table,
        track: &Track,
    ) -> Result<Option<Arc<[String]>>, StoreError> {
        let Some(targets) = track.targets.filter(|_| track.list_length(table).is_some()) else {
            return Ok(None);
        };
        match &self.0 {
            Some((known, names)) if *known == targets => Ok(Some(Arc::clone(names))),
            _ => {
                let names: Arc<[String]> = store.target_names(track)?.into();
                self.0 = Some((targets, Arc::clone(&names)));
                Ok(Some(names))
            }
        }
    }
}

/// Refuses names that are not those of a track's targets.
pub(super) fn check_targets(track: &Track, names: &[String]) -> Result<(), StoreError> {
    let checked = match &track.targets {
        Some(targets) => targets.check(names),
        None if names.is_empty() => Ok(()),
        None => Err("targets were named, and it has no effects".to_owned()),
    };
    checked.map_err(|reason| StoreError::Conflict { kind: "track", name: track.name.clone(), reason })
}
