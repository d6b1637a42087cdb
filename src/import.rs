//! Scores that somebody else computed, as tracks of kind external.

mod columns;
mod error;
mod labelled;
mod ordered;
mod pass;
mod rows;
mod table;
mod text;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use vestore_schema::{Digest, Run, Table, Track};

pub use self::columns::{TableRow, TableRows};
pub use self::error::ImportError;
pub use self::labelled::{LabelledRow, LabelledRows};
use self::pass::{Made, pass};
use self::table::ParquetBlocks;
use self::text::TextBlocks;
use crate::store::{Store, check_track};
use crate::variants::{Input, InputError, Report};

/// How a file is imported.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Score columns: name in the store, column or INFO field of the file. Without any, all columns of
    /// numbers under their own names.
    pub columns: Vec<(String, String)>,
    /// Step that scores are rounded to, as typed.
    pub precision: Option<String>,
    /// Folder for temporary files; the system's without one.
    pub spill_folder: Option<PathBuf>,
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
    /// Whether the rows had to be sorted.
    pub sorted: bool,
    /// What became of the rest.
    pub report: Report,
}

/// Rows of a file as they stand in it.
pub(crate) struct Block {
    /// Contig names, each with the number of rows that follow it.
    contigs: Vec<(String, usize)>,
    /// 1-based.
    positions: Vec<u64>,
    references: arrow::array::StringArray,
    alternates: arrow::array::StringArray,
    values: Vec<arrow::array::Float32Array>,
}

enum Blocks {
    Parquet(Box<ParquetBlocks>),
    Text(Box<TextBlocks>),
}

impl Blocks {
    fn open(path: &Path, columns: &[(String, String)]) -> Result<Self, ImportError> {
        let mut magic = Vec::new();
        let read = |source| ImportError::Read { path: path.into(), source };
        File::open(path).map_err(read)?.take(4).read_to_end(&mut magic).map_err(read)?;
        Ok(if magic == b"PAR1" {
            Self::Parquet(Box::new(ParquetBlocks::open(path, columns)?))
        } else {
            Self::Text(Box::new(TextBlocks::open(path, columns)?))
        })
    }

    /// The score columns: name in the store, name in the file.
    fn columns(&self) -> &[(String, String)] {
        match self {
            Self::Parquet(blocks) => &blocks.columns,
            Self::Text(blocks) => &blocks.columns,
        }
    }

    fn next(&mut self) -> Result<Option<Block>, ImportError> {
        match self {
            Self::Parquet(blocks) => blocks.next(),
            Self::Text(blocks) => blocks.next(),
        }
    }
}

/// Imports VCF, TSV, CSV or Parquet as track `name`. Positions are 1-based; reference alleles are checked and
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
    let blocks = Blocks::open(path, &options.columns)?;
    let columns = blocks.columns().to_vec();
    check_columns(&columns)?;
    let (names, from) = columns.into_iter().unzip();
    let source = digest(path)?;
    let track = Track::of_file(name, source, from, names, options.precision.clone())?;
    let started = now();
    let mut sorted = false;
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
        let blocks = Blocks::open(path, &options.columns)?;
        match pass(&mut writer, &track, path, blocks, options, sorted, &progress) {
            // The writer that is opened anew removes what the hopeful pass wrote.
            Err(ImportError::Unsorted) if !sorted => sorted = true,
            Err(error) => return Err(error),
            Ok((segments, made)) => {
                let rows = segments.iter().map(|segment| segment.rows).sum();
                let run = Run {
                    number: store.runs()?.last().map_or(1, |run| run.number + 1),
                    track: track.name.clone(),
                    table: Table::Scores,
                    plan: source,
                    program: format!("vestore {}", env!("CARGO_PKG_VERSION")),
                    device: "import".to_owned(),
                    threads: 1,
                    batch_tokens: 0,
                    started,
                    finished: Some(now()),
                    units: 1,
                    committed: 1,
                    rows,
                    remarks: Vec::new(),
                    layers: Vec::new(),
                };
                if rows == 0 {
                    let counts = made.report.summary().trim_end().replace('\n', ", ");
                    return Err(ImportError::NoRows { path: path.into(), counts });
                }
                writer.commit_track(&track, &segments, &run)?;
                let Made { report, without_score } = made;
                return Ok(Imported { track, rows, without_score, sorted, report });
            }
        }
    }
}

/// SHA-256 of a file.
fn digest(path: &Path) -> Result<Digest, ImportError> {
    let read = |source| ImportError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => return Ok(<[u8; 32]>::from(hash.finalize()).into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn check_columns(columns: &[(String, String)]) -> Result<(), ImportError> {
    let mut seen = HashSet::new();
    for (name, _) in columns {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        let reserved = crate::query::ANSWER_COLUMNS.contains(&name.as_str());
        if name.is_empty() || !name.bytes().all(letters) || reserved || !seen.insert(name) {
            return Err(ImportError::ColumnName { name: name.clone() });
        }
    }
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The columns that name a variant, by the names people give them.
const KEY_NAMES: [&[&str]; 4] = [
    &["contig", "chrom", "chromosome", "chr", "seqnames"],
    &["position", "pos", "start_position", "bp"],
    &["reference", "ref", "reference_allele", "ref_allele"],
    &["alternate", "alt", "alternate_allele", "alt_allele"],
];

/// The indices of the key columns among `names`.
fn key_columns(path: &Path, names: &[String]) -> Result<[usize; 4], ImportError> {
    let mut found = [0; 4];
    for (index, wanted) in found.iter_mut().zip(KEY_NAMES) {
        // In the order of what is wanted: a file may have both `contig` and `chr`.
        let at = wanted.iter().find_map(|wanted| {
            names.iter().position(|name| name.trim_start_matches('#').eq_ignore_ascii_case(wanted))
        });
        *index = at.ok_or_else(|| ImportError::NoColumn {
            path: path.into(),
            wanted: wanted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
            known: names.to_vec(),
        })?;
    }
    Ok(found)
}

/// A BCF is no text.
fn refuse_bcf(path: &Path, input: &mut Input) -> Result<(), InputError> {
    if !input.begins_with(b"BCF")? {
        return Ok(());
    }
    Err(InputError::Malformed {
        path: path.into(),
        unit: "line",
        number: 1,
        field: "text",
        value: "BCF".to_owned(),
        problem: "begins a BCF file; scores and labels come from VCF or tables, so run `bcftools view` on it",
    })
}

/// Whether all that is wanted is there.
fn check_names(path: &Path, wanted: &[&str], known: &[String]) -> Result<(), ImportError> {
    match wanted.iter().find(|name| !known.iter().any(|known| known == *name)) {
        None => Ok(()),
        Some(name) => Err(ImportError::NoColumn {
            path: path.into(),
            wanted: format!("`{name}`"),
            known: known.to_vec(),
        }),
    }
}
