//! The tables of calibrations and of the distributions behind them, which not every store has.

use std::collections::HashSet;

use redb::ReadableTable;
use vestore_schema::catalog::{CALIBRATIONS, DISTRIBUTIONS};
use vestore_schema::{Calibration, Digest, MAX_CALIBRATIONS, Scale, Track};

use super::{CatalogRead, CatalogWrite, encode};
use crate::calibration::DistributionRecord;
use crate::store::error::StoreError;

impl CatalogRead<'_> {
    /// Every calibration, by track and column.
    pub(crate) fn calibrations(&self) -> Result<Vec<Calibration>, StoreError> {
        let Some(rows) = self.later_table(CALIBRATIONS)? else { return Ok(Vec::new()) };
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let text = key_text(key.value());
                let record: Calibration = self.catalog.decode(&text, value.value())?;
                record.check(key.value()).map_err(|error| self.broken(&text, &error))?;
                Ok(record)
            })
            .collect()
    }

    /// Adds their calibrations to `tracks`. One without its track is left by an older program that removed the track.
    pub(super) fn calibrate(&self, tracks: &mut [Track]) -> Result<(), StoreError> {
        for calibration in self.calibrations()? {
            let track = tracks.iter_mut().find(|track| track.name == calibration.track);
            let own = |track: &&mut Track| {
                let made = Scale::ALL.map(|scale| calibration.name(scale));
                let mut taken = track.columns.iter().chain(&track.gene_columns).chain(&track.effect_columns);
                track.id == calibration.track_id
                    && track.columns.contains(&calibration.column)
                    && !taken.any(|name| made.contains(name))
            };
            let Some(track) = track.filter(own) else { continue };
            if track.calibrations.len() == MAX_CALIBRATIONS {
                let key = key_text((&calibration.track, &calibration.column));
                let reason = format!("more than {MAX_CALIBRATIONS} of one track");
                return Err(self.catalog.broken(&key, reason));
            }
            track.calibrations.push(calibration);
        }
        Ok(())
    }

    /// The distribution of a digest.
    pub(crate) fn distribution(&self, digest: Digest) -> Result<DistributionRecord, StoreError> {
        let key = digest.to_string();
        let missing = || self.catalog.broken(&key, "the distribution is missing".to_owned());
        let rows = self.later_table(DISTRIBUTIONS)?.ok_or_else(missing)?;
        let value =
            rows.get(key.as_str()).map_err(|error| self.catalog.failed(error))?.ok_or_else(missing)?;
        self.catalog.decode(&key, value.value())
    }
}

impl CatalogWrite<'_> {
    pub(crate) fn put_calibration(
        &self,
        calibration: &Calibration,
        distribution: &DistributionRecord,
    ) -> Result<(), StoreError> {
        let failed = |error: redb::TableError| self.catalog.failed(error);
        let key = (calibration.track.as_str(), calibration.column.as_str());
        {
            let mut table = self.transaction.open_table(CALIBRATIONS).map_err(failed)?;
            let bytes = encode(&key_text(key), calibration);
            table.insert(key, bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        }
        self.put(DISTRIBUTIONS, &calibration.distribution.to_string(), distribution)?;
        self.remove_unnamed_distributions()
    }

    /// Forgets the calibrations of a track, or of one of its columns.
    pub(crate) fn remove_calibrations(&self, track: &str, column: Option<&str>) -> Result<(), StoreError> {
        let failed = |error: redb::TableError| self.catalog.failed(error);
        {
            let mut table = self.transaction.open_table(CALIBRATIONS).map_err(failed)?;
            let stays =
                |(of, at): (&str, &str), _: &[u8]| of != track || column.is_some_and(|column| column != at);
            table.retain(stays).map_err(|error| self.catalog.failed(error))?;
        }
        self.remove_unnamed_distributions()
    }

    fn remove_unnamed_distributions(&self) -> Result<(), StoreError> {
        let mut named = HashSet::new();
        let calibrations =
            self.transaction.open_table(CALIBRATIONS).map_err(|error| self.catalog.failed(error))?;
        for entry in calibrations.iter().map_err(|error| self.catalog.failed(error))? {
            let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
            let record: Calibration = self.catalog.decode(&key_text(key.value()), value.value())?;
            named.insert(record.distribution.to_string());
        }
        let mut table =
            self.transaction.open_table(DISTRIBUTIONS).map_err(|error| self.catalog.failed(error))?;
        table.retain(|digest, _| named.contains(digest)).map_err(|error| self.catalog.failed(error))
    }
}

/// A key as text.
fn key_text((track, column): (&str, &str)) -> String {
    format!("calibration/{track}/{column}")
}
