//! The places that a command line names.

use vestore::{PlacesError, Report};

use super::shared::{say, warn};

/// The error behind one of places, which decides the exit code.
pub(super) fn misplaced(error: PlacesError) -> anyhow::Error {
    match error {
        PlacesError::Locus(error) => error.into(),
        PlacesError::Reference(error) => error.into(),
        PlacesError::File(error) => error.into(),
    }
}

/// Says what of a file could not be asked for.
pub(super) fn tell(report: &Report) {
    warn(&report.warnings);
    let summary = report.summary();
    if report.has_rejected() {
        say(format_args!("{}", summary.trim_end()));
    }
}
