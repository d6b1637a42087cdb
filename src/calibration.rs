//! How extreme is a score? The distribution of a background, kept with the track, makes it a percentile and a PHRED.

mod background;
mod columns;
mod contexts;
mod distribution;
mod error;
#[cfg(test)]
mod tests;

use vestore_schema::{Calibration, Context, Direction, MAX_CALIBRATIONS, Scale, Track};

use self::background::Background;
use crate::query::{Places, QueryPlan, Request};
use crate::store::{Store, StoreError, find};

pub(crate) use self::columns::Calibrated;
pub(crate) use self::distribution::{Distribution, DistributionRecord};
pub use self::error::CalibrateError;

/// What is to be calibrated, and with what.
#[derive(Clone, Debug)]
pub struct CalibrateOptions {
    /// The track.
    pub track: String,
    /// One of its score columns.
    pub column: String,
    /// Which scores are extreme; without, what the column means.
    pub direction: Option<Direction>,
    /// Subtract the mean of SNVs in the same context.
    pub context: Option<Context>,
    /// The rows of the track to compare with: those at these places, or all.
    pub places: Places,
    /// These places in words.
    pub background: String,
    /// Replace another calibration of the column.
    pub replace: bool,
}

/// What became of a calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationTaken {
    /// The calibration.
    pub calibration: Calibration,
    /// Whether the store had it already, and nothing was changed.
    pub known: bool,
    /// Rows of the background without a score, or in no context.
    pub left_out: u64,
    /// Classes of the context without a score, whose variants have no percentile.
    pub empty_classes: usize,
    /// Whether every distinct score was kept.
    pub is_whole: bool,
}

/// Compares the scores of a column with those of a background, and keeps the distribution. `progress` gets the rows read
/// so far.
///
/// # Errors
/// When there is no such track or column, nothing states the direction, the background has no score, another
/// calibration is not to be replaced, or the store or the reference cannot be read or written.
pub fn calibrate(
    store: &Store,
    options: CalibrateOptions,
    purpose: &str,
    progress: impl FnMut(u64),
) -> Result<CalibrationTaken, CalibrateError> {
    let CalibrateOptions { track, column, direction, context, places, background, replace } = options;
    store.check_writable()?;
    let snapshot = store.snapshot()?;
    let track = snapshot.track(&track)?;
    find("score column", &column, &track.columns, |known| known)?;
    check_names(track, &column)?;
    let direction = direction.or_else(|| track.meaning(&column).map(|meaning| meaning.direction));
    let direction = direction.ok_or_else(|| CalibrateError::NoDirection { column: column.clone() })?;
    let nothing = places.asked && places.regions.is_empty() && places.variants.is_empty();
    let empty = || CalibrateError::Empty { track: track.name.clone(), background: background.clone() };
    if nothing {
        return Err(empty());
    }
    let Places { regions, variants, .. } = places;
    let variants = variants.into();
    let request = Request { regions, variants, tracks: vec![track.name.clone()], ..Request::default() };
    let plan = QueryPlan::new(store, &request)?.with_columns(&[&column])?;
    let taken = Background { plan: &plan, direction, context }.take(progress)?.ok_or_else(empty)?;
    let distribution = taken.distribution;
    let calibration = Calibration::new(
        track,
        &column,
        direction,
        context,
        background,
        (distribution.rows(), distribution.digest()),
        format!("vestore {}", env!("CARGO_PKG_VERSION")),
    );
    let checked = calibration.check((&track.name, &column));
    checked.map_err(|error| CalibrateError::Record { reason: error.to_string() })?;
    let others = track.calibrations.iter().filter(|other| other.column != column).count();
    if others >= MAX_CALIBRATIONS {
        return Err(CalibrateError::TooMany { track: track.name.clone(), most: MAX_CALIBRATIONS });
    }
    let is_whole = distribution.is_whole();
    let mut writer = store.writer(purpose)?;
    // Another process may have calibrated, or removed the track, meanwhile.
    let snapshot = store.snapshot()?;
    let current = snapshot.track(&track.name)?;
    if current.id != track.id {
        return Err(StoreError::Conflict {
            kind: "track",
            name: track.name.clone(),
            reason: "it was replaced while it was calibrated; rerun".to_owned(),
        }
        .into());
    }
    let before = current.calibrations.iter().find(|before| before.column == column);
    let known = before.is_some_and(|before| before.id == calibration.id);
    if let Some(before) = before.filter(|before| before.id != calibration.id && !replace) {
        return Err(CalibrateError::Calibrated {
            name: format!("{}.{column}", track.name),
            with: before.text(),
        });
    }
    if !known {
        writer.put_calibration(&calibration, &distribution)?;
    }
    let (left_out, empty_classes) = (taken.left_out, taken.empty_classes);
    Ok(CalibrationTaken { calibration, known, left_out, empty_classes, is_whole })
}

/// Removes the calibration of a column.
///
/// # Errors
/// When there is none, or the store cannot be written.
pub fn remove_calibration(
    store: &Store,
    track: &str,
    column: &str,
    purpose: &str,
) -> Result<(), CalibrateError> {
    let mut writer = store.writer(purpose)?;
    let snapshot = store.snapshot()?;
    let calibrations = &snapshot.track(track)?.calibrations;
    find("calibrated column", column, calibrations, |calibration| &calibration.column)?;
    Ok(writer.remove_calibration(track, column)?)
}

/// Refuses to make a column that the track has.
fn check_names(track: &Track, column: &str) -> Result<(), CalibrateError> {
    let made = Scale::ALL.map(|scale| format!("{column}{}", scale.ending()));
    match made.into_iter().find(|name| track.columns.contains(name)) {
        Some(name) => Err(CalibrateError::NameTaken { track: track.name.clone(), name }),
        None => Ok(()),
    }
}
