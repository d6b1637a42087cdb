//! What can be wrong with labelled data.

use std::path::PathBuf;

use thiserror::Error;
use vestore::{ImportError, RefMismatchError, ReferenceError};

/// Why labelled data cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The file cannot be read, or lacks a column.
    #[error(transparent)]
    Rows(#[from] ImportError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Reference alleles are not what the reference has.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
    /// A label that is not a number.
    #[error("{}, line {line}: label `{value}` is not a number; {remedy}", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The label.
        value: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A regression over named classes.
    #[error("{}: positive and negative labels are classes, so the task is not a regression", path.display())]
    ClassesAreNoNumbers {
        /// The file.
        path: PathBuf,
    },
    /// A number that a model cannot give.
    #[error(
        "{}, line {line}: label `{value}` is beyond float32; expected a number from -1e30 to 1e30: rescale the labels",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// What stands there.
        value: String,
    },
    /// More classes than a label has.
    #[error(
        "{} has {classes} different labels; name the column of the class, or, if labels are numbers, make the task \
         a regression",
        path.display()
    )]
    TooManyClasses {
        /// The file.
        path: PathBuf,
        /// Different labels.
        classes: usize,
    },
    /// Nothing tells classes apart.
    #[error("{}: all rows{split} are of class `{class}`; add rows of another one{}", path.display(),
        if split.is_empty() { "" } else { ", or split otherwise" })]
    OneClass {
        /// The file.
        path: PathBuf,
        /// Where; empty for all rows.
        split: String,
        /// The class.
        class: String,
    },
    /// No row of the file can be used.
    #[error("no row of {} has a label and an input that can be used: {counts}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What became of its rows.
        counts: String,
    },
    /// A split that should have rows has none.
    #[error("{}: the {split} split is empty; {remedy}", path.display())]
    EmptySplit {
        /// The file.
        path: PathBuf,
        /// `training`, `validation` or `test`.
        split: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A text that names no split.
    #[error("{}, line {line}: {column} `{value}` is not a split; write train, validation or test", path.display())]
    UnknownSplit {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A contig that no row is on.
    #[error("{}: no row is on contig `{contig}`; rows are on {}", path.display(), near.join(", "))]
    NoSuchContig {
        /// The file.
        path: PathBuf,
        /// As given.
        contig: String,
        /// Contigs with rows that look like it.
        near: Vec<String>,
    },
    /// A contig in two splits.
    #[error("contig `{contig}` is for validation and for testing; name it once")]
    ContigTwice {
        /// As given.
        contig: String,
    },
    /// Sequences are on no contig.
    #[error("{} holds sequences, which are on no contig; split them by a column or at random", path.display())]
    NoContigs {
        /// The file.
        path: PathBuf,
    },
    /// Shares that leave nothing to train on.
    #[error(
        "shares of {validation} for validation and {test} for testing cannot be; each is at least 0 and both \
         together are below 1"
    )]
    Shares {
        /// For validation.
        validation: f64,
        /// For testing.
        test: f64,
    },
    /// A text that is not a sequence.
    #[error("{}, line {line}: sequence `{value}` {problem}", path.display())]
    Sequence {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// Its beginning.
        value: String,
        /// What is wrong, and the remedy.
        problem: &'static str,
    },
}
