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
mod preset;
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

use vestore_schema::{Direction, External, Track};

pub use self::columns::{TableRow, TableRows};
pub use self::distinct::Duplicates;
pub use self::error::ImportError;
pub use self::keys::KeyColumns;
pub use self::labelled::{LabelledRow, LabelledRows};
use self::pass::{Made, Order, pass};
pub use self::preset::Preset;
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
    /// The published set that the file is of: its columns, their directions and ranges.
    pub preset: Option<Preset>,
    /// Which value of a list in one cell counts; a list is an error without one.
    pub list: Option<ListRule>,
    /// Which values of a column, by its name in the store, suggest an effect: of all columns or of none, unless the
    /// preset says so.
    pub directions: Vec<(String, Direction)>,
    /// Which of several scores of one variant counts.
    pub duplicates: Duplicates,
    /// Listing of what was left out and what cannot be scored. It replaces an earlier listing, and other files with
    /// `force` alone.
    pub report: Option<PathBuf>,
    /// Replace a file that is not a listing.
    pub force: bool,
    /// Files that a listing never replaces, as [`OutputRules`] has them.
    pub inputs: Vec<PathBuf>,
    /// What scores are rounded to, as typed ([`vestore_schema::Precision`]).
    pub precision: Option<String>,
    /// Folder for temporary files; the system's without one.
    pub spill_folder: Option<PathBuf>,
    /// What to do when reference alleles differ.
    pub ref_mismatch: RefMismatch,
}

/// Which value of a list that one cell holds, separated by `;`, counts. Missing ones do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRule {
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The first.
    First,
}

impl ListRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Max, Self::Min, Self::First];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Min => "min",
            Self::First => "first",
        }
    }
}

impl ImportOptions {
    fn report_rules(&self) -> OutputRules<'_> {
        OutputRules { force: self.force, inputs: &self.inputs }
    }

    /// Of each score column of `track`, the range that the preset documents; none without a preset.
    fn ranges(&self, track: &Track) -> Vec<Option<(f32, f32)>> {
        let Some(preset) = self.preset else { return Vec::new() };
        let from = track.external.iter().flat_map(|external| &external.columns);
        from.map(|from| preset.column(from).and_then(|column| column.range)).collect()
    }

    /// The direction of each of these columns (name in the store, name in the file); none if nobody stated any.
    fn directions(&self, columns: &[(String, String)]) -> Result<Vec<Direction>, ImportError> {
        let fail = |column: &str, stated| {
            let columns = columns.iter().map(|(name, _)| name.clone()).collect();
            Err(ImportError::Direction { column: column.to_owned(), stated, columns })
        };
        if let Some((column, _)) =
            self.directions.iter().find(|(stated, _)| columns.iter().all(|(name, _)| name != stated))
        {
            return fail(column, true);
        }
        let known = |(name, from): &(String, String)| {
            let stated = self.directions.iter().find(|(stated, _)| stated == name);
            let of_set = || self.preset?.column(from).map(|_| Direction::High);
            stated.map(|(_, direction)| *direction).or_else(of_set)
        };
        let directions: Vec<Option<Direction>> = columns.iter().map(known).collect();
        match directions.iter().position(Option::is_none) {
            Some(at) if directions.iter().any(Option::is_some) => fail(&columns[at].0, false),
            _ => Ok(directions.into_iter().flatten().collect()),
        }
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
    /// Rows without a position in the assembly, as published sets of several have them, which are left out.
    pub unplaced: u64,
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
    /// Rows without a position, which are not among them.
    unplaced: u64,
}

/// How the cells of a file are read.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    preset: Option<Preset>,
    list: Option<ListRule>,
}

enum Blocks {
    Parquet(Box<ParquetBlocks>),
    Text(Box<TextBlocks>),
    /// Of one of the others, in the order of the reference.
    Sorted(Box<SortedBlocks>),
}

impl Blocks {
    fn open(
        source: &Source,
        keys: &KeyColumns,
        columns: &[(String, String)],
        rules: Rules,
    ) -> Result<Self, ImportError> {
        let wanted = Some(columns).filter(|columns| !columns.is_empty());
        Ok(if source.is_parquet()? {
            if let Some(preset) = rules.preset {
                return Err(preset.other(&source.path, "a Parquet file"));
            }
            Self::Parquet(Box::new(ParquetBlocks::open(source, keys, wanted)?))
        } else {
            let records = Records::open(&source.path, source.place())?;
            Self::Text(Box::new(TextBlocks::new(&source.path, records, keys, wanted, rules)?))
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
    let mut keys = KeyColumns::take(&mut chosen)?;
    if let Some(preset) = options.preset {
        // People name columns as the store does.
        for (_, from) in &mut chosen {
            if let Some(column) = preset.columns().iter().find(|column| column.name == from) {
                column.from.clone_into(from);
            }
        }
        if !keys.names_position() {
            keys.default_position(preset.position(path, store.assembly())?);
        }
        if chosen.is_empty() {
            chosen = preset.chosen(path)?;
        }
    }
    let rules = Rules { preset: options.preset, list: options.list };
    let columns = Blocks::open(&source, &keys, &chosen, rules)?.columns().to_vec();
    check_columns(&columns)?;
    let directions = options.directions(&columns)?;
    let (names, from) = columns.into_iter().unzip();
    let digest = source.digest()?;
    let policy = (options.duplicates != Duplicates::First).then(|| options.duplicates.as_str().to_owned());
    let external = External {
        source: digest,
        columns: from,
        keys: keys.named(),
        duplicates: policy,
        directions,
        preset: options.preset.map(|preset| preset.as_str().to_owned()),
        list: options.list.map(|rule| rule.as_str().to_owned()),
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
        let blocks = Blocks::open(&source, &keys, &chosen, rules)?;
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
                let Made { report, without_score, unplaced } = made;
                let sorted = order != Order::AsItIs;
                return Ok(Imported { track, rows, without_score, unplaced, sorted, report });
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
