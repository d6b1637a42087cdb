//! The fidelity of a track as a report of the store: a head that has the track's name.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::json;
use vestore_schema::{Digest, ReportRecord, Table};

use super::Fidelity;
use crate::store::{FIDELITY, Store, StoreError, Writer};

/// The version of their documents.
const VERSION: u32 = 1;

/// The fidelity of a track, and whether it still holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeptFidelity {
    /// As it was found.
    #[serde(flatten)]
    pub fidelity: Fidelity,
    /// Whether a track was replaced, or rows were added or removed, since. A reference that was removed as a whole
    /// does not count.
    pub stale: bool,
}

impl Store {
    /// The fidelity of every track that was compared, by the track's name. Documents of other versions are left out.
    ///
    /// # Errors
    /// When the catalog cannot be read or a document makes no sense.
    pub fn fidelities(&self) -> Result<BTreeMap<String, KeptFidelity>, StoreError> {
        let reports = self.reports(FIDELITY)?;
        let mut rows: HashMap<String, u64> = HashMap::new();
        for segment in self.all_segments()?.into_iter().filter(|segment| segment.table == Table::Scores) {
            *rows.entry(segment.track).or_default() += segment.rows;
        }
        let now: HashMap<Digest, u64> = self
            .snapshot()?
            .tracks
            .into_iter()
            .map(|track| (track.id, rows.remove(&track.name).unwrap_or_default()))
            .collect();
        let mut kept = BTreeMap::new();
        for report in reports.iter().filter(|report| report.version == VERSION) {
            let fidelity: Fidelity = serde_json::from_value(report.document.clone())
                .map_err(|error| self.broken_report(report, error.to_string()))?;
            if fidelity.track != report.name || !report.part.is_empty() {
                return Err(self.broken_report(report, "it is of another track".to_owned()));
            }
            let reference = now.get(&fidelity.reference_id);
            let stale = now.get(&fidelity.track_id) != Some(&fidelity.rows())
                || reference.is_some_and(|rows| *rows != fidelity.reference_rows());
            kept.insert(report.name.clone(), KeptFidelity { fidelity, stale });
        }
        Ok(kept)
    }
}

impl Writer {
    /// Keeps the fidelity of a track, in the place of an earlier one. It goes with the track.
    ///
    /// # Errors
    /// When the track is not in the store any more, or the system refuses.
    pub fn put_fidelity(&mut self, fidelity: &Fidelity) -> Result<(), StoreError> {
        let snapshot = self.store().snapshot()?;
        if snapshot.track(&fidelity.track)?.id != fidelity.track_id {
            let reason =
                "the track was replaced while it was compared; run the same command again".to_owned();
            return Err(StoreError::Conflict { kind: "track", name: fidelity.track.clone(), reason });
        }
        self.put_report(&ReportRecord {
            kind: FIDELITY.to_owned(),
            version: VERSION,
            name: fidelity.track.clone(),
            part: String::new(),
            models: Vec::new(),
            document: json!(fidelity),
        })
    }
}
