//! What became of every record of the input: counts, and a listing of those that carry no score.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore_schema::{Assembly, Status, Variant};

use super::normalize::Rejection;
use crate::export::visible;
use crate::output::{Output, OutputError, OutputRules};

/// Unknown contigs that are counted one by one; further ones are counted together.
const NAMED_CONTIGS: usize = 20;

/// First line of a listing, by which it is known: a later run of the command may replace it.
const HEADER: &str = "file\tline\tcontig\tposition\treference\talternate\treason";

/// The listing cannot be written.
#[derive(Debug, Error)]
#[error("cannot write report {}", path.display())]
pub struct ReportError {
    /// The listing.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// An allele for the listing, as it stands in the input.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The input file.
    pub path: &'a Path,
    /// 1-based line, or ordinal of a BCF record.
    pub line: u64,
    /// Name of the contig.
    pub contig: &'a str,
    /// As VCF counts.
    pub one_based: u64,
    /// Reference allele; empty for a region.
    pub reference: &'a str,
    /// Alternate allele; empty for a region.
    pub alternate: &'a str,
}

/// Counts of what was read, and optionally a TSV listing of everything that was rejected or is a
/// row that cannot be scored.
#[derive(Debug, Default)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// Records of more than one alternate allele, which were split.
    pub split: u64,
    /// Alleles that normalization moved or trimmed.
    pub normalized: u64,
    /// Rows dropped because an earlier one has the same normal form.
    pub duplicates: u64,
    /// Rows of a variant that has another score already.
    pub conflicts: u64,
    /// The first of them, in words.
    first_conflict: Option<String>,
    /// The first row with a score out of range, in words.
    first_out_of_range: Option<String>,
    /// What people should know even where it is not an error, such as reference alleles that differ; it is told also
    /// when counts are not.
    pub warnings: Vec<String>,
    /// Regions that reach beyond their contig, of which the part inside it counts.
    pub clipped: u64,
    /// Bases left out of saturation because they are not A, C, G, T.
    pub non_acgt_bases: u64,
    rejected: BTreeMap<Rejection, u64>,
    statuses: BTreeMap<Status, u64>,
    unknown_contigs: BTreeMap<String, u64>,
    listing: Option<(PathBuf, Output)>,
}

impl Report {
    /// Counts only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts, and lists to a TSV file: `file line contig position reference alternate reason`. The file appears
    /// under its name once [`Report::finish`] was called; an earlier listing there is replaced.
    ///
    /// # Errors
    /// The file cannot be written, or is something else than a listing.
    pub fn with_listing(path: &Path, rules: &OutputRules<'_>) -> Result<Self, OutputError> {
        let mut output = Output::report(path, HEADER, rules)?;
        writeln!(output, "{HEADER}").map_err(OutputError::io(path))?;
        Ok(Self { listing: Some((path.into(), output)), ..Self::default() })
    }

    /// Counts and lists an allele or region that is not a row.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn reject(&mut self, listed: &Listed<'_>, rejection: Rejection) -> Result<(), ReportError> {
        *self.rejected.entry(rejection).or_default() += 1;
        if rejection == Rejection::UnknownContig {
            let named = self.unknown_contigs.len() < NAMED_CONTIGS;
            match self.unknown_contigs.get_mut(listed.contig) {
                Some(count) => *count += 1,
                None if named => drop(self.unknown_contigs.insert(listed.contig.to_owned(), 1)),
                None => {}
            }
        }
        self.list_allele(listed, rejection.as_str())
    }

    /// Counts and lists a region that is cut at the end of its contig.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn clip(&mut self, listed: &Listed<'_>) -> Result<(), ReportError> {
        self.clipped += 1;
        self.list_allele(listed, "clipped")
    }

    /// Counts and lists a row that cannot be scored.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn unscorable(&mut self, listed: &Listed<'_>, status: Status) -> Result<(), ReportError> {
        *self.statuses.entry(status).or_default() += 1;
        self.list_allele(listed, status.as_str())
    }

    /// How many were rejected for this reason.
    #[must_use]
    pub fn rejected(&self, rejection: Rejection) -> u64 {
        self.rejected.get(&rejection).copied().unwrap_or_default()
    }

    /// Whether anything was left out.
    #[must_use]
    pub fn has_rejected(&self) -> bool {
        !self.rejected.is_empty()
    }

    /// Lists a row that turned out to carry no score after it was planned. File and line are empty: by
    /// then alleles of several records may have become one row.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn unscored(
        &mut self,
        variant: &Variant,
        assembly: &Assembly,
        status: Status,
    ) -> Result<(), ReportError> {
        let contig = &assembly.contig(variant.contig).name;
        let Variant { position, reference, alternate, .. } = variant;
        self.list(format_args!("\t\t{contig}\t{}\t{reference}\t{alternate}\t{status}", position.one_based()))
    }

    /// Counts and lists a row of a variant that has another score already; `describe` says both.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn conflict(
        &mut self,
        listed: &Listed<'_>,
        describe: impl FnOnce() -> String,
    ) -> Result<(), ReportError> {
        self.conflicts += 1;
        self.first_conflict.get_or_insert_with(describe);
        self.list_allele(listed, "conflicting_duplicate")
    }

    /// Counts and lists a row whose score `value` of `column` is not in `range`.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn out_of_range(
        &mut self,
        listed: &Listed<'_>,
        (column, value): (&str, f32),
        (low, high): (f32, f32),
    ) -> Result<(), ReportError> {
        *self.rejected.entry(Rejection::OutOfRange).or_default() += 1;
        let line = listed.line;
        self.first_out_of_range
            .get_or_insert_with(|| format!("line {line}: {column} `{value}`; expected {low} to {high}"));
        self.list_allele(listed, &format!("{} {column}={value}", Rejection::OutOfRange))
    }

    /// The first row that [`Report::out_of_range`] took, in words.
    #[must_use]
    pub fn first_out_of_range(&self) -> Option<&str> {
        self.first_out_of_range.as_deref()
    }

    /// Whether rows are listed, and not only counted.
    pub(crate) fn has_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// The first row that [`Report::conflict`] took, in words.
    #[must_use]
    pub fn first_conflict(&self) -> Option<&str> {
        self.first_conflict.as_deref()
    }

    /// How many alleles read have this status; duplicates are among them.
    #[must_use]
    pub fn status(&self, status: Status) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Gives the listing its name; nothing more is listed. Dropping the report instead leaves no listing.
    ///
    /// # Errors
    /// The listing cannot be written.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        self.listing.take().map_or(Ok(()), |(_, output)| output.finish())
    }

    /// The counts as lines of text, leaving out what did not occur.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut line = |count: u64, noun: &str, what: &str| {
            if count > 0 {
                let plural = if count == 1 || noun.is_empty() { "" } else { "s" };
                let space = if noun.is_empty() { "" } else { " " };
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{count} {noun}{plural}{space}{what}");
            }
        };
        line(self.records, "record", "read");
        line(self.split, "record", "of several alternate alleles split");
        line(self.normalized, "allele", "moved or trimmed to normal form");
        line(self.duplicates, "duplicate", "dropped");
        line(self.clipped, "region", "clipped at the end of a contig");
        line(self.non_acgt_bases, "base", "other than A, C, G, T left out");
        for (status, count) in &self.statuses {
            line(*count, "allele", &format!("that cannot be scored: {status}"));
        }
        for (rejection, count) in &self.rejected {
            line(*count, "", &format!("left out: {rejection}"));
        }
        for (contig, count) in &self.unknown_contigs {
            line(
                *count,
                "",
                &format!("of them on contig `{}`, which is not in the reference", visible(contig)),
            );
        }
        text
    }

    fn list_allele(&mut self, listed: &Listed<'_>, reason: &str) -> Result<(), ReportError> {
        if self.listing.is_none() {
            return Ok(());
        }
        let Listed { path, line, contig, one_based, reference, alternate } = listed;
        let (path, contig) = (visible(&path.to_string_lossy()).into_owned(), visible(contig));
        let (reference, alternate) = (visible(reference), visible(alternate));
        self.list(format_args!("{path}\t{line}\t{contig}\t{one_based}\t{reference}\t{alternate}\t{reason}"))
    }

    fn list(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), ReportError> {
        match &mut self.listing {
            Some((path, file)) => {
                writeln!(file, "{line}").map_err(|source| ReportError { path: path.clone(), source })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_listed_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.tsv");
        let mut report = Report::with_listing(&path, &OutputRules::default()).unwrap();
        report.records = 3;
        let listed = |contig| Listed {
            path: Path::new("x.vcf"),
            line: 7,
            contig,
            one_based: 5,
            reference: "A",
            alternate: "<DEL>",
        };
        report.reject(&listed("z"), Rejection::UnknownContig).unwrap();
        report.reject(&listed("z"), Rejection::UnknownContig).unwrap();
        report.unscorable(&listed("17"), Status::Symbolic).unwrap();
        report.finish().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "file\tline\tcontig\tposition\treference\talternate\treason\n\
             x.vcf\t7\tz\t5\tA\t<DEL>\tunknown_contig\n\
             x.vcf\t7\tz\t5\tA\t<DEL>\tunknown_contig\n\
             x.vcf\t7\t17\t5\tA\t<DEL>\tsymbolic\n"
        );
        assert_eq!(
            report.summary(),
            "3 records read\n1 allele that cannot be scored: symbolic\n2 left out: unknown_contig\n\
             2 of them on contig `z`, which is not in the reference\n"
        );
        let error =
            Report::with_listing(&path.with_extension("tsv.gz"), &OutputRules::default()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("reports are plain text"), "{error}");
        // The same command may run again; any other file stays.
        drop(Report::with_listing(&path, &OutputRules::default()).unwrap());
        std::fs::write(&path, "file\tline\n").unwrap();
        let error = Report::with_listing(&path, &OutputRules::default()).unwrap_err();
        assert!(matches!(error, OutputError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "file\tline\n");
    }
}
