//! Bins that nothing is learned from: those without a known base, and those that a blacklist touches.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use vestore::{Reference, Report, read_bed};
use vestore_schema::Region;

use super::error::CoverageError;
use super::values::CoverageInput;
use crate::convert::{as_index, narrow};

/// For each window, runs of bins that are left out.
pub(super) struct LeftOut(Vec<Vec<Range<u32>>>);

impl LeftOut {
    /// Finds them.
    pub(super) fn find(
        input: &CoverageInput<'_>,
        reference: &mut Reference,
        interrupted: &AtomicBool,
    ) -> Result<Self, CoverageError> {
        let blacklist = match input.blacklist {
            None => Vec::new(),
            Some(file) => Region::union(read_bed(file, input.assembly, &mut Report::new())?),
        };
        let resolution = input.layout.resolution;
        let mut bases = Vec::new();
        let mut windows = Vec::new();
        for window in 0..input.sequences.windows.len() {
            if interrupted.load(Ordering::Relaxed) {
                return Err(CoverageError::Interrupted);
            }
            let binned = input.binned(window);
            reference.fetch_into(binned, &mut bases)?;
            let unknown = |bin: &[u8]| !bin.iter().any(|base| b"ACGT".contains(base));
            let mut bins: Vec<bool> = bases.chunks(as_index(resolution.into())).map(unknown).collect();
            let after = blacklist
                .partition_point(|region| (region.contig, region.end) <= (binned.contig, binned.start));
            for region in blacklist[after..]
                .iter()
                .take_while(|region| region.contig == binned.contig && region.start < binned.end)
            {
                let first = region.start.saturating_sub(binned.start) / resolution;
                let end = (region.end.min(binned.end) - binned.start).div_ceil(resolution);
                bins[as_index(first.into())..as_index(end.into())].fill(true);
            }
            let mut at = 0;
            let mut runs = Vec::new();
            for run in bins.chunk_by(|left, right| left == right) {
                let end = at + narrow(run.len());
                if run[0] {
                    runs.push(at..end);
                }
                at = end;
            }
            windows.push(runs);
        }
        Ok(Self(windows))
    }

    /// Puts NaN into the bins of a window that are left out.
    pub(super) fn apply(&self, window: usize, values: &mut [f32]) {
        for run in &self.0[window] {
            values[as_index(run.start.into())..as_index(run.end.into())].fill(f32::NAN);
        }
    }

    /// How many there are in all windows.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().flatten().map(|run| u64::from(run.end - run.start)).sum()
    }
}
