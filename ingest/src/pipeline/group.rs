//! Units that are committed together: where they are small or fast, a transaction for each would take longer than
//! scoring them.

use std::time::{Duration, Instant};

use vestore::{StoreError, Writer};
use vestore_schema::{Run, Segment};

/// Longest time that a unit waits for others. What is in a unit does not depend on it.
const LONGEST: Duration = Duration::from_secs(1);

/// Units whose segments are written and not yet named by the catalog.
#[derive(Default)]
pub(super) struct Group {
    segments: Vec<Segment>,
    /// When the first was written.
    since: Option<Instant>,
}

impl Group {
    /// Takes the segments of a unit; commits when the first has waited long.
    pub(super) fn push(
        &mut self,
        segments: impl IntoIterator<Item = Segment>,
        writer: &mut Writer,
        run: &Run,
    ) -> Result<(), StoreError> {
        self.segments.extend(segments);
        self.since.get_or_insert_with(Instant::now);
        if self.left() == Some(Duration::ZERO) {
            self.commit(writer, run)?;
        }
        Ok(())
    }

    /// How long what is there may still wait; `None` when nothing is.
    pub(super) fn left(&self) -> Option<Duration> {
        self.since.map(|since| LONGEST.saturating_sub(since.elapsed()))
    }

    /// Commits what is there.
    pub(super) fn commit(&mut self, writer: &mut Writer, run: &Run) -> Result<(), StoreError> {
        if self.since.take().is_some() {
            writer.commit(&std::mem::take(&mut self.segments), run)?;
        }
        Ok(())
    }
}
