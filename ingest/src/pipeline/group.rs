//! Units that are committed together: on an assembly of many contigs most are so small that a transaction for each
//! would take longer than scoring them.

use std::time::{Duration, Instant};

use vestore::{StoreError, Writer};
use vestore_schema::{Run, Segment};

/// Longest time that a unit waits for others.
const LONGEST: Duration = Duration::from_secs(1);

/// Units whose segments are written and not yet named by the catalog.
pub(super) struct Group {
    segments: Vec<Segment>,
    rows: usize,
    /// As many rows are committed at once.
    enough: usize,
    /// When the first was written.
    since: Option<Instant>,
}

impl Group {
    pub(super) fn new(enough: usize) -> Self {
        Self { segments: Vec::new(), rows: 0, enough, since: None }
    }

    /// Takes the segments of a unit of so many `rows`; commits when there are enough or the first has waited long.
    pub(super) fn push(
        &mut self,
        segments: impl IntoIterator<Item = Segment>,
        rows: usize,
        writer: &mut Writer,
        run: &Run,
    ) -> Result<(), StoreError> {
        self.segments.extend(segments);
        self.rows += rows;
        self.since.get_or_insert_with(Instant::now);
        if self.rows >= self.enough || self.left() == Some(Duration::ZERO) {
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
            self.rows = 0;
            writer.commit(&std::mem::take(&mut self.segments), run)?;
        }
        Ok(())
    }
}
