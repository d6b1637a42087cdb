//! Sorting planned variants in bounded memory: what does not fit is spilled as sorted runs, which
//! are then merged. Rows of the same variant become one, except where all are kept.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vestore_schema::{Status, Variant};

use super::rows::{Row, RowFile, RowReader, RowWriter, SpillError, encode, encode_raw, encode_valued};

/// Runs that are merged at once.
const FAN_IN: usize = 64;

/// Bytes of memory for one row beside its encoded form.
const KEY: usize = size_of::<Key>();

/// Where a row lies in memory, and what it is sorted by first.
#[derive(Clone, Copy)]
struct Key {
    place: u64,
    offset: usize,
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
    /// Whether rows of the same variant are all kept.
    repeats: bool,
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
            memory,
            folder,
            bytes: Vec::new(),
            keys: Vec::new(),
            spilled: None,
            duplicates: 0,
            repeats: false,
        }
    }

    /// As [`Sort::new`], and keeps all rows of the same variant: scorable ones first, then as they came.
    pub(crate) fn with_repeats(memory: usize, folder: PathBuf) -> Self {
        Self { repeats: true, ..Self::new(memory, folder) }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, variant: &Variant, status: Option<Status>) -> Result<(), SpillError> {
        let offset = self.bytes.len();
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
        let offset = self.bytes.len();
        encode_valued(variant, status, values, &mut self.bytes);
        self.pushed(offset)
    }

    /// Adds a row as a file has it at a line, with values.
    pub(crate) fn push_raw(
        &mut self,
        contig: u32,
        position: u32,
        alleles: (&str, &str),
        line: u64,
        values: &[f32],
    ) -> Result<(), SpillError> {
        let offset = self.bytes.len();
        encode_raw(contig, position, alleles, line, values, &mut self.bytes);
        self.pushed(offset)
    }

    fn pushed(&mut self, offset: usize) -> Result<(), SpillError> {
        self.keys.push(Key { place: Row::first_of(&self.bytes[offset..]).place(), offset });
        // Growing vectors take up to twice what they hold.
        if (self.bytes.len() + self.keys.len() * KEY) * 2 > self.memory { self.spill() } else { Ok(()) }
    }

    /// Sorts what is in memory. Equal rows stay in the order they came in.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        let row = |key: &Key| Row::first_of(&bytes[key.offset..]);
        self.keys.sort_unstable_by(|a, b| {
            a.place.cmp(&b.place).then_with(|| row(a).compare(row(b))).then_with(|| a.offset.cmp(&b.offset))
        });
        if self.repeats {
            return;
        }
        let before = self.keys.len();
        self.keys.dedup_by(|later, first| {
            later.place == first.place && row(later).compare_variant(row(first)) == Ordering::Equal
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
            writer.push(Row::first_of(&self.bytes[key.offset..]))?;
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
    pub(crate) fn finish(mut self) -> Result<Sorted, SpillError> {
        let frame_size = self.frame_size();
        let mut digest = Sha256::new();
        if self.spilled.is_none() {
            self.sort();
            for key in &self.keys {
                digest.update(Row::first_of(&self.bytes[key.offset..]).bytes());
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
        if !self.keys.is_empty() {
            self.spill()?;
        }
        (self.bytes, self.keys) = (Vec::new(), Vec::new());
        let Some(mut spilled) = self.spilled else { unreachable!("it has just been looked at") };
        while spilled.runs.len() > FAN_IN {
            let runs = std::mem::take(&mut spilled.runs);
            let mut merged = Vec::with_capacity(runs.len().div_ceil(FAN_IN));
            // Neighbours are merged, so that the order in which equal rows came is kept.
            for group in runs.chunks(FAN_IN) {
                let mut writer = RowWriter::create(spilled.path(), frame_size)?;
                self.duplicates += merge(group, self.repeats, |row| writer.push(row))?;
                merged.push(writer.finish()?);
                remove(group)?;
            }
            spilled.runs = merged;
        }
        let mut writer = RowWriter::create(spilled.path(), frame_size)?;
        self.duplicates += merge(&spilled.runs, self.repeats, |row| {
            digest.update(row.bytes());
            writer.push(row)
        })?;
        let file = writer.finish()?;
        remove(&spilled.runs)?;
        Ok(Sorted {
            len: file.len(),
            rows: Arc::new(Rows::Spilled { file, _folder: spilled.folder }),
            digest: digest.finalize().into(),
            duplicates: self.duplicates,
        })
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
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        Row::first_of(&other.row).compare(Row::first_of(&self.row)).then_with(|| other.run.cmp(&self.run))
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

/// Gives the rows of all runs in order, one for each variant unless all are kept; returns how many were left out.
fn merge(
    runs: &[RowFile],
    repeats: bool,
    mut give: impl FnMut(Row<'_>) -> Result<(), SpillError>,
) -> Result<u64, SpillError> {
    let mut readers: Vec<RowReader> = runs.iter().map(|run| run.read(0)).collect::<Result<_, _>>()?;
    let mut heads = BinaryHeap::with_capacity(readers.len());
    for (run, reader) in readers.iter_mut().enumerate() {
        if let Some(row) = reader.next()? {
            heads.push(Head { row: row.bytes().to_vec(), run });
        }
    }
    let mut last: Vec<u8> = Vec::new();
    let mut duplicates = 0;
    while let Some(mut head) = heads.peek_mut() {
        let row = Row::first_of(&head.row);
        if !repeats && !last.is_empty() && Row::first_of(&last).compare_variant(row) == Ordering::Equal {
            duplicates += 1;
        } else {
            give(row)?;
            last.clear();
            last.extend_from_slice(row.bytes());
        }
        let run = head.run;
        if let Some(row) = readers[run].next()? {
            head.row.clear();
            head.row.extend_from_slice(row.bytes());
        } else {
            std::collections::binary_heap::PeekMut::pop(head);
        }
    }
    Ok(duplicates)
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
        let reader = match &*self.rows {
            Rows::Memory { .. } => None,
            Rows::Spilled { file, .. } => Some(file.read(from)?),
        };
        Ok(SortedRows { rows: Arc::clone(&self.rows), reader, next: from as usize })
    }
}

/// Reads a [`Sorted`] whole, which it keeps alive.
pub(crate) struct SortedRows {
    rows: Arc<Rows>,
    reader: Option<RowReader>,
    next: usize,
}

/// A row with the values that it was pushed with.
type ValuedRow = (Variant, Option<Status>, Vec<f32>);

impl SortedRows {
    /// Hands the next row to `take`.
    pub(crate) fn take_row<T>(&mut self, take: impl FnOnce(Row<'_>) -> T) -> Result<Option<T>, SpillError> {
        if let Some(reader) = &mut self.reader {
            return Ok(reader.next()?.map(take));
        }
        let Rows::Memory { bytes, keys } = &*self.rows else { return Ok(None) };
        let key = keys.get(self.next);
        self.next += usize::from(key.is_some());
        Ok(key.map(|key| take(Row::first_of(&bytes[key.offset..]))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, random_bases};

    fn allele(random: &mut Random) -> Box<str> {
        let length = if random.below(50) == 0 { 3000 } else { 1 + random.below(8) as usize / 7 };
        String::from_utf8(random_bases(random, length)).unwrap().into()
    }

    fn rows(seed: u64, count: usize) -> Vec<(Variant, Option<Status>)> {
        let mut random = Random::new(seed);
        (0..count)
            .map(|_| {
                let variant = Variant {
                    contig: random.below(3) as u32,
                    position: random.below(count as u64 / 8) as u32,
                    reference: allele(&mut random),
                    alternate: allele(&mut random),
                };
                let status = [None, None, Some(Status::RefMismatch), Some(Status::Symbolic)];
                (variant, status[random.below(4) as usize])
            })
            .collect()
    }

    fn sorted(rows: &[(Variant, Option<Status>)], memory: usize) -> (Sorted, usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut sort = Sort::new(memory, folder.path().into());
        for (variant, status) in rows {
            sort.push(variant, *status).unwrap();
        }
        let runs = sort.spilled.as_ref().map_or(0, |spilled| spilled.runs.len());
        let sorted = sort.finish().unwrap();
        if let Rows::Spilled { _folder: spilled, .. } = &*sorted.rows {
            assert_eq!(std::fs::read_dir(spilled.path()).unwrap().count(), 1, "only the whole is left");
        }
        // The folder above it may go: nothing else may depend on it.
        let kept = folder.keep();
        drop(kept);
        (sorted, runs)
    }

    fn read(sorted: &Sorted, from: u64) -> Vec<(Variant, Option<Status>)> {
        sorted.read(from).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// What the standard library's sort makes of the same rows.
    fn wanted(rows: &[(Variant, Option<Status>)]) -> Vec<(Variant, Option<Status>)> {
        let mut wanted = rows.to_vec();
        wanted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.is_some().cmp(&b.1.is_some())));
        wanted.dedup_by(|later, first| later.0 == first.0);
        wanted
    }

    #[test]
    fn any_memory_gives_the_same_rows_digest_and_duplicates() {
        let rows = rows(11, 20_000);
        let wanted = wanted(&rows);
        let (in_memory, runs) = sorted(&rows, 64 << 20);
        assert_eq!((runs, in_memory.duplicates()), (0, (rows.len() - wanted.len()) as u64));
        assert!(in_memory.duplicates() > 100);
        assert_eq!(read(&in_memory, 0), wanted);
        for (memory, least_runs) in [(1 << 20, 2), (64 << 10, FAN_IN), (4 << 10, FAN_IN * FAN_IN / 8)] {
            let (spilled, runs) = sorted(&rows, memory);
            assert!(runs >= least_runs, "{runs} runs in {memory} bytes");
            assert_eq!(read(&spilled, 0), wanted);
            assert_eq!(spilled.digest(), in_memory.digest());
            assert_eq!(spilled.duplicates(), in_memory.duplicates());
            assert_eq!(spilled.len(), wanted.len() as u64);
        }
    }

    #[test]
    fn repeats_are_kept_in_their_order_when_asked_for() {
        let rows: Vec<_> = rows(13, 4000).into_iter().chain(self::rows(13, 4000)).collect();
        let mut wanted: Vec<(Variant, Option<Status>, f32)> = rows
            .iter()
            .enumerate()
            .map(|(at, (variant, status))| (variant.clone(), *status, at as f32))
            .collect();
        wanted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.is_some().cmp(&b.1.is_some())));
        for memory in [64 << 20, 64 << 10, 4 << 10] {
            let folder = tempfile::tempdir().unwrap();
            let mut sort = Sort::with_repeats(memory, folder.path().into());
            for (at, (variant, status)) in rows.iter().enumerate() {
                sort.push_valued(variant, *status, &[at as f32]).unwrap();
            }
            let mut read = sort.finish().unwrap().read(0).unwrap();
            for (variant, status, value) in &wanted {
                assert_eq!(
                    read.next_valued().unwrap(),
                    Some((variant.clone(), *status, vec![*value])),
                    "{memory}"
                );
            }
            assert!(read.next_valued().unwrap().is_none());
        }
    }

    #[test]
    fn reading_starts_at_any_row_any_number_of_times() {
        let rows = rows(12, 3000);
        let wanted = wanted(&rows);
        for memory in [64 << 20, 32 << 10] {
            let (sorted, _) = sorted(&rows, memory);
            for from in [0, 1, 500, wanted.len() - 1, wanted.len(), wanted.len() + 5] {
                assert_eq!(read(&sorted, from as u64), wanted[from.min(wanted.len())..], "from {from}");
            }
        }
        let (empty, _) = sorted(&[], 1024);
        assert_eq!((empty.len(), read(&empty, 0).len()), (0, 0));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let mut sort = Sort::new(1, PathBuf::from("/nonexistent"));
        let error = sort.push(&rows(1, 8)[0].0, None).unwrap_err();
        assert!(error.to_string().contains("cannot create temporary file /nonexistent"), "{error}");
    }
}
