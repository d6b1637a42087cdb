//! The table of gene tables, which not every store has.

use redb::ReadableTable;
use vestore_schema::GeneTableRecord;
use vestore_schema::catalog::GENES;

use super::{CatalogRead, CatalogWrite};
use crate::store::error::StoreError;

impl CatalogRead<'_> {
    /// The gene tables that the store keeps, by digest.
    pub(crate) fn gene_tables(&self) -> Result<Vec<GeneTableRecord>, StoreError> {
        let Some(rows) = self.later_table(GENES)? else { return Ok(Vec::new()) };
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let record: GeneTableRecord = self.catalog.decode(key.value(), value.value())?;
                record.check(key.value()).map_err(|error| self.broken(key.value(), &error))?;
                Ok(record)
            })
            .collect()
    }
}

impl CatalogWrite<'_> {
    pub(crate) fn put_gene_table(&self, record: &GeneTableRecord) -> Result<(), StoreError> {
        self.put(GENES, &record.digest.to_string(), record)
    }
}
