//! Calibrations that a store keeps, with their distributions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vestore_schema::{Calibration, Digest};

use super::Store;
use super::commit::Writer;
use super::error::StoreError;
use crate::calibration::Distribution;

/// Distributions that are held for the next query; of a million bins each takes 16 MB.
const HELD: usize = 8;

/// Distributions that were read, by digest, which is what they are.
pub(super) type Distributions = Arc<Mutex<HashMap<Digest, Arc<Distribution>>>>;

impl Store {
    /// The distribution behind a calibration.
    ///
    /// # Errors
    /// When the catalog cannot be read, or the calibration was replaced since it was read.
    pub(crate) fn distribution(&self, calibration: &Calibration) -> Result<Arc<Distribution>, StoreError> {
        let digest = calibration.distribution;
        let known = || self.distributions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(distribution) = known().get(&digest) {
            return Ok(Arc::clone(distribution));
        }
        let record = self.catalog.read(|catalog| {
            let current = catalog.calibrations()?.into_iter().any(|other| other.distribution == digest);
            if current { catalog.distribution(digest).map(Some) } else { Ok(None) }
        })?;
        let record = record.ok_or_else(|| StoreError::Recalibrated {
            track: calibration.track.clone(),
            column: calibration.column.clone(),
        })?;
        let distribution =
            Distribution::read(&record).map_err(|reason| self.catalog.broken(&digest.to_string(), reason))?;
        let rows = distribution.rows();
        let classes = calibration.context.map_or(0, vestore_schema::Context::classes);
        if rows != calibration.rows || distribution.means().len() != classes {
            let reason = format!("not the distribution of {} scores", calibration.rows);
            return Err(self.catalog.broken(&digest.to_string(), reason));
        }
        let distribution = Arc::new(distribution);
        let mut held = known();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(digest, Arc::clone(&distribution));
        Ok(distribution)
    }
}

impl Store {
    /// Checks that the distribution behind a calibration is what its digest says.
    pub(super) fn check_distribution(&self, calibration: &Calibration) -> Result<(), StoreError> {
        let digest = calibration.distribution;
        if self.distribution(calibration)?.digest() == digest {
            return Ok(());
        }
        Err(self.catalog.broken(&digest.to_string(), "not what its digest says".to_owned()))
    }
}

impl Writer {
    /// Adds a calibration, or replaces that of the same column, in one durable transaction.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn put_calibration(
        &mut self,
        calibration: &Calibration,
        distribution: &Distribution,
    ) -> Result<(), StoreError> {
        let record = distribution.record();
        self.guarded(|writer| {
            writer.store().catalog.write(|catalog| catalog.put_calibration(calibration, &record))
        })
    }

    /// Removes the calibration of a column of a track, in one durable transaction.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn remove_calibration(&mut self, track: &str, column: &str) -> Result<(), StoreError> {
        self.guarded(|writer| {
            writer.store().catalog.write(|catalog| catalog.remove_calibrations(track, Some(column)))
        })
    }
}
