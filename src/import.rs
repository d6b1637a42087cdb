//! Scores that somebody else computed, as tracks of kind external.

mod cell;
mod columns;
mod distinct;
mod error;
mod feed;
mod info;
mod keys;
mod labelled;
mod ordered;
mod pages;
mod pass;
mod records;
mod rows;
mod sorted;
mod source;
mod start;
mod table;
mod text;
mod variants;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use vestore_schema::{External, Track};

pub use self::columns::{TableRow, TableRows};
pub use self::distinct::Duplicates;
pub use self::error::ImportError;
pub use self::keys::KeyColumns;
pub use self::labelled::{LabelledRow, LabelledRows};
use self::pass::{Made, Order, pass};
use self::records::Records;
use self::sorted::SortedBlocks;
use self::source::Source;
use self::table::ParquetBlocks;
use self::text::TextBlocks;
pub use self::variants::open_variants;
use crate::output::OutputRules;
use crate::store::{Store, check_track};
use crate::variants::{HeaderContig, RefMismatch, Report};

/// How a file is imported.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Columns: name in the store, column or INFO field of the file. Those named `contig`, `position`, `reference` and
    /// `alternate` are the key, the others are scores. Without any scores, all columns of numbers under their own
    /// names.
    pub columns: Vec<(String, String)>,
    /// Which of several scores of one variant counts.
    pub duplicates: Duplicates,
    /// Listing of what was left out and what cannot be scored. It replaces an earlier listing, and other files with
    /// `force` alone.
    pub report: Option<PathBuf>,
    /// Replace a file that is not a listing.
    pub force: bool,
    /// Files that a listing never replaces, as [`OutputRules`] has them.
    pub inputs: Vec<PathBuf>,
    /// Step that scores are rounded to, as typed.
    pub precision: Option<String>,
    /// Folder for temporary files; the system's without one.
    pub spill_folder: Option<PathBuf>,
    /// What to do when reference alleles differ.
    pub ref_mismatch: RefMismatch,
}

impl ImportOptions {
    fn report_rules(&self) -> OutputRules<'_> {
        OutputRules { force: self.force, inputs: &self.inputs }
    }
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// The track.
    pub track: Track,
    /// Rows committed.
    pub rows: u64,
    /// Rows of the file without any score, which are left out.
    pub without_score: u64,
    /// Whether the rows had to be sorted: because of their order, for means of scores, or to list the lines of scores
    /// that differ.
    pub sorted: bool,
    /// What became of the rest.
    pub report: Report,
}

/// Rows of a file as they stand in it.
pub(crate) struct Block {
    /// Contig names, each with the number of rows that follow it.
    contigs: Vec<(String, usize)>,
    /// Line, or row of Parquet; 1-based.
    lines: Vec<u64>,
    /// Positions as VCF counts.
    one_based: Vec<u64>,
    references: arrow::array::StringArray,
    alternates: arrow::array::StringArray,
    values: Vec<arrow::array::Float32Array>,
}

enum Blocks {
    Parquet(Box<ParquetBlocks>),
    Text(Box<TextBlocks>),
    /// Of one of the others, in the order of the reference.
    Sorted(Box<SortedBlocks>),
}

impl Blocks {
    fn open(source: &Source, keys: &KeyColumns, columns: &[(String, String)]) -> Result<Self, ImportError> {
        let wanted = Some(columns).filter(|columns| !columns.is_empty());
        Ok(if source.is_parquet()? {
            Self::Parquet(Box::new(ParquetBlocks::open(source, keys, wanted)?))
        } else {
            let records = Records::open(&source.path, source.place())?;
            Self::Text(Box::new(TextBlocks::new(&source.path, records, keys, wanted)?))
        })
    }

    /// The score columns: name in the store, name in the file.
    fn columns(&self) -> &[(String, String)] {
        match self {
            Self::Parquet(blocks) => &blocks.columns,
            Self::Text(blocks) => &blocks.columns,
            Self::Sorted(_) => &[],
        }
    }

    /// The contigs that a VCF's header declares.
    fn contigs(&self) -> &[HeaderContig] {
        match self {
            Self::Text(blocks) => &blocks.contigs,
            Self::Parquet(_) | Self::Sorted(_) => &[],
        }
    }

    fn next(&mut self) -> Result<Option<Block>, ImportError> {
        match self {
            Self::Parquet(blocks) => blocks.next(),
            Self::Text(blocks) => blocks.next(),
            Self::Sorted(blocks) => blocks.next(),
        }
    }
}

/// Imports VCF, TSV, CSV or Parquet (`-` is standard input) as track `name`. Positions are 1-based; reference alleles are checked and
/// variants normalized as everywhere. Sorted files are streamed, others sorted first. All rows are committed at
/// once: an import that fails leaves nothing. `progress` is told the rows read so far.
///
/// # Errors
/// When the file cannot be read or parsed, has no such columns or no row on a known contig; when the track is
/// there already; when the store or the reference fails.
pub fn import(
    store: &Store,
    name: &str,
    path: &Path,
    options: &ImportOptions,
    purpose: &str,
    progress: impl Fn(u64) + Send + Sync,
) -> Result<Imported, ImportError> {
    let folder = options.spill_folder.clone().unwrap_or_else(std::env::temp_dir);
    let source = Source::open(path, &folder)?;
    let mut chosen = options.columns.clone();
    let keys = KeyColumns::take(&mut chosen)?;
    let columns = Blocks::open(&source, &keys, &chosen)?.columns().to_vec();
    check_columns(&columns)?;
    let (names, from) = columns.into_iter().unzip();
    let digest = source.digest()?;
    let policy = (options.duplicates != Duplicates::First).then(|| options.duplicates.as_str().to_owned());
    let external = External {
        source: digest,
        columns: from,
        keys: keys.named(),
        duplicates: policy,
        directions: Vec::new(),
    };
    let track = Track::of_file(name, external, names, options.precision.clone())?;
    let started = store.now();
    let mut order = Order::AsItIs;
    loop {
        let mut writer = store.writer(purpose)?;
        let held: u64 = store
            .all_segments()?
            .iter()
            .filter(|segment| segment.track == track.name)
            .map(|segment| segment.rows)
            .sum();
        let tracks = store.snapshot()?.tracks;
        // An import that failed half-way, of an earlier version, left its name without rows.
        let is_empty = |known: &Track| held == 0 && known.name == track.name && known.external.is_some();
        let known: Vec<Track> = tracks.into_iter().filter(|known| !is_empty(known)).collect();
        check_track(&track, &known)?;
        if held > 0 {
            return Err(ImportError::Present { name: track.name, rows: held });
        }
        let blocks = Blocks::open(&source, &keys, &chosen)?;
        match pass(&mut writer, &track, path, blocks, options, order, &progress) {
            // The writer that is opened anew removes what an optimistic pass wrote.
            Err(ImportError::Unsorted) if order == Order::AsItIs => order = Order::Sorted,
            Err(ImportError::Unsorted) if order == Order::Sorted => order = Order::SortedTwice,
            Err(error) => return Err(error),
            Ok((segments, made)) => {
                let rows = segments.iter().map(|segment| segment.rows).sum();
                let run = store.run_of_one_commit(&track, digest, "import", started, rows)?;
                if rows == 0 {
                    let counts = made.report.summary().trim_end().replace('\n', ", ");
                    return Err(ImportError::NoRows { path: path.into(), counts });
                }
                writer.commit_track(&track, &[], &segments, &run)?;
                let Made { report, without_score } = made;
                let sorted = order != Order::AsItIs;
                return Ok(Imported { track, rows, without_score, sorted, report });
            }
        }
    }
}

fn check_columns(columns: &[(String, String)]) -> Result<(), ImportError> {
    let mut seen = HashSet::new();
    for (name, _) in columns {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        let reserved = vestore_schema::is_reserved_column(name);
        if name.is_empty() || !name.bytes().all(letters) || reserved || !seen.insert(name) {
            return Err(ImportError::ColumnName { name: name.clone() });
        }
    }
    Ok(())
}
