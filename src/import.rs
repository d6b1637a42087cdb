//! Scores that somebody else computed, as tracks of kind external.

mod ordered;
mod rows;
mod table;
mod text;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use vestore_schema::{Digest, NameError, Run, Table, Track};

use self::ordered::Ordered;
use self::rows::Normalizer;
use self::table::ParquetBlocks;
use self::text::TextBlocks;
use crate::reference::{Reference, ReferenceError};
use crate::store::{ScoreRow, Store, StoreError, Writer, score_batch};
use crate::variants::{Contigs, InputError, PlanError, Report, ReportError, Sort, SpillError};

/// Rows of one segment.
const SEGMENT_ROWS: usize = 1 << 20;
/// Rows that are built at once when they come out of the sort.
const BATCH_ROWS: usize = 8192;
/// Bytes that sorting may take.
const SORT_MEMORY: usize = 256 << 20;

/// Why a file could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text cannot be parsed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Parquet cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A column cannot be read as what it should be.
    #[error("{}: {source}", path.display())]
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
    /// No column of the file holds scores.
    #[error("{} has no column of numbers beside the key; name some with --columns", path.display())]
    NoScores {
        /// The file.
        path: PathBuf,
    },
    /// A name that no score column can have.
    #[error(
        "`{name}` is no name for a score column; write letters, digits, `_`, `.`, `+`, `-`, no name of the key, \
         each once; rename with --columns NAME=COLUMN"
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
    /// Counting failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Temporary files of the sort failed.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Rows are not sorted. Only between the first, hopeful pass and the sort.
    #[error("the rows are not sorted")]
    Unsorted,
}

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
        writer.put_track(&track)?;
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
                writer.commit(&segments, &run)?;
                let Made { report, without_score } = made;
                return Ok(Imported { track, rows, without_score, sorted, report });
            }
        }
    }
}

/// What the thread that makes rows counted.
struct Made {
    report: Report,
    without_score: u64,
}

type Made2Write = Result<(u32, RecordBatch), ImportError>;

/// Writes the rows of `blocks` as segments. One thread reads and checks, this one writes.
fn pass(
    writer: &mut Writer,
    track: &Track,
    path: &Path,
    blocks: Blocks,
    options: &ImportOptions,
    sort: bool,
    progress: &(impl Fn(u64) + Send + Sync),
) -> Result<(Vec<vestore_schema::Segment>, Made), ImportError> {
    let store = writer.store().clone();
    thread::scope(|scope| {
        let (to_writer, batches) = sync_channel::<Made2Write>(4);
        let maker = scope.spawn(move || -> Result<Made, ImportError> {
            let made = make(&store, track, path, blocks, options, sort, progress, &to_writer);
            if let Err(error) = made {
                let _ = to_writer.send(Err(error));
                return Err(ImportError::Unsorted);
            }
            made
        });
        let mut feed = Feed { batches: &batches, waiting: None, error: None };
        let mut segments = Vec::new();
        while let Some(contig) = feed.contig() {
            let part = Part { feed: &mut feed, contig, rows: 0 };
            segments.extend(writer.write(Table::Scores, track, None, contig, part)?);
        }
        let error = feed.error;
        drop(batches);
        let made = maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match error {
            Some(error) => Err(error),
            None => Ok((segments, made?)),
        }
    })
}

/// Batches as they come from the other thread.
struct Feed<'a> {
    batches: &'a Receiver<Made2Write>,
    waiting: Option<(u32, RecordBatch)>,
    error: Option<ImportError>,
}

impl Feed<'_> {
    /// The contig of the next batch.
    fn contig(&mut self) -> Option<u32> {
        if self.waiting.is_none() && self.error.is_none() {
            match self.batches.recv() {
                Ok(Ok(batch)) => self.waiting = Some(batch),
                Ok(Err(error)) => self.error = Some(error),
                Err(_) => {}
            }
        }
        self.waiting.as_ref().map(|(contig, _)| *contig)
    }
}

/// The batches of one segment.
struct Part<'a, 'b> {
    feed: &'a mut Feed<'b>,
    contig: u32,
    rows: usize,
}

impl Iterator for Part<'_, '_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows >= SEGMENT_ROWS || self.feed.contig() != Some(self.contig) {
            return None;
        }
        let (_, batch) = self.feed.waiting.take()?;
        self.rows += batch.num_rows();
        Some(Ok(batch))
    }
}

/// Reads, checks and orders the rows of `blocks`.
#[expect(clippy::too_many_arguments, reason = "the state of one pass, handed to its thread")]
fn make(
    store: &Store,
    track: &Track,
    path: &Path,
    mut blocks: Blocks,
    options: &ImportOptions,
    sort: bool,
    progress: &(impl Fn(u64) + Send + Sync),
    out: &SyncSender<Made2Write>,
) -> Result<Made, ImportError> {
    let reference = Reference::open(store.reference())?;
    reference.check(store.assembly())?;
    let mut contigs = Contigs::new(store.assembly());
    let mut normalizer = Normalizer::new(track, path, reference);
    let folder = options.spill_folder.clone().unwrap_or_else(std::env::temp_dir);
    let mut sorter = sort.then(|| Sort::new(SORT_MEMORY, folder));
    let mut ordered: Option<Ordered> = None;
    let mut left: HashSet<u32> = HashSet::new();
    // The other side is gone when it failed, and says so itself.
    let send = |contig: u32, batch: RecordBatch| drop(out.send(Ok((contig, batch))));
    while let Some(block) = blocks.next()? {
        let mut from = 0;
        for (name, count) in &block.contigs {
            let range = from..from + count;
            from = range.end;
            normalizer.report.records += *count as u64;
            let Some(contig) = contigs.resolve(name) else {
                normalizer.reject_unknown(name, &block, range)?;
                continue;
            };
            if let Some(sorter) = &mut sorter {
                for row in normalizer.rows(&block, range, contig)? {
                    let values: Vec<f32> = row.values.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
                    let status = (row.status != vestore_schema::Status::Scored).then_some(row.status);
                    sorter.push_valued(&row.variant, status, &values)?;
                }
                continue;
            }
            if ordered.as_ref().is_some_and(|ordered| ordered.contig != contig) {
                let done = ordered.take();
                for (of, batch) in done.into_iter().filter_map(|done| done.finish(&mut normalizer.report)) {
                    left.insert(of);
                    send(of, batch);
                }
                if left.contains(&contig) {
                    return Err(ImportError::Unsorted);
                }
            }
            let batch = normalizer.batch(&block, range, contig)?;
            let ordered = ordered.get_or_insert_with(|| Ordered::new(contig));
            for batch in ordered.push(batch, &mut normalizer.report)? {
                send(contig, batch);
            }
        }
        progress(normalizer.report.records);
    }
    contigs.check_any_known(path).map_err(|error| ImportError::Contigs(Box::new(error)))?;
    if let Some((of, batch)) = ordered.and_then(|ordered| ordered.finish(&mut normalizer.report)) {
        send(of, batch);
    }
    if let Some(sorter) = sorter {
        let sorted = sorter.finish()?;
        normalizer.report.duplicates += sorted.duplicates();
        let mut rows = sorted.read(0)?;
        let mut batch: Vec<ScoreRow> = Vec::new();
        loop {
            let row = rows.next_valued()?;
            let other = match (&row, batch.first()) {
                (Some((variant, ..)), Some(first)) => variant.contig != first.variant.contig,
                _ => row.is_none(),
            };
            if !batch.is_empty() && (other || batch.len() == BATCH_ROWS) {
                send(batch[0].variant.contig, score_batch(track, &batch)?);
                batch.clear();
            }
            let Some((variant, status, values)) = row else { break };
            let values =
                values.into_iter().map(|value| Some(value).filter(|value| !value.is_nan())).collect();
            batch.push(ScoreRow {
                variant,
                values,
                status: status.unwrap_or(vestore_schema::Status::Scored),
            });
        }
    }
    Ok(Made { without_score: normalizer.without_score, report: normalizer.report })
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
