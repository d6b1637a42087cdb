//! The values of all bins of all windows, computed once and kept on disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vestore::Reference;
use vestore_schema::{Assembly, Digest, Region};

use super::cache::{self, Description, Partial};
use super::error::CoverageError;
use super::left_out::LeftOut;
use super::sequences::Sequences;
use super::source::Source;
use super::targets::{CoverageTargets, TargetFile, digest_of};
use super::transform::Transform;
use crate::convert::{as_index, single};
use crate::dataset::Split;
use crate::progress::Progress;

/// Name of the file of values.
const FILE: &str = "coverage.values";
/// Counts changes of how values are computed.
const REVISION: u32 = 1;

/// Which bins of a window are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinLayout {
    /// Bases of a bin.
    pub resolution: u32,
    /// Bins of the window before the first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What values are computed from.
#[derive(Clone, Copy)]
pub struct CoverageInput<'a> {
    /// What was measured.
    pub targets: &'a CoverageTargets,
    /// Where.
    pub sequences: &'a Sequences,
    /// Which bins of each window.
    pub layout: BinLayout,
    /// A BED file of regions whose measurements are not believed.
    pub blacklist: Option<&'a Path>,
    /// The contigs of the reference.
    pub assembly: &'a Assembly,
}

impl CoverageInput<'_> {
    /// The bases of a window's bins.
    pub(super) fn binned(&self, window: usize) -> Region {
        let region = self.sequences.region(window);
        let start = region.start + self.layout.first * self.layout.resolution;
        Region { start, end: start + self.layout.count * self.layout.resolution, ..region }
    }

    fn check(&self) -> Result<(), CoverageError> {
        let BinLayout { resolution, first, count } = self.layout;
        let end = (u64::from(first) + u64::from(count)).checked_mul(resolution.into());
        if resolution > 0 && count > 0 && end.is_some_and(|end| end <= self.sequences.window.into()) {
            return Ok(());
        }
        Err(CoverageError::Setting {
            setting: "bins",
            value: format!("{first} to {} of {resolution} bases", u64::from(first) + u64::from(count)),
            expected: format!("bins inside the window of {} bases", self.sequences.window),
        })
    }

    pub(crate) fn identity(&self) -> Result<Digest, CoverageError> {
        let blacklist = self.blacklist.map(digest_of).transpose()?;
        let BinLayout { resolution, first, count } = self.layout;
        Ok(Digest::of_json(&json!({
            "revision": REVISION,
            "targets": self.targets.identity(),
            "sequences": self.sequences.identity(self.assembly),
            "bins": [resolution, first, count],
            "blacklist": blacklist,
        })))
    }
}

/// What a target's values are over the bins of the training windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetCoverage {
    /// Bins that are not left out.
    pub bins: u64,
    /// Mean; 0 without bins.
    pub mean: f64,
    /// Largest value; 0 without bins.
    pub max: f64,
    /// Share of bins that are 0; 0 without bins.
    pub zeros: f64,
    /// Bins above `clip_soft`.
    pub soft_clipped: u64,
    /// Bins above `clip`.
    pub clipped: u64,
}

/// Measured coverage of windows, on disk: float32 [targets, bins] for each window, NaN in bins that are left out.
pub struct CoverageValues {
    path: PathBuf,
    file: File,
    targets: usize,
    bins: usize,
    windows: usize,
    description: Description,
}

impl CoverageValues {
    /// Computes the values, or finds them computed before from the same input in `folder`, which the caller keeps to
    /// one process. Coverage of bases without data is 0; bins without a known base, and bins that share a base with the
    /// blacklist, are left out.
    ///
    /// # Errors
    /// Bins reach beyond the window, a file cannot be read, holds a value that is not a measurement or is of another
    /// assembly, the folder cannot be written, or the user wants to stop.
    pub fn collect(
        input: &CoverageInput<'_>,
        reference: &mut Reference,
        folder: &Path,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<Self, CoverageError> {
        input.check()?;
        let path = folder.join(FILE);
        let io = |source| CoverageError::Io { file: path.clone(), source };
        let (targets, windows) = (input.targets.count(), input.sequences.windows.len());
        let bins = as_index(input.layout.count.into());
        let (identity, count) = (input.identity()?, targets as u64 * windows as u64 * bins as u64);
        let (file, description) = if let Some(found) = cache::open(&path, identity, count).map_err(io)? {
            found
        } else {
            let left_out = LeftOut::find(input, reference, interrupted)?;
            let partial = Partial::create(&path).map_err(io)?;
            progress.begin("profiles", 0, targets as u64 * windows as u64);
            let column = Column { input, left_out: &left_out, file: &partial.file, path: &path, folder };
            let computed = input.targets.files.par_iter().enumerate();
            let computed: Result<Vec<TargetCoverage>, CoverageError> =
                computed.map(|(target, file)| column.compute(target, file, interrupted, progress)).collect();
            progress.finish();
            let description = Description { identity, targets: computed?, left_out: left_out.count() };
            let file = partial.finish(&path, count, &description).map_err(io)?;
            (file, description)
        };
        Ok(Self { path, file, targets, bins, windows, description })
    }

    /// The values of a window: [targets, bins], row by target.
    ///
    /// # Errors
    /// The file cannot be read.
    ///
    /// # Panics
    /// When there is no such window, which is a bug.
    pub fn read(&self, window: usize) -> Result<Vec<f32>, CoverageError> {
        assert!(window < self.windows, "the values have no window {window}; this is a bug");
        let count = self.targets * self.bins;
        let mut bytes = vec![0; 4 * count];
        let read = self.file.read_exact_at(&mut bytes, cache::offset((window * count) as u64));
        read.map_err(|source| CoverageError::Io { file: self.path.clone(), source })?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    /// Removes the file.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn remove(self) -> Result<(), CoverageError> {
        let Self { path, .. } = self;
        std::fs::remove_file(&path).map_err(|source| CoverageError::Io { file: path, source })
    }

    /// Number of targets, and of bins of a window.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.targets, self.bins)
    }

    /// For each target, what its values are over the training windows.
    #[must_use]
    pub fn statistics(&self) -> &[TargetCoverage] {
        &self.description.targets
    }

    /// Bins of all windows that are left out.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.description.left_out
    }
}

/// Computes the values of one target in all windows.
struct Column<'a> {
    input: &'a CoverageInput<'a>,
    left_out: &'a LeftOut,
    file: &'a File,
    path: &'a Path,
    /// For temporary files.
    folder: &'a Path,
}

impl Column<'_> {
    fn compute(
        &self,
        target: usize,
        measured: &TargetFile,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<TargetCoverage, CoverageError> {
        let CoverageInput { sequences, assembly, layout, .. } = *self.input;
        let mut wanted = vec![false; assembly.contigs.len()];
        sequences.windows.iter().for_each(|window| wanted[window.contig] = true);
        let source =
            Source::open(&measured.path, measured.form, assembly, &wanted, self.folder, interrupted)?;
        let bins = as_index(layout.count.into());
        let mut coverage = TargetCoverage::default();
        let mut sums = Sums { bins: vec![(0.0, 0.0); bins], resolution: layout.resolution };
        let mut zeros = 0_u64;
        for (number, window) in sequences.windows.iter().enumerate() {
            if interrupted.load(Ordering::Relaxed) {
                return Err(CoverageError::Interrupted);
            }
            sums.fill(&source, self.input.binned(number), &measured.transform)?;
            let (mut values, mut clipped) = (vec![0.0; bins], vec![[false; 2]; bins]);
            for ((value, clipped), (sum, max)) in values.iter_mut().zip(&mut clipped).zip(&sums.bins) {
                let transformed = measured.transform.value(*sum, *max, layout.resolution);
                (*value, *clipped) = (single(transformed.value), [transformed.soft, transformed.hard]);
            }
            if let Some(bin) = values.iter().position(|value| !value.is_finite()) {
                let (contig, start) = (window.contig, self.input.binned(number).start);
                return Err(CoverageError::Measurement {
                    file: measured.path.clone(),
                    contig: assembly.contigs[contig].name.clone(),
                    one_based: u64::from(start) + bin as u64 * u64::from(layout.resolution) + 1,
                    value: format!("{:e} in a bin", sums.bins[bin].0),
                });
            }
            self.left_out.apply(number, &mut values);
            let place = (number * self.input.targets.count() + target) * bins;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let written = self.file.write_all_at(&bytes, cache::offset(place as u64));
            written.map_err(|source| CoverageError::Io { file: self.path.to_owned(), source })?;
            progress.advance(1);
            if window.split != Split::Training {
                continue;
            }
            for (value, [soft, hard]) in values.iter().zip(&clipped).filter(|(value, _)| !value.is_nan()) {
                coverage.bins += 1;
                // The sum, until all are in.
                coverage.mean += f64::from(*value);
                coverage.max = coverage.max.max(f64::from(*value));
                zeros += u64::from(*value == 0.0);
                coverage.soft_clipped += u64::from(*soft);
                coverage.clipped += u64::from(*hard);
            }
        }
        if coverage.bins > 0 {
            coverage.mean /= coverage.bins as f64;
            coverage.zeros = zeros as f64 / coverage.bins as f64;
        }
        Ok(coverage)
    }
}

/// Sum and maximum of the scaled coverage of the bases of each bin.
struct Sums {
    bins: Vec<(f64, f64)>,
    resolution: u32,
}

impl Sums {
    fn fill(&mut self, source: &Source, binned: Region, transform: &Transform) -> Result<(), CoverageError> {
        self.bins.fill((0.0, 0.0));
        source.visit(binned.contig, binned.start, binned.end, &mut |interval| {
            let value = f64::from(interval.value) * transform.scale;
            let (mut at, end) = (
                interval.start.max(binned.start) - binned.start,
                interval.end.min(binned.end) - binned.start,
            );
            while at < end {
                let bin = at / self.resolution;
                let next = end.min((bin + 1) * self.resolution);
                let (sum, max) = &mut self.bins[as_index(bin.into())];
                *sum += value * f64::from(next - at);
                *max = max.max(value);
                at = next;
            }
        })
    }
}
