//! The table of reports, and the two tables of studies that stores had before it.

use redb::{Key, ReadOnlyTable, ReadableTable, TableDefinition, TableError};
use serde_json::Value;
use vestore_schema::ReportRecord;
use vestore_schema::catalog::{REPORTS, STUDIES, STUDY_RUNS};

use super::{CatalogRead, CatalogWrite, encode};
use crate::store::error::StoreError;

/// The kind of what the older tables hold.
const STUDY_KIND: &str = "layer-study";

impl CatalogRead<'_> {
    /// Every document by kind, name and part; heads come before their parts.
    pub(crate) fn reports(&self) -> Result<Vec<ReportRecord>, StoreError> {
        let mut reports = self.older_reports()?;
        let Some(rows) = self.later_table(REPORTS)? else { return Ok(reports) };
        for entry in rows.iter().map_err(|error| self.catalog.failed(error))? {
            let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
            let key = key.value();
            let text = key_text(key);
            let report: ReportRecord = self.catalog.decode(&text, value.value())?;
            report.check(key).map_err(|error| self.broken(&text, &error))?;
            reports.push(report);
        }
        reports.sort_by(|a, b| a.key().cmp(&b.key()));
        if let Some(pair) = reports.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return Err(self.catalog.broken(&key_text(pair[0].key()), "it is there twice".to_owned()));
        }
        for part in reports.iter().filter(|report| !report.part.is_empty()) {
            let head = (part.kind.as_str(), part.name.as_str(), "");
            if reports.binary_search_by(|report| report.key().cmp(&head)).is_err() {
                return Err(self.catalog.broken(&key_text(part.key()), "its report is missing".to_owned()));
            }
        }
        Ok(reports)
    }

    /// Studies and their runs as they were kept before there were reports.
    pub(crate) fn older_reports(&self) -> Result<Vec<ReportRecord>, StoreError> {
        let mut reports = Vec::new();
        if let Some(rows) = self.later_table(STUDIES)? {
            for entry in rows.iter().map_err(|error| self.catalog.failed(error))? {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let document: Value = self.catalog.decode(key.value(), value.value())?;
                reports.push(self.older_report(key.value(), ("name", key.value()), "", document)?);
            }
        }
        if let Some(rows) = self.later_table(STUDY_RUNS)? {
            for entry in rows.iter().map_err(|error| self.catalog.failed(error))? {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let (study, variation, seed) = key.value();
                let text = format!("{study}/{variation}/{seed}");
                let document: Value = self.catalog.decode(&text, value.value())?;
                let part = format!("{variation}/{seed}");
                reports.push(self.older_report(&text, ("study", study), &part, document)?);
            }
        }
        Ok(reports)
    }

    /// One of them; `named` is the field that has the study's name, and that name.
    fn older_report(
        &self,
        key: &str,
        named: (&str, &str),
        part: &str,
        document: Value,
    ) -> Result<ReportRecord, StoreError> {
        let (field, name) = named;
        if document.get(field).and_then(Value::as_str) != Some(name) {
            return Err(self.catalog.broken(key, "it has another name".to_owned()));
        }
        let models = document.get("model").and_then(Value::as_str).map(str::to_owned);
        let report = ReportRecord {
            kind: STUDY_KIND.to_owned(),
            version: 1,
            name: name.to_owned(),
            part: part.to_owned(),
            models: models.into_iter().collect(),
            document,
        };
        report.check((STUDY_KIND, name, part)).map_err(|error| self.broken(key, &error))?;
        Ok(report)
    }

    /// A table that not every store has; whoever writes to it first makes it.
    pub(super) fn later_table<K: Key + 'static>(
        &self,
        table: TableDefinition<'_, K, &'static [u8]>,
    ) -> Result<Option<ReadOnlyTable<K, &'static [u8]>>, StoreError> {
        match self.transaction.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => table.map(Some).map_err(|error| self.catalog.failed(error)),
        }
    }
}

impl CatalogWrite<'_> {
    /// Moves studies of an older store, which are these, to the table of reports.
    pub(crate) fn move_older_reports(&self, older: &[ReportRecord]) -> Result<(), StoreError> {
        let failed = |error: TableError| self.catalog.failed(error);
        self.transaction.delete_table(STUDIES).map_err(failed)?;
        self.transaction.delete_table(STUDY_RUNS).map_err(failed)?;
        older.iter().try_for_each(|report| self.put_report(report))
    }

    pub(crate) fn put_report(&self, report: &ReportRecord) -> Result<(), StoreError> {
        let bytes = encode(&key_text(report.key()), report);
        let mut table = self.transaction.open_table(REPORTS).map_err(|error| self.catalog.failed(error))?;
        table.insert(report.key(), bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }

    /// Forgets a report with all its parts.
    pub(crate) fn remove_report(&self, kind: &str, name: &str) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(REPORTS).map_err(|error| self.catalog.failed(error))?;
        table
            .retain(|(of_kind, of_name, _), _| (of_kind, of_name) != (kind, name))
            .map_err(|error| self.catalog.failed(error))
    }
}

/// A key as text.
fn key_text((kind, name, part): (&str, &str, &str)) -> String {
    format!("{kind}/{name}/{part}")
}
