//! Why coverage cannot be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use vestore::{InputError, PlanError, ReferenceError};

use crate::dataset::Split;
use crate::regulatory::TargetsFileError;

/// Contigs of a file that a message lists.
const LISTED: usize = 8;

/// Why coverage cannot be read.
#[derive(Debug, Error)]
pub enum CoverageError {
    /// The table of targets cannot be used.
    #[error(transparent)]
    Targets(#[from] TargetsFileError),
    /// A file of text cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file of regions is of another genome.
    #[error(transparent)]
    Regions(#[from] PlanError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The operating system refused.
    #[error("cannot read or write `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a file of coverage.
    #[error(
        "cannot read coverage from `{}`: {found}; expected a bigWig, or BED (`.bed`, `.narrowPeak`, `.broadPeak`) or \
         bedGraph (`.bedGraph`, `.bdg`, `.bg`), which may be compressed with gzip",
        file.display()
    )]
    Form {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A bigWig that cannot be.
    #[error("`{}` is not a valid bigWig: {reason}; copy it again from where it is whole", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A value that is not a measurement.
    #[error(
        "`{}` has the value {value} at {contig}:{one_based}; expected a finite number of at least 0 as float32; \
         replace it, or remove the interval, which then counts 0",
        file.display()
    )]
    Measurement {
        /// The file.
        file: PathBuf,
        /// As the file names it.
        contig: String,
        /// First base of the interval, 1-based.
        one_based: u64,
        /// As it is in the file.
        value: String,
    },
    /// The file lacks a contig.
    #[error(
        "`{}` has no contig `{contig}`, where windows lie; it has {}; use a file of the same assembly, or leave out \
         these windows",
        file.display(),
        list(found)
    )]
    NoContig {
        /// The file.
        file: PathBuf,
        /// As the reference names it.
        contig: String,
        /// Contigs of the file.
        found: Vec<String>,
    },
    /// The file is of another genome.
    #[error(
        "`{}` is of another assembly: contig `{contig}` {found} bases, and {length} in the reference; use a file of \
         the same assembly",
        file.display()
    )]
    OtherAssembly {
        /// The file.
        file: PathBuf,
        /// As the file names it.
        contig: String,
        /// What it has.
        found: String,
        /// Bases of the reference's contig.
        length: u32,
    },
    /// Text that cannot be read in one pass.
    #[error("`{}`, line {line}: {problem}; run `{remedy}`", file.display())]
    Unsorted {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        problem: &'static str,
        /// A command.
        remedy: &'static str,
    },
    /// A line of a file of windows.
    #[error("`{}`, line {line}: invalid {field} `{value}`; expected {expected}", file.display())]
    Window {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Which part.
        field: &'static str,
        /// As written.
        value: String,
        /// What could stand there.
        expected: String,
    },
    /// Two windows that share bases and must not.
    #[error(
        "`{}`: the {} window of line {} and the {} window of line {} overlap; remove one, or give both the same split",
        file.display(), splits[0], lines[0], splits[1], lines[1]
    )]
    Overlap {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        lines: [u64; 2],
        /// What they are for.
        splits: [Split; 2],
    },
    /// A window that is listed twice.
    #[error("`{}`: lines {} and {} are the same window; remove one", file.display(), lines[0], lines[1])]
    Twice {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        lines: [u64; 2],
    },
    /// There is nothing to learn from, or to measure on.
    #[error("there are no {split} windows; {remedy}")]
    NoWindows {
        /// For what.
        split: Split,
        /// What to do.
        remedy: &'static str,
    },
    /// A setting out of its range.
    #[error("invalid {setting} `{value}`; expected {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

fn list(contigs: &[String]) -> String {
    let mut named: Vec<String> = contigs.iter().take(LISTED).map(|contig| format!("`{contig}`")).collect();
    match contigs.len().saturating_sub(LISTED) {
        0 if named.is_empty() => "no contigs".to_owned(),
        0 => named.join(", "),
        more => {
            named.push(format!("and {more} more"));
            named.join(", ")
        }
    }
}
