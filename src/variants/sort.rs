//! Sorting planned variants in bounded memory: what does not fit is spilled as sorted runs, which
//! are then merged. Rows of the same variant become one, except where all are kept.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::slice::ParallelSliceMut;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vestore_schema::{Position, Status, Variant};

use super::rows::{FIXED, Row, RowFile, RowReader, RowWriter, SpillError, encode, encode_raw, encode_valued};
use crate::narrow::{to_u32, to_usize};

/// Runs that are merged at once.
const FAN_IN: usize = 64;

/// Rows that are touched before the first of them is read.
const TOUCHED: usize = 256;

/// Bytes of memory for one row beside its encoded form.
const KEY: usize = size_of::<Key>();

/// The most bytes of memory: offsets of rows are 32 bits long.
const MOST_MEMORY: usize = u32::MAX as usize;

/// Where a row lies in memory, and what it is sorted by first.
#[derive(Clone, Copy)]
struct Key {
    place: u64,
    alleles: u32,
    offset: u32,
}

impl Key {
    /// Its row, which lies among `bytes`.
    fn row(self, bytes: &[u8]) -> Row<'_> {
        Row::first_of(&bytes[self.offset as usize..])
    }
}

/// Takes rows in any order.
pub(crate) struct Sort {
    /// Bytes that rows in memory may take.
    memory: usize,
    folder: PathBuf,
    /// The encoded rows, and their keys.
    bytes: Vec<u8>,
    keys: Vec<Key>,
    spilled: Option<Spilled>,
    duplicates: u64,
    /// Where rows of the same variant are all kept: how many of the values pushed with a row order them.
    repeats: Option<usize>,
}

struct Spilled {
    folder: TempDir,
    runs: Vec<RowFile>,
    /// Number of the next file.
    next: u64,
}

impl Sort {
    /// Sorts in about `memory` bytes, spilling to a folder of its own in `folder`.
    pub(crate) fn new(memory: usize, folder: PathBuf) -> Self {
        Self {
            memory: memory.min(MOST_MEMORY),
            folder,
            bytes: Vec::new(),
            keys: Vec::new(),
            spilled: None,
            duplicates: 0,
            repeats: None,
        }
    }

    /// As [`Sort::new`], and keeps all rows of the same variant: scorable ones first, then in the order of the bits of
    /// their first `ordering` values, then as they came.
    pub(crate) fn with_repeats(ordering: usize, memory: usize, folder: PathBuf) -> Self {
        Self { repeats: Some(ordering), ..Self::new(memory, folder) }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, variant: &Variant, status: Option<Status>) -> Result<(), SpillError> {
        let offset = self.offset();
        encode(variant, status, &mut self.bytes);
        self.pushed(offset)
    }

    /// Adds a row with values, which go with it through the sort.
    pub(crate) fn push_valued(
        &mut self,
        variant: &Variant,
        status: Option<Status>,
        values: &[f32],
    ) -> Result<(), SpillError> {
        let offset = self.offset();
        encode_valued(variant, status, values, &mut self.bytes);
        self.pushed(offset)
    }

    /// Adds a row as a file has it at a line, with values.
    pub(crate) fn push_raw(
        &mut self,
        contig: u32,
        position: Position,
        alleles: (&str, &str),
        line: u64,
        values: &[f32],
    ) -> Result<(), SpillError> {
        let offset = self.offset();
        encode_raw(contig, position, alleles, line, values, &mut self.bytes);
        self.pushed(offset)
    }

    /// Where the next row begins.
    fn offset(&mut self) -> usize {
        if self.keys.is_empty() {
            // At once: a vector that grows is there twice for a while, and pages that are not touched cost nothing.
            // Where the system refuses, they grow.
            let _ = self.bytes.try_reserve(self.memory);
            let _ = self.keys.try_reserve(self.memory / (KEY + FIXED));
        }
        self.bytes.len()
    }

    fn pushed(&mut self, offset: usize) -> Result<(), SpillError> {
        let row = Row::first_of(&self.bytes[offset..]);
        self.keys.push(Key { place: row.place(), alleles: row.alleles_prefix(), offset: to_u32(offset) });
        if self.bytes.len() + self.keys.len() * KEY > self.memory { self.spill() } else { Ok(()) }
    }

    /// Sorts what is in memory. Equal rows stay in the order they came in.
    fn sort(&mut self) {
        let (bytes, ordering) = (&self.bytes, self.repeats.unwrap_or_default());
        self.keys.par_sort_unstable_by(|a, b| {
            (a.place, a.alleles)
                .cmp(&(b.place, b.alleles))
                .then_with(|| a.row(bytes).compare(b.row(bytes), ordering))
                .then(a.offset.cmp(&b.offset))
        });
        if self.repeats.is_some() {
            return;
        }
        let before = self.keys.len();
        self.keys.dedup_by(|later, first| {
            (later.place, later.alleles) == (first.place, first.alleles)
                && later.row(bytes).compare_variant(first.row(bytes)) == Ordering::Equal
        });
        self.duplicates += (before - self.keys.len()) as u64;
    }

    /// Writes what is in memory as a sorted run.
    fn spill(&mut self) -> Result<(), SpillError> {
        self.sort();
        let frame_size = self.frame_size();
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled::create(&self.folder)?),
        };
        let mut writer = RowWriter::create(spilled.path(), frame_size)?;
        for key in &self.keys {
            writer.push(key.row(&self.bytes))?;
        }
        spilled.runs.push(writer.finish()?);
        self.keys.clear();
        self.bytes.clear();
        Ok(())
    }

    /// So that the frames of all runs being merged, stored and expanded, fit in the memory.
    fn frame_size(&self) -> usize {
        (self.memory / (2 * FAN_IN)).clamp(256, 256 << 10)
    }

    /// Merges everything into the sorted whole.
    pub(super) fn finish(mut self) -> Result<Sorted, SpillError> {
        let frame_size = self.frame_size();
        let mut digest = Sha256::new();
        if self.spilled.is_none() {
            self.sort();
            for key in &self.keys {
                digest.update(key.row(&self.bytes).bytes());
            }
            let len = self.keys.len() as u64;
            let rows = Rows::Memory { bytes: self.bytes, keys: self.keys };
            return Ok(Sorted {
                rows: Arc::new(rows),
                len,
                digest: digest.finalize().into(),
                duplicates: self.duplicates,
            });
        }
        let (mut spilled, duplicates) = self.merged_runs()?;
        let mut merge = Merge::open(&spilled.runs, self.repeats)?;
        let mut writer = RowWriter::create(spilled.path(), frame_size)?;
        while let Some(row) = merge.next()? {
            digest.update(row.bytes());
            writer.push(row)?;
        }
        let file = writer.finish()?;
        remove(&spilled.runs)?;
        Ok(Sorted {
            len: file.len(),
            rows: Arc::new(Rows::Spilled { file, _folder: spilled.folder }),
            digest: digest.finalize().into(),
            duplicates: duplicates + merge.duplicates,
        })
    }

    /// Sorts everything to be read once: what was spilled is merged while it is read.
    pub(crate) fn into_rows(mut self) -> Result<SortedRows, SpillError> {
        if self.spilled.is_none() {
            self.sort();
            let rows = Arc::new(Rows::Memory { bytes: self.bytes, keys: self.keys });
            return Ok(SortedRows(Reading::Memory { rows, next: 0 }));
        }
        let repeats = self.repeats;
        let (spilled, _) = self.merged_runs()?;
        let merge = Box::new(Merge::open(&spilled.runs, repeats)?);
        Ok(SortedRows(Reading::Merge { merge, _spilled: spilled }))
    }

    /// Spills what is in memory, and merges runs until the rest can be merged at once. Also how many rows were left
    /// out so far.
    fn merged_runs(&mut self) -> Result<(Spilled, u64), SpillError> {
        if !self.keys.is_empty() {
            self.spill()?;
        }
        (self.bytes, self.keys) = (Vec::new(), Vec::new());
        let Some(mut spilled) = self.spilled.take() else { unreachable!("rows were spilled") };
        while self.fan_in(&spilled.runs) < spilled.runs.len() {
            let runs = std::mem::take(&mut spilled.runs);
            let mut rest = &runs[..];
            // Neighbours are merged, so that the order in which equal rows came is kept.
            while !rest.is_empty() {
                let (group, after) = rest.split_at(self.fan_in(rest));
                let mut merge = Merge::open(group, self.repeats)?;
                let mut writer = RowWriter::create(spilled.path(), self.frame_size())?;
                while let Some(row) = merge.next()? {
                    writer.push(row)?;
                }
                self.duplicates += merge.duplicates;
                spilled.runs.push(writer.finish()?);
                remove(group)?;
                rest = after;
            }
        }
        Ok((spilled, self.duplicates))
    }

    /// How many of `runs`, from the first on, are merged at once: as many as have frames that fit in the memory, stored
    /// and expanded. A frame is as long as its longest row, so they may be few.
    fn fan_in(&self, runs: &[RowFile]) -> usize {
        let mut bytes = 0;
        let fitting = runs.iter().take_while(|run| {
            bytes += 2 * run.longest_frame();
            bytes <= self.memory
        });
        fitting.count().clamp(2, FAN_IN).min(runs.len())
    }
}

impl Spilled {
    fn create(folder: &std::path::Path) -> Result<Self, SpillError> {
        let made = tempfile::Builder::new().prefix("vestore-sort-").tempdir_in(folder);
        let folder = made.map_err(|source| SpillError::new("create", folder, source))?;
        Ok(Self { folder, runs: Vec::new(), next: 0 })
    }

    fn path(&mut self) -> PathBuf {
        self.next += 1;
        self.folder.path().join(format!("{}.rows", self.next))
    }
}

fn remove(runs: &[RowFile]) -> Result<(), SpillError> {
    runs.iter().try_for_each(|run| {
        std::fs::remove_file(run.path()).map_err(|source| SpillError::new("remove", run.path(), source))
    })
}

/// The next row of one run. The least row, of the earliest run, is the greatest entry, since a
/// binary heap gives the greatest first.
struct Head {
    row: Vec<u8>,
    run: usize,
    /// Values that order rows of the same variant.
    ordering: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        Row::first_of(&other.row)
            .compare(Row::first_of(&self.row), self.ordering)
            .then_with(|| other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// The rows of some runs in order, one for each variant unless all are kept.
struct Merge {
    readers: Vec<RowReader>,
    heads: BinaryHeap<Head>,
    repeats: Option<usize>,
    /// The last row given; empty before the first.
    last: Vec<u8>,
    /// Rows left out.
    duplicates: u64,
}

impl Merge {
    fn open(runs: &[RowFile], repeats: Option<usize>) -> Result<Self, SpillError> {
        let mut readers: Vec<RowReader> = runs.iter().map(|run| run.read(0)).collect::<Result<_, _>>()?;
        let mut heads = BinaryHeap::with_capacity(readers.len());
        for (run, reader) in readers.iter_mut().enumerate() {
            if let Some(row) = reader.next()? {
                let ordering = repeats.unwrap_or_default();
                heads.push(Head { row: row.bytes().to_vec(), run, ordering });
            }
        }
        Ok(Self { readers, heads, repeats, last: Vec::new(), duplicates: 0 })
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, SpillError> {
        loop {
            let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
            let is_duplicate = self.repeats.is_none()
                && !self.last.is_empty()
                && Row::first_of(&self.last).compare_variant(Row::first_of(&head.row)) == Ordering::Equal;
            std::mem::swap(&mut self.last, &mut head.row);
            if let Some(row) = self.readers[head.run].next()? {
                head.row.clear();
                head.row.extend_from_slice(row.bytes());
            } else {
                PeekMut::pop(head);
            }
            if !is_duplicate {
                break;
            }
            self.duplicates += 1;
        }
        Ok(Some(Row::first_of(&self.last)))
    }
}

enum Rows {
    Memory { bytes: Vec<u8>, keys: Vec<Key> },
    Spilled { file: RowFile, _folder: TempDir },
}

/// The sorted whole, in memory when it fitted, else in a temporary file that goes with it. It can
/// be read any number of times.
#[derive(Clone)]
pub(crate) struct Sorted {
    rows: Arc<Rows>,
    len: u64,
    digest: [u8; 32],
    duplicates: u64,
}

impl Sorted {
    /// Number of rows.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// SHA-256 of all rows.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Rows left out because an earlier, or a scorable, one is the same variant.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The rows from number `from` on.
    pub(crate) fn read(&self, from: u64) -> Result<SortedRows, SpillError> {
        let rows = Arc::clone(&self.rows);
        Ok(SortedRows(match &*self.rows {
            Rows::Memory { .. } => Reading::Memory { rows, next: to_usize(from) },
            Rows::Spilled { file, .. } => Reading::File { reader: file.read(from)?, _rows: rows },
        }))
    }
}

/// Reads sorted rows, which it keeps alive.
pub(crate) struct SortedRows(Reading);

enum Reading {
    Memory { rows: Arc<Rows>, next: usize },
    File { reader: RowReader, _rows: Arc<Rows> },
    Merge { merge: Box<Merge>, _spilled: Spilled },
}

/// Reads a byte of each of the next rows, which lie anywhere in memory: one after the other without other work between,
/// so that the memory is asked for many of them at a time.
fn touch(bytes: &[u8], keys: &[Key]) {
    let ends = |key: &Key| [0, FIXED].map(|at| bytes[key.offset as usize + at]);
    let touched = keys.iter().take(TOUCHED).flat_map(ends).fold(0, |all, byte| all ^ byte);
    std::hint::black_box(touched);
}

/// A row with the values that it was pushed with.
type ValuedRow = (Variant, Option<Status>, Vec<f32>);

impl SortedRows {
    /// Hands the next row to `take`.
    pub(crate) fn take_row<T>(&mut self, take: impl FnOnce(Row<'_>) -> T) -> Result<Option<T>, SpillError> {
        match &mut self.0 {
            Reading::File { reader, .. } => Ok(reader.next()?.map(take)),
            Reading::Merge { merge, .. } => Ok(merge.next()?.map(take)),
            Reading::Memory { rows, next } => {
                let Rows::Memory { bytes, keys } = &**rows else { return Ok(None) };
                if next.is_multiple_of(TOUCHED) {
                    touch(bytes, keys.get(*next..).unwrap_or_default());
                }
                let key = keys.get(*next);
                *next += usize::from(key.is_some());
                Ok(key.map(|key| take(key.row(bytes))))
            }
        }
    }

    /// The next row with the values that it was pushed with.
    pub(crate) fn next_valued(&mut self) -> Result<Option<ValuedRow>, SpillError> {
        self.take_row(|row| {
            let (variant, status) = row.decode();
            (variant, status, row.values().collect())
        })
    }
}

impl Iterator for SortedRows {
    type Item = Result<(Variant, Option<Status>), SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take_row(|row| row.decode()).transpose()
    }
}
