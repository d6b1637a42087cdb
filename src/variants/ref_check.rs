//! Whether a file is of the reference's assembly, told from its reference alleles.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::reference::{ReferenceError, printable};

/// Fewer records say nothing about an assembly.
const FEWEST: u64 = 10;
/// A wrong assembly agrees by chance in a quarter of the cases; more than one in so many differing is too much.
const ONE_IN: u64 = 5;

/// What to do with records whose reference allele is not what the reference has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefMismatch {
    /// Keep them without scores, unless they are so many that the file must be of another assembly: more than a
    /// fifth of those whose REF can be compared, in a file of at least 10 records inside known contigs.
    #[default]
    Auto,
    /// Keep them without scores, however many.
    Skip,
    /// Stop at the first.
    Fail,
}

impl RefMismatch {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Skip, Self::Fail];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

/// Why the reference alleles of a file are not acceptable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RefMismatchError {
    /// One differs, and that was to be an error.
    #[error(
        "{}, {difference}; check the assembly, or keep such records without a score with `--ref-mismatch skip`",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What differs.
        difference: Box<RefDifference>,
    },
    /// So many differ that the file must be of another assembly.
    #[error(
        "{}: wrong assembly: {differing} of {compared} {} on known contigs {} another reference allele than the \
         reference, for example {example}; use a file of the store's assembly, or keep such records without a \
         score with `--ref-mismatch skip`",
        path.display(), plural(*compared, "record"), if *differing == 1 { "has" } else { "have" }
    )]
    Assembly {
        /// The file.
        path: PathBuf,
        /// Records that differ.
        differing: u64,
        /// Records whose reference allele can be compared.
        compared: u64,
        /// The first that differs.
        example: Box<RefDifference>,
    },
    /// None lies inside its contig, so nothing could be compared.
    #[error(
        "{}: wrong assembly: every record on a known contig lies beyond its end ({records} {}); use a file of the \
         store's assembly",
        path.display(), plural(*records, "record")
    )]
    AllBeyond {
        /// The file.
        path: PathBuf,
        /// Records on known contigs.
        records: u64,
    },
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// A record whose reference allele is not what the reference has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefDifference {
    /// 1-based line, or ordinal of a BCF record or a row.
    pub line: u64,
    /// Name of the contig as the file spells it.
    pub contig: String,
    /// As VCF counts.
    pub one_based: u64,
    /// REF of the file.
    pub stated: String,
    /// The bases of the reference.
    pub found: String,
}

impl fmt::Display for RefDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, contig, one_based, stated, found } = self;
        write!(f, "line {line}: {contig}:{one_based} has REF `{stated}`, the reference has `{found}`")
    }
}

/// How the reference allele of a record inside a known contig compares with the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefComparison<'a> {
    /// As far as both name bases, they agree.
    Same,
    /// Nothing can be said: one of them is N throughout, or no bases.
    Unknown,
    /// Another one; the bases of the reference.
    Other(&'a [u8]),
}

/// Counts the records of one file by how their reference alleles compare.
#[derive(Debug)]
pub struct RefCheck {
    policy: RefMismatch,
    path: PathBuf,
    /// Records on known contigs that do not lie inside them.
    outside: u64,
    inside: u64,
    compared: u64,
    differing: u64,
    first: Option<RefDifference>,
}

impl RefCheck {
    /// Begins with the file at `path`.
    #[must_use]
    pub fn new(policy: RefMismatch, path: &Path) -> Self {
        Self { policy, path: path.into(), outside: 0, inside: 0, compared: 0, differing: 0, first: None }
    }

    /// Counts `records` that are known to agree.
    pub fn agree(&mut self, records: u64) {
        self.inside += records;
        self.compared += records;
    }

    /// Counts a record that does not lie inside its contig, which is known. At 0 stand telomeres (VCF 4.3): such a
    /// record says nothing of the assembly.
    pub fn beyond(&mut self, one_based: u64) {
        self.outside += u64::from(one_based > 0);
    }

    /// A warning where so many records lie beyond the ends of contigs that the file may be of another assembly.
    #[must_use]
    pub fn beyond_warning(&self) -> Option<String> {
        let all = self.inside + self.outside;
        (all >= FEWEST && self.outside * ONE_IN > all).then(|| {
            format!(
                "{}: {} of {all} records on known contigs lie beyond their ends; is it the same assembly?",
                self.path.display(),
                self.outside
            )
        })
    }

    /// Counts a record inside a known contig; `line`, `contig`, `one_based` and `stated` are the file's.
    ///
    /// # Errors
    /// It differs, and that is to be an error.
    pub fn count(
        &mut self,
        comparison: RefComparison<'_>,
        line: u64,
        contig: &str,
        one_based: u64,
        stated: &str,
    ) -> Result<(), RefMismatchError> {
        self.inside += 1;
        self.compared += u64::from(comparison != RefComparison::Unknown);
        let RefComparison::Other(found) = comparison else { return Ok(()) };
        self.differing += 1;
        if self.first.is_none() || self.policy == RefMismatch::Fail {
            let difference = RefDifference {
                line,
                contig: printable(contig.as_bytes()),
                one_based,
                stated: printable(stated.as_bytes()),
                found: printable(found),
            };
            if self.policy == RefMismatch::Fail {
                return Err(RefMismatchError::Record {
                    path: self.path.clone(),
                    difference: Box::new(difference),
                });
            }
            self.first = Some(difference);
        }
        Ok(())
    }

    /// The verdict over the records counted so far.
    ///
    /// # Errors
    /// [`RefMismatchError::AllBeyond`] when none lies inside its contig; [`RefMismatchError::Assembly`] when they are
    /// of another assembly and that was not to be skipped.
    pub fn finish(&self) -> Result<(), RefMismatchError> {
        if self.inside == 0 && self.outside > 0 {
            return Err(RefMismatchError::AllBeyond { path: self.path.clone(), records: self.outside });
        }
        match &self.first {
            Some(example)
                if self.policy == RefMismatch::Auto
                    && self.inside >= FEWEST
                    && self.differing * ONE_IN > self.compared =>
            {
                Err(RefMismatchError::Assembly {
                    path: self.path.clone(),
                    differing: self.differing,
                    compared: self.compared,
                    example: Box::new(example.clone()),
                })
            }
            _ => Ok(()),
        }
    }

    /// What people should know even where it is not an error.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!(
            "{}: {} of {} {} on known contigs {} another reference allele than the reference, for example {first}",
            self.path.display(),
            self.differing,
            self.compared,
            plural(self.compared, "record"),
            if self.differing == 1 { "has" } else { "have" },
        ))
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: RefMismatch, same: u64, unknown: u64, other: u64) -> RefCheck {
        let mut check = RefCheck::new(policy, Path::new("x.vcf"));
        check.agree(same);
        for _ in 0..unknown {
            check.count(RefComparison::Unknown, 3, "1", 7, "N").unwrap();
        }
        for line in 0..other {
            check.count(RefComparison::Other(b"G"), 4 + line, "1", 7, "A").unwrap();
        }
        check
    }

    #[test]
    fn many_records_beyond_the_ends_are_reported() {
        for (same, beyond, told) in [(8, 2, false), (7, 3, true), (6, 3, false), (1, 9, true), (1, 8, false)]
        {
            let mut check = check(RefMismatch::Auto, same, 0, 0);
            (0..beyond).for_each(|_| check.beyond(7));
            let warning = check.beyond_warning();
            assert_eq!(warning.is_some(), told, "{same} {beyond} {warning:?}");
            check.finish().unwrap();
        }
    }

    #[test]
    fn a_file_with_no_record_inside_a_contig_is_refused_whatever_is_to_be_skipped() {
        for policy in [RefMismatch::Auto, RefMismatch::Skip, RefMismatch::Fail] {
            let mut check = RefCheck::new(policy, Path::new("x.vcf"));
            check.finish().unwrap();
            check.beyond(7);
            let error = check.finish().unwrap_err().to_string();
            assert!(
                error.starts_with(
                    "x.vcf: wrong assembly: every record on a known contig lies beyond its end (1 record)"
                ),
                "{error}"
            );
            check.count(RefComparison::Unknown, 3, "1", 7, "N").unwrap();
            check.finish().unwrap();
        }
    }

    #[test]
    fn more_than_a_fifth_of_at_least_ten_is_another_assembly() {
        for (same, unknown, other, wrong) in [
            (7, 0, 3, true),
            (8, 0, 2, false),
            (6, 0, 3, false),
            (39, 0, 10, true),
            (40, 0, 10, false),
            (0, 7, 3, true),
            (0, 0, 10, true),
            (4, 60, 2, true),
            (1000, 0, 0, false),
        ] {
            let found = check(RefMismatch::Auto, same, unknown, other).finish();
            assert_eq!(found.is_err(), wrong, "{same} {unknown} {other}");
            check(RefMismatch::Skip, same, unknown, other).finish().unwrap();
        }
        let error = check(RefMismatch::Auto, 7, 0, 3).finish().unwrap_err().to_string();
        assert!(error.starts_with("x.vcf: wrong assembly: 3 of 10 records on known contigs have"), "{error}");
        assert!(error.contains("line 4: 1:7 has REF `A`, the reference has `G`"), "{error}");
        let warning = check(RefMismatch::Skip, 7, 0, 1).warning().unwrap();
        assert!(warning.contains("1 of 8 records on known contigs has another"), "{warning}");
        assert_eq!(check(RefMismatch::Auto, 7, 0, 0).warning(), None);
        let mut strict = RefCheck::new(RefMismatch::Fail, Path::new("x.vcf"));
        let error = strict.count(RefComparison::Other(b"G"), 12, "1", 7, "A").unwrap_err().to_string();
        assert!(
            error.starts_with("x.vcf, line 12: 1:7 has REF `A`, the reference has `G`; check"),
            "{error}"
        );
    }
}
