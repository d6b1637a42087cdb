//! What can be wrong with an import.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use vestore_schema::NameError;

use crate::output::OutputError;
use crate::reference::ReferenceError;
use crate::store::StoreError;
use crate::variants::{InputError, PlanError, RefMismatchError, ReportError, SpillError};

/// Why a file could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing of the file is a row.
    #[error("{} has no variant of the reference with a score, so nothing was imported: {counts}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What became of its records.
        counts: String,
    },
    /// The text cannot be parsed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Parquet cannot be read.
    #[error("cannot read {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A column cannot be read as what it should be.
    #[error("cannot read {}", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// A column is not there.
    #[error("{} has no column {wanted}; it has {}", path.display(), known.join(", "))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// Its name, or the names that would do.
        wanted: String,
        /// The columns of the file.
        known: Vec<String>,
    },
    /// Two columns of one name.
    #[error("{} has column `{name}` twice; rename one", path.display())]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// Their name.
        name: String,
    },
    /// No column, or more than one, is known for a part of the key.
    #[error(
        "{}: {} column could be the {key}: expected one of {usual}; name it with `--columns {key}=NAME`{}; the file has \
         {}",
        path.display(),
        if candidates.len() > 1 { "more than one" } else { "no" },
        among(candidates),
        known.join(", ")
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// `contig`, `position`, `reference` or `alternate`.
        key: &'static str,
        /// Names that would do.
        usual: String,
        /// Columns of the file that look like it.
        candidates: Vec<String>,
        /// The columns of the file.
        known: Vec<String>,
    },
    /// As [`ImportError::Key`], where no columns can be named.
    #[error(
        "{}: {} column could be the {key}: expected one of {usual}; rename it{}; the file has {}",
        path.display(),
        if candidates.len() > 1 { "more than one" } else { "no" },
        among(candidates),
        known.join(", ")
    )]
    VariantColumn {
        /// The file.
        path: PathBuf,
        /// `contig`, `position`, `reference` or `alternate`.
        key: &'static str,
        /// Names that would do.
        usual: String,
        /// Columns of the file that look like it.
        candidates: Vec<String>,
        /// The columns of the file.
        known: Vec<String>,
    },
    /// A column of the key was named, and the file is a VCF.
    #[error("{} is a VCF, whose key columns have their names; leave `{given}` out", path.display())]
    KeyOfVcf {
        /// The file.
        path: PathBuf,
        /// As given.
        given: String,
    },
    /// A row of fewer or more columns than the header.
    #[error(
        "{}, line {line}: {found} column{}; the header has {expected}",
        path.display(),
        if *found == 1 { "" } else { "s" }
    )]
    RowLength {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// Columns of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
    },
    /// A cell that is not what its column should hold.
    #[error("{}, {unit} {number}: {column} `{value}` {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// `line` or `row`.
        unit: &'static str,
        /// 1-based.
        number: u64,
        /// Name of the column or field.
        column: String,
        /// What stands there.
        value: String,
        /// What is wrong.
        problem: String,
    },
    /// An INFO field whose values belong to no allele.
    #[error("{}: INFO field `{id}` has {values}, which belong to no alternate allele; choose another", path.display())]
    InfoNumber {
        /// The file.
        path: PathBuf,
        /// The field.
        id: String,
        /// What it has.
        values: String,
    },
    /// An INFO field with another number of values than declared.
    #[error(
        "{}, line {line}: INFO field `{id}` has {found} value{}; expected {expected}, as the header declares",
        path.display(),
        if *found == 1 { "" } else { "s" }
    )]
    InfoCount {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The field.
        id: String,
        /// Its values.
        found: usize,
        /// As many as it should have.
        expected: usize,
    },
    /// An INFO field that stands twice in a record.
    #[error("{}, line {line}: INFO field `{id}` is given twice: `{first}` and `{second}`; remove one", path.display())]
    InfoTwice {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The field.
        id: String,
        /// Its first value.
        first: String,
        /// Its second value.
        second: String,
    },
    /// One variant with two scores, and that was to be an error.
    #[error(
        "{}: {variant} has more than one score: {scores}; remove all but one, or choose with `--duplicates first`, \
         `--duplicates mean` or `--duplicates max`",
        path.display()
    )]
    Conflict {
        /// The file.
        path: PathBuf,
        /// As `chr1-5-T-A`.
        variant: String,
        /// Two of its rows.
        scores: String,
    },
    /// No column of the file holds scores.
    #[error("{} has no column of numbers beside the key{nearest}; name some with `--columns`", path.display())]
    NoScores {
        /// The file.
        path: PathBuf,
        /// What keeps the nearest column from being one; empty where there is none.
        nearest: String,
    },
    /// Neither a header nor rows.
    #[error("{} is empty; expected a VCF, or a table with a header line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not of the shape of a published set.
    #[error("{} does not look like {preset}: found {found}; expected {expected}; leave out --preset, or name the right one", path.display())]
    Preset {
        /// The file.
        path: PathBuf,
        /// The set.
        preset: &'static str,
        /// What its files have.
        expected: &'static str,
        /// What this one has.
        found: String,
    },
    /// A published set with positions of two assemblies, for a store of neither.
    #[error(
        "{} has positions of GRCh37 and GRCh38, and the store's assembly {}; choose with `--columns position=hg19_pos` \
         or `--columns position=grch38_pos`",
        path.display(),
        assembly.as_ref().map_or_else(|| "has no name".to_owned(), |name| format!("is called `{name}`"))
    )]
    PresetBuild {
        /// The file.
        path: PathBuf,
        /// What the store calls its assembly.
        assembly: Option<String>,
    },
    /// A published set of many columns, and none was named.
    #[error("{} has hundreds of columns; name the scores with `--columns NAME=COLUMN,…`", path.display())]
    PresetColumns {
        /// The file.
        path: PathBuf,
    },
    /// A direction of a column that is not imported, or none of one that is.
    #[error("{}", if *stated {
        format!("--direction names column `{column}`, which is not imported; the columns are {}", columns.join(", "))
    } else {
        format!("column `{column}` has no direction; state one for each column: --direction {column}=high, low or magnitude")
    })]
    Direction {
        /// The column.
        column: String,
        /// Whether a direction was stated for it.
        stated: bool,
        /// The columns that are imported.
        columns: Vec<String>,
    },
    /// A name that no score column can have.
    #[error(
        "invalid name of a score column: `{name}`; expected letters, digits, `_`, `.`, `+`, `-`, each name once and \
         none of the key columns; rename it with --columns NAME=COLUMN"
    )]
    ColumnName {
        /// As given.
        name: String,
    },
    /// The track has rows already.
    #[error(
        "track `{name}` holds this file already ({rows} rows); remove it with `vestore track remove` to import anew"
    )]
    Present {
        /// The track.
        name: String,
        /// Its rows.
        rows: u64,
    },
    /// A name that cannot be a track's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No row is on a contig of the reference.
    #[error(transparent)]
    Contigs(Box<PlanError>),
    /// Reference alleles are not what the reference has.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
    /// Counting failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The listing cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Temporary files of the sort failed.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Rows are not sorted. Only between the first, optimistic pass and the sort.
    #[error("the rows are not sorted")]
    Unsorted,
}

fn among(candidates: &[String]) -> String {
    if candidates.is_empty() {
        return String::new();
    }
    let names: Vec<String> = candidates.iter().map(|name| format!("`{name}`")).collect();
    format!(" (perhaps {})", names.join(", "))
}
