//! Rows of several tracks side by side.

use arrow::array::RecordBatch;
use vestore_schema::{Table, Variant};

use super::MeanError;
use crate::query::{QueryPlan, Rows};
use crate::store::{RowKeys, StoreError};

/// The rows of one contig of several tracks, which must be of the same variants.
pub(super) struct Lockstep<'a> {
    sides: Vec<Side<'a>>,
    table: Table,
    contig: u32,
}

/// The rows of one track.
struct Side<'a> {
    plan: &'a QueryPlan,
    rows: Rows<'a>,
    /// What was read and not yet handed on.
    batch: Option<RecordBatch>,
}

impl Side<'_> {
    fn fill(&mut self) -> Result<(), StoreError> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            self.batch = self.rows.next().transpose()?;
            if self.batch.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl<'a> Lockstep<'a> {
    /// Of what each of `plans` answers, one a track, all of `table` and one contig.
    pub(super) fn new(plans: &'a [QueryPlan], table: Table, contig: u32) -> Self {
        let side = |plan: &'a QueryPlan| Side { plan, rows: plan.rows(), batch: None };
        Self { sides: plans.iter().map(side).collect(), table, contig }
    }

    /// As many rows of each track, of the same variants, at most `most`; none at the end of all.
    pub(super) fn next(&mut self, most: usize) -> Result<Option<Vec<RecordBatch>>, MeanError> {
        for side in &mut self.sides {
            side.fill()?;
        }
        let rows = self.sides.iter().map(|side| side.batch.as_ref().map_or(0, RecordBatch::num_rows));
        let rows = rows.min().unwrap_or(0).min(most);
        let first = self.sides[0].batch.as_ref().map(RowKeys::of);
        for (number, side) in self.sides.iter().enumerate().skip(1) {
            match (&first, side.batch.as_ref().map(RowKeys::of)) {
                (None, None) => {}
                (Some(_), None) => return Err(self.alone(0, number, 0)),
                (None, Some(_)) => return Err(self.alone(number, 0, 0)),
                (Some(first), Some(keys)) => {
                    if let Some(row) = (0..rows).find(|row| first.key(*row) != keys.key(*row)) {
                        let ahead = first.key(row) < keys.key(row);
                        let (has, lacks) = if ahead { (0, number) } else { (number, 0) };
                        return Err(self.alone(has, lacks, row));
                    }
                }
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        let mut taken = Vec::with_capacity(self.sides.len());
        for side in &mut self.sides {
            let Some(batch) = side.batch.take() else { return Ok(None) };
            taken.push(batch.slice(0, rows));
            side.batch = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        Ok(Some(taken))
    }

    /// The error of a row that only one track has.
    fn alone(&self, has: usize, lacks: usize, row: usize) -> MeanError {
        let name = |side: usize| self.sides[side].plan.tracks[side].name.clone();
        let variant = self.variant(has, row);
        MeanError::Rows { has: name(has), lacks: name(lacks), table: self.table.as_str(), variant }
    }

    /// The variant of a row that was read of a track, as people write it.
    fn variant(&self, side: usize, row: usize) -> String {
        let batch = self.sides[side].batch.as_ref();
        batch.map(|batch| self.shown(&RowKeys::of(batch).variant(0, row))).unwrap_or_default()
    }

    /// The error of a variant that has a row of the table `found` and none of this one, or the other way round.
    pub(super) fn lacking(&self, variant: &Variant, found: Table) -> MeanError {
        let lacking = if found == Table::Scores { Table::Effects } else { Table::Scores };
        let (found, lacking) = (found.as_str(), lacking.as_str());
        MeanError::Table { found, lacking, variant: self.shown(variant) }
    }

    /// The error of what comes next, if something does.
    pub(super) fn check_done(&mut self) -> Result<(), MeanError> {
        match self.next(1)? {
            None => Ok(()),
            Some(sides) => Err(self.lacking(&RowKeys::of(&sides[0]).variant(0, 0), self.table)),
        }
    }

    /// A variant of the contig, as people write it.
    fn shown(&self, variant: &Variant) -> String {
        let contig = self.contig;
        let variant = Variant { contig, ..variant.clone() };
        variant.display(self.sides[0].plan.store().assembly()).to_string()
    }
}
