//! One pass over a file: a thread reads, checks and orders rows, another writes them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use arrow::array::RecordBatch;
use vestore_schema::{Segment, Status, Table, Track};

use super::distinct::{Duplicates, Group, distinct};
use super::feed::{Feed, Handed, Part};
use super::ordered::{MOST_HELD_BYTES, Ordered};
use super::records::CHUNK;
use super::rows::Normalizer;
use super::sorted::SortedBlocks;
use super::{Blocks, ImportError, ImportOptions};
use crate::store::{ScoreRow, Store, Writer, score_batch};
use crate::variants::{Contigs, Report, Sort, SortedRows};

/// Rows that are built at once when they come out of the sort.
const BATCH_ROWS: usize = 8192;
/// Bytes that sorting may take.
const SORT_MEMORY: usize = 256 << 20;

/// Rows that lie farther than this behind one before them are sorted first: each might cost a read of the reference.
const FAR: u64 = 64 << 10;

/// The order in which rows are taken to the reference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the file, as long as its rows are nearly in order.
    AsItIs,
    /// Sorted as they stand.
    Sorted,
    /// Sorted as they stand, and once more when they are normalized: an indel may move far.
    SortedTwice,
}

/// What the thread that makes rows counted.
pub(super) struct Made {
    pub(super) report: Report,
    pub(super) without_score: u64,
    pub(super) unplaced: u64,
}

/// Writes the rows of `blocks` as segments. One thread reads and checks, this one writes.
pub(super) fn pass(
    writer: &mut Writer,
    track: &Track,
    path: &Path,
    blocks: Blocks,
    options: &ImportOptions,
    order: Order,
    progress: &(impl Fn(u64) + Send + Sync),
) -> Result<(Vec<Segment>, Made), ImportError> {
    let store = writer.store().clone();
    thread::scope(|scope| {
        let (to_writer, batches) = sync_channel::<Handed>(4);
        let maker = scope.spawn(move || -> Result<Made, ImportError> {
            let made = make(&store, track, path, blocks, options, order, progress, &to_writer);
            if let Err(error) = made {
                let _ = to_writer.send(Err(error));
                return Err(ImportError::Unsorted);
            }
            made
        });
        let mut feed = Feed::new(&batches);
        let mut segments = Vec::new();
        while let Some(contig) = feed.contig() {
            let part = Part::new(&mut feed, contig);
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

/// Values that hold the number of a line through a sort.
const LINE_VALUES: usize = 2;

/// The values of a row as they go through the second sort, which their bits order: the line comes first, or last where
/// rows are combined, so that rows of equal scores stand side by side.
fn sorted_values(row: &ScoreRow, line: u64, duplicates: Duplicates) -> Vec<f32> {
    let scores = row.values.iter().map(|value| value.unwrap_or(f32::NAN));
    let bytes = line.to_be_bytes();
    let line = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_be_bytes(*word));
    match duplicates {
        Duplicates::Mean | Duplicates::Max => scores.chain(line).collect(),
        Duplicates::First | Duplicates::Fail => line.chain(scores).collect(),
    }
}

/// The scores and the line that [`sorted_values`] put together.
fn scores_and_line(values: &[f32], duplicates: Duplicates) -> (Vec<Option<f32>>, u64) {
    let (line, scores) = match duplicates {
        Duplicates::Mean | Duplicates::Max => {
            let (scores, line) = values.split_at(values.len() - LINE_VALUES);
            (line, scores)
        }
        Duplicates::First | Duplicates::Fail => values.split_at(LINE_VALUES),
    };
    let scores = scores.iter().map(|value| Some(*value).filter(|value| !value.is_nan())).collect();
    (scores, line.iter().fold(0, |line, value| line << 32 | u64::from(value.to_bits())))
}

/// Reads, checks and orders the rows of `blocks`.
#[expect(clippy::too_many_arguments, reason = "the state of one pass, handed to its thread")]
fn make(
    store: &Store,
    track: &Track,
    path: &Path,
    mut blocks: Blocks,
    options: &ImportOptions,
    order: Order,
    progress: &(impl Fn(u64) + Send + Sync),
    out: &SyncSender<Handed>,
) -> Result<Made, ImportError> {
    let mut reference = store.open_reference()?;
    let assembly = store.assembly();
    let mut contigs = Contigs::new(assembly);
    let warnings = contigs.declare(path, blocks.contigs(), Some(&mut reference))?;
    let report = match &options.report {
        Some(path) => Report::with_listing(path, &options.report_rules())?,
        None => Report::new(),
    };
    let mut normalizer = Normalizer::new(track, path, assembly, reference, options, report);
    normalizer.report.warnings = warnings;
    normalizer.reordered = order == Order::Sorted;
    let folder = options.spill_folder.clone().unwrap_or_else(std::env::temp_dir);
    let twice = order == Order::SortedTwice;
    let memory = if twice { SORT_MEMORY / 2 } else { SORT_MEMORY };
    let ordering = match options.duplicates {
        Duplicates::Mean | Duplicates::Max => track.columns.len() + LINE_VALUES,
        Duplicates::First | Duplicates::Fail => LINE_VALUES,
    };
    let mut sorter = twice.then(|| Sort::with_repeats(ordering, memory, folder.clone()));
    if order != Order::AsItIs {
        let sort = Sort::with_repeats(0, memory, folder);
        let sorted =
            SortedBlocks::read(&mut blocks, assembly, &mut contigs, &mut normalizer, sort, progress)?;
        blocks = Blocks::Sorted(Box::new(sorted));
    }
    // The contig in hand and the highest 1-based position on it so far.
    let mut highest = (u32::MAX, 0);
    let mut ordered: Option<Ordered> = None;
    let mut left: HashSet<u32> = HashSet::new();
    // The other side is gone when it failed, and says so itself.
    let send = |contig: u32, batch: RecordBatch| drop(out.send(Ok((contig, batch))));
    while let Some(block) = blocks.next()? {
        normalizer.unplaced(&block);
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
                for at in range {
                    let line = block.lines[at];
                    for row in normalizer.rows(&block, at..at + 1, contig)? {
                        let values = sorted_values(&row, line, options.duplicates);
                        let status = (row.status != Status::Scored).then_some(row.status);
                        sorter.push_valued(&row.variant, status, &values)?;
                    }
                }
                continue;
            }
            if ordered.as_ref().is_some_and(|ordered| ordered.contig != contig) {
                let done = ordered.take();
                for (of, batch) in done.into_iter().filter_map(Ordered::finish) {
                    left.insert(of);
                    send(of, distinct(batch, of, &mut normalizer)?);
                }
                if left.contains(&contig) {
                    return Err(ImportError::Unsorted);
                }
            }
            if highest.0 != contig {
                highest = (contig, 0);
            }
            let length = u64::from(assembly.contig(contig).length);
            for one_based in block.one_based[range.clone()].iter().filter(|one_based| **one_based <= length) {
                if one_based + FAR < highest.1 {
                    return Err(ImportError::Unsorted);
                }
                highest.1 = highest.1.max(*one_based);
            }
            let batch = normalizer.batch(&block, range, contig)?;
            let ordered = ordered.get_or_insert_with(|| Ordered::new(contig, MOST_HELD_BYTES));
            for batch in ordered.push(batch)? {
                send(contig, distinct(batch, contig, &mut normalizer)?);
            }
        }
        if order == Order::AsItIs {
            progress(normalizer.report.records);
        }
    }
    contigs.check_any_known(path).map_err(|error| ImportError::Contigs(Box::new(error)))?;
    normalizer.check.finish()?;
    normalizer.report.warnings.extend(normalizer.check.warning());
    normalizer.report.warnings.extend(normalizer.check.beyond_warning());
    if let Some((of, batch)) = ordered.and_then(Ordered::finish) {
        send(of, distinct(batch, of, &mut normalizer)?);
    }
    if let Some(sorter) = sorter {
        send_sorted(sorter.into_rows()?, track, &mut normalizer, send)?;
    }
    normalizer.report.finish()?;
    let Normalizer { report, without_score, unplaced, .. } = normalizer;
    Ok(Made { report, without_score, unplaced })
}

/// Sends rows that are sorted as the store has them, one for each variant.
fn send_sorted(
    mut rows: SortedRows,
    track: &Track,
    normalizer: &mut Normalizer<'_>,
    send: impl Fn(u32, RecordBatch),
) -> Result<(), ImportError> {
    let duplicates = normalizer.duplicates;
    let mut batch: Vec<ScoreRow> = Vec::new();
    let mut bytes = 0;
    let mut group: Option<Group> = None;
    loop {
        let row = rows.next_valued()?.map(|(variant, status, values)| {
            let (values, line) = scores_and_line(&values, duplicates);
            (ScoreRow { variant, values, status: status.unwrap_or(Status::Scored) }, line)
        });
        let row = match (row, &mut group) {
            (Some((row, line)), Some(group)) if group.holds(&row.variant) => {
                group.add(&row, line, normalizer)?;
                continue;
            }
            (row, _) => row,
        };
        let ended = row.is_none();
        let complete = std::mem::replace(&mut group, row.map(|(row, _)| Group::new(row)));
        let complete = complete.map(|group| group.finish(duplicates));
        let other = match (&complete, batch.first()) {
            (Some(row), Some(first)) => row.variant.contig != first.variant.contig,
            _ => false,
        };
        if other || batch.len() == BATCH_ROWS || bytes >= CHUNK {
            send(batch[0].variant.contig, score_batch(track, &batch)?);
            batch.clear();
            bytes = 0;
        }
        if let Some(row) = complete {
            bytes += row.variant.reference.len() + row.variant.alternate.len();
            batch.push(row);
        }
        if ended {
            break;
        }
    }
    if let Some(first) = batch.first() {
        send(first.variant.contig, score_batch(track, &batch)?);
    }
    Ok(())
}
