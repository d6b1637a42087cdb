//! The table of id tables, which not every store has.

use redb::ReadableTable;
use vestore_schema::IdTableRecord;
use vestore_schema::catalog::IDS;

use super::{CatalogRead, CatalogWrite};
use crate::store::error::StoreError;

impl CatalogRead<'_> {
    /// The id tables that the store keeps, by digest.
    pub(crate) fn id_tables(&self) -> Result<Vec<IdTableRecord>, StoreError> {
        let Some(rows) = self.later_table(IDS)? else { return Ok(Vec::new()) };
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let record: IdTableRecord = self.catalog.decode(key.value(), value.value())?;
                record.check(key.value()).map_err(|error| self.broken(key.value(), &error))?;
                Ok(record)
            })
            .collect()
    }
}

impl CatalogWrite<'_> {
    pub(crate) fn put_id_table(&self, record: &IdTableRecord) -> Result<(), StoreError> {
        self.put(IDS, &record.digest.to_string(), record)
    }
}
