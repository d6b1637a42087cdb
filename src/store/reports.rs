//! Reports of a store: documents that it keeps for those who write and read them.

use vestore_schema::{ReportRecord, check_name};

use super::{Store, StoreError, Writer};

/// Kind of the reports that have the name of a track and go with it.
pub(crate) const FIDELITY: &str = "fidelity";

impl Store {
    /// Every document of the reports of a kind, by name and part; a head, whose part is empty, comes first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(crate) fn reports(&self, kind: &str) -> Result<Vec<ReportRecord>, StoreError> {
        let mut reports = self.all_reports()?;
        reports.retain(|report| report.kind == kind);
        Ok(reports)
    }

    /// Every document of every report.
    pub(crate) fn all_reports(&self) -> Result<Vec<ReportRecord>, StoreError> {
        self.catalog.read(|catalog| catalog.reports())
    }

    /// The error of a document that its kind cannot have.
    pub(crate) fn broken_report(&self, report: &ReportRecord, reason: String) -> StoreError {
        self.catalog.broken(&format!("{}/{}/{}", report.kind, report.name, report.part), reason)
    }
}

impl Writer {
    /// Adds a document, or replaces the one of the same kind, name and part.
    ///
    /// # Errors
    /// When its name cannot be used, a part has no head, or the system refuses.
    pub(crate) fn put_report(&mut self, report: &ReportRecord) -> Result<(), StoreError> {
        let conflict = |reason| StoreError::Conflict { kind: "report", name: report.name.clone(), reason };
        check_name(&report.name)?;
        report.check(report.key()).map_err(|error| conflict(error.to_string()))?;
        let head = (report.kind.as_str(), report.name.as_str(), "");
        let older = self.store().catalog.read(|catalog| catalog.older_reports())?;
        let has_head = || -> Result<bool, StoreError> {
            Ok(self.store().all_reports()?.iter().any(|known| known.key() == head))
        };
        if !report.part.is_empty() && !has_head()? {
            return Err(conflict(format!("its part `{}` comes before its head", report.part)));
        }
        self.guarded(|writer| {
            writer.store().catalog.write(|catalog| {
                catalog.move_older_reports(&older)?;
                catalog.put_report(report)
            })
        })
    }

    /// Removes a report with all its parts, in one durable transaction.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn remove_report(&mut self, kind: &str, name: &str) -> Result<(), StoreError> {
        let older = self.store().catalog.read(|catalog| catalog.older_reports())?;
        self.guarded(|writer| {
            writer.store().catalog.write(|catalog| {
                catalog.move_older_reports(&older)?;
                catalog.remove_report(kind, name)
            })
        })
    }
}
