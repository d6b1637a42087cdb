//! What a run scores: the normalized variants, each once, in order.

mod shard;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;
use vestore_schema::{Assembly, Region, Shard, Status, Variant};

use super::contigs::Contigs;
use super::input::InputError;
use super::normalize::Normalized;
use super::ref_check::{RefCheck, RefMismatch, RefMismatchError};
use super::report::{Listed, Report, ReportError};
use super::rows::SpillError;
use super::saturation::{Saturation, SaturationRows};
use super::sites::{HELD_RECORDS, RecordSite, normalize_sites};
use super::sort::{Sort, Sorted, SortedRows};
use super::source::{Record, VariantSource};
use crate::reference::{Reference, ReferenceError};

/// Why no plan could be made, or why it cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The input cannot be read or parsed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The reference cannot be read or is another one.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Temporary files of the sort failed.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Every record is on a contig that the reference lacks.
    #[error(
        "{}: no record is on a contig of the reference; the file has `{contig}`, the reference has \
         {}; is this the right assembly?",
        path.display(),
        list(known)
    )]
    NoKnownContig {
        /// The input.
        path: PathBuf,
        /// The first contig of the input.
        contig: String,
        /// The first contigs of the reference.
        known: Vec<String>,
    },
    /// Reference alleles are not what the reference has.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// How a plan is made from a file.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// What to do when reference alleles differ.
    pub ref_mismatch: RefMismatch,
    /// Folder for temporary files, which are only needed beyond `memory`.
    pub spill_folder: PathBuf,
    /// Bytes that sorting may take.
    pub memory: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { ref_mismatch: RefMismatch::Auto, spill_folder: std::env::temp_dir(), memory: 64 << 20 }
    }
}

/// One row of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// In normal form; with the alleles of the input when it has a status.
    pub variant: Variant,
    /// Why it cannot be scored; `None` when it can.
    pub status: Option<Status>,
}

/// The variants of a run, sorted, each once. It can be read any number of times, from any row, and
/// clones share what it holds.
#[derive(Clone)]
pub struct Plan {
    kind: Kind,
    /// The rows of the shard, of all.
    rows: Range<u64>,
    shard: Option<Shard>,
}

#[derive(Clone)]
enum Kind {
    Sorted(Sorted),
    Saturation(Saturation),
}

impl Plan {
    /// Reads variants, splits records, normalizes every allele against the reference, sorts, and drops duplicates. What cannot be scored is a row with a status or
    /// is counted in `report`, which also holds warnings.
    ///
    /// # Errors
    /// The reference is not `assembly`; the file cannot be read or parsed, or has records and none
    /// on a known contig; it is of another assembly, or a reference allele differs and that is to be an
    /// error; temporary files or the report cannot be written.
    pub fn read(
        mut source: VariantSource,
        reference: &mut Reference,
        assembly: &Assembly,
        options: &PlanOptions,
        report: &mut Report,
    ) -> Result<Self, PlanError> {
        reference.check(assembly)?;
        let path = source.path().to_owned();
        let path = path.as_path();
        let mut contigs = Contigs::new(assembly);
        report.warnings.extend(contigs.declare(path, source.contigs(), Some(reference))?);
        let mut check = RefCheck::new(options.ref_mismatch, path);
        let mut sort = Sort::new(options.memory, options.spill_folder.clone());
        let mut records: Vec<Record> = Vec::new();
        loop {
            let held = hold(&mut source, &mut records)?;
            if held == 0 {
                break;
            }
            let sites: Vec<RecordSite<'_>> = records[..held]
                .iter()
                .map(|record| RecordSite {
                    contig: contigs.resolve(&record.contig),
                    one_based: record.one_based,
                    reference: &record.reference,
                    alternates: record.alternates().collect(),
                })
                .collect();
            let found = normalize_sites(&sites, reference)?;
            for ((record, site), found) in records.iter().zip(&sites).zip(found) {
                report.records += 1;
                report.split += u64::from(site.alternates.len() > 1);
                let Record { number: line, contig, one_based, reference, .. } = record;
                if let Some(comparison) = found.comparison() {
                    check.count(comparison, *line, contig, *one_based, reference)?;
                } else if site.contig.is_some() {
                    check.beyond(*one_based);
                }
                for (alternate, found) in site.alternates.iter().zip(found.alleles) {
                    let listed =
                        Listed { path, line: *line, contig, one_based: *one_based, reference, alternate };
                    match found {
                        Normalized::Rejected(rejection) => report.reject(&listed, rejection)?,
                        Normalized::Row { variant, status, changed } => {
                            report.normalized += u64::from(changed);
                            if let Some(status) = status {
                                report.unscorable(&listed, status)?;
                            }
                            sort.push(&variant, status)?;
                        }
                    }
                }
            }
        }
        contigs.check_any_known(path)?;
        check.finish()?;
        report.warnings.extend(check.warning().into_iter().chain(check.beyond_warning()));
        let sorted = sort.finish()?;
        report.duplicates += sorted.duplicates();
        let rows = 0..sorted.len();
        Ok(Self { kind: Kind::Sorted(sorted), rows, shard: None })
    }

    /// Every SNV of every base of `regions`, which may overlap and come in any order; bases that are
    /// not A, C, G, T are left out and counted in `report`. Takes one pass over the bases; nothing
    /// is stored.
    ///
    /// # Errors
    /// The reference cannot be read, or a region reaches beyond its contig.
    pub fn saturation(
        regions: Vec<Region>,
        reference: &Reference,
        report: &mut Report,
    ) -> Result<Self, PlanError> {
        let saturation = Saturation::new(regions, reference)?;
        report.non_acgt_bases += saturation.non_acgt_bases();
        let rows = 0..saturation.len();
        Ok(Self { kind: Kind::Saturation(saturation), rows, shard: None })
    }

    /// Number of rows, of a shard only its own.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// Which part of the whole plan this is; `None` of the whole.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 that tells plans apart: of all rows of a file's plan; of the regions and their bases
    /// for saturation, whose digest therefore differs from that of a file with the same variants. A shard has that of
    /// the whole plan.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        match &self.kind {
            Kind::Sorted(sorted) => sorted.digest(),
            Kind::Saturation(saturation) => saturation.digest(),
        }
    }

    /// The rows in order.
    ///
    /// # Errors
    /// As for [`Plan::rows_from`].
    pub fn rows(&self) -> Result<PlannedRows, PlanError> {
        self.rows_from(0)
    }

    /// The rows from number `row` on (0-based), without reading what comes before. Beyond the end
    /// there are none.
    ///
    /// # Errors
    /// The reference or the temporary file cannot be read; the items fail for the same reasons.
    pub fn rows_from(&self, row: u64) -> Result<PlannedRows, PlanError> {
        let row = self.rows.start.saturating_add(row).min(self.rows.end);
        let reader = match &self.kind {
            Kind::Sorted(sorted) => Reader::Sorted(sorted.read(row)?),
            Kind::Saturation(saturation) => Reader::Saturation(Box::new(saturation.read(row)?)),
        };
        Ok(PlannedRows { reader, left: self.rows.end - row })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("rows", &self.len()).finish_non_exhaustive()
    }
}

/// Reads the next records, about [`HELD_RECORDS`] bytes of them, over the first of `records`; gives their number.
fn hold(source: &mut VariantSource, records: &mut Vec<Record>) -> Result<usize, InputError> {
    let (mut held, mut bytes) = (0, 0);
    while bytes < HELD_RECORDS {
        if held == records.len() {
            records.push(Record::default());
        }
        let record = &mut records[held];
        if !source.read(record)? {
            break;
        }
        // Each alternate becomes a row with the reference allele.
        let references = record.reference.len() * record.alternates().count();
        bytes += size_of::<Record>() + record.contig.len() + references + record.alternates.len();
        held += 1;
    }
    Ok(held)
}

/// Reads the rows of a [`Plan`], which it keeps alive.
pub struct PlannedRows {
    reader: Reader,
    left: u64,
}

enum Reader {
    Sorted(SortedRows),
    Saturation(Box<SaturationRows>),
}

impl Iterator for PlannedRows {
    type Item = Result<Planned, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.reader {
            Reader::Sorted(rows) => {
                let row = rows.next()?;
                Some(row.map(|(variant, status)| Planned { variant, status }).map_err(PlanError::from))
            }
            Reader::Saturation(rows) => {
                let row = rows.next()?;
                Some(row.map(|variant| Planned { variant, status: None }).map_err(PlanError::from))
            }
        }
    }
}

#[cfg(test)]
mod tests;
