//! The table of the names of targets, which not every store has.

use vestore_schema::catalog::TARGETS;
use vestore_schema::{Digest, Targets};

use super::{CatalogRead, CatalogWrite};
use crate::store::error::StoreError;

impl CatalogRead<'_> {
    /// The names of `targets`.
    pub(crate) fn target_names(&self, targets: &Targets) -> Result<Vec<String>, StoreError> {
        let key = targets.names.to_string();
        let missing = || self.catalog.broken(&key, "the names of these targets are missing".to_owned());
        let rows = self.later_table(TARGETS)?.ok_or_else(missing)?;
        let value =
            rows.get(key.as_str()).map_err(|error| self.catalog.failed(error))?.ok_or_else(missing)?;
        let names: Vec<String> = self.catalog.decode(&key, value.value())?;
        targets.check(&names).map_err(|reason| self.catalog.broken(&key, reason))?;
        Ok(names)
    }
}

impl CatalogWrite<'_> {
    pub(crate) fn put_targets(&self, names: &[String]) -> Result<(), StoreError> {
        self.put(TARGETS, &Targets::of(names).names.to_string(), &names)
    }

    /// Forgets the names of targets that no track has any more.
    pub(crate) fn remove_targets(&self, names: &Digest) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(TARGETS).map_err(|error| self.catalog.failed(error))?;
        table.remove(names.to_string().as_str()).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }
}
