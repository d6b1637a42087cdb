//! The user's wish to stop: the unit in hand is finished if that takes seconds, else left to the next run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::ModelError;

/// How long a stopped run works on at the unit in hand. Whether a unit is committed may depend on a clock; what is in
/// it does not.
const GRACE: Duration = Duration::from_secs(10);

/// Whether, and since when, the user wants to stop.
#[derive(Debug, Default)]
pub struct Interrupt {
    flag: AtomicBool,
    since: OnceLock<Instant>,
}

impl Interrupt {
    /// Asks to stop; `false` when that was asked before.
    pub fn set(&self) -> bool {
        self.since.get_or_init(Instant::now);
        !self.flag.swap(true, Ordering::Relaxed)
    }

    /// Whether the user wants to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Whether the user has waited long enough for the unit in hand.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.is_set() && self.since.get().is_some_and(|since| since.elapsed() >= GRACE)
    }

    /// Ends a computation that the user does not wait for.
    ///
    /// # Errors
    /// When it is overdue.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        if self.is_overdue() { Err(ModelError::Interrupted) } else { Ok(()) }
    }

    /// The wish alone, for those that stop between steps of less than a second.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}
