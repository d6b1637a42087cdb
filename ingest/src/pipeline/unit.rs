//! Units: what is scored, committed and resumed as a whole.

use vestore::{Planned, Store};
use vestore_schema::{Segment, Table, Track};

use super::{Job, PipelineError};

/// Variants of one unit: 64 times 18, so that saturation keeps the 18 SNVs of six bases together.
pub const UNIT: usize = 1152;

/// Consecutive variants of a plan, on one contig, without those that the track has rows for.
pub(super) struct Unit {
    pub(super) contig: u32,
    pub(super) rows: Vec<Planned>,
}

/// The units of a plan that have something to do. Their borders depend on the plan alone, so that a
/// resumed run has the same batches as an undisturbed one.
pub(super) struct Units<'a> {
    store: &'a Store,
    track: &'a Track,
    variants: Box<dyn Iterator<Item = Result<Planned, vestore::PlanError>> + 'a>,
    /// First variant of the next unit.
    ahead: Option<Planned>,
    /// Segments of the track on the contig that was asked for last.
    segments: Option<(u32, Vec<Segment>)>,
}

impl<'a> Units<'a> {
    pub(super) fn new(job: &Job<'a>) -> Result<Self, PipelineError> {
        let mut variants: Box<dyn Iterator<Item = _> + 'a> = Box::new(job.plan.rows()?);
        let ahead = variants.next().transpose()?;
        Ok(Self { store: job.store, track: job.track, variants, ahead, segments: None })
    }

    /// The next unit, with all its variants.
    fn cut(&mut self) -> Result<Option<Unit>, PipelineError> {
        let Some(first) = self.ahead.take() else { return Ok(None) };
        let contig = first.variant.contig;
        let mut rows = vec![first];
        for variant in self.variants.by_ref() {
            let variant = variant?;
            if rows.len() == UNIT || variant.variant.contig != contig {
                self.ahead = Some(variant);
                break;
            }
            rows.push(variant);
        }
        Ok(Some(Unit { contig, rows }))
    }

    /// Leaves out what the track has rows for.
    fn without_stored(&mut self, mut unit: Unit) -> Result<Unit, PipelineError> {
        // What this run commits lies in other units, so the list need not be renewed.
        if self.segments.as_ref().is_none_or(|(contig, _)| *contig != unit.contig) {
            let segments = self.store.segments(Table::Scores, &self.track.name, unit.contig, 0, u32::MAX)?;
            self.segments = Some((unit.contig, segments));
        }
        let segments = self.segments.as_ref().map_or(&[][..], |(_, segments)| segments);
        let (Some(first), Some(last)) = (unit.rows.first(), unit.rows.last()) else { return Ok(unit) };
        let (start, end) = (first.variant.position, last.variant.position + 1);
        let stored = self.store.stored_variants(segments, unit.contig, start, end)?;
        unit.rows.retain(|row| !stored.contains(&row.variant));
        Ok(unit)
    }
}

impl Iterator for Units<'_> {
    type Item = Result<Unit, PipelineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let unit = match self.cut().transpose()? {
                Ok(unit) => unit,
                Err(error) => return Some(Err(error)),
            };
            match self.without_stored(unit) {
                Ok(unit) if unit.rows.is_empty() => {}
                unit => return Some(unit),
            }
        }
    }
}
