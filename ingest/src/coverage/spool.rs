//! Intervals of a text file in a temporary file of fixed records, so that windows find theirs without an index and
//! without memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use vestore::{BedLine, Contigs, TextInput};
use vestore_schema::Assembly;

use super::error::CoverageError;
use super::form::Form;
use super::source::Interval;
use crate::convert::as_index;

/// Bytes of a record: start, end, value.
const RECORD: usize = 12;
/// Records that are read at a time.
const READ: u64 = 4096;
/// Columns that are read.
const COLUMNS: usize = 4;
const SORT: &str = "sort -k1,1 -k2,2n X > Y";

/// Sorted, disjoint intervals of each contig.
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    /// First record and number of records by contig of the reference.
    runs: BTreeMap<u32, (u64, u64)>,
}

impl Spool {
    /// Reads a BED or bedGraph file in one pass. Lines on contigs that the reference lacks are skipped.
    pub(super) fn read(
        path: &Path,
        form: Form,
        assembly: &Assembly,
        folder: &Path,
        interrupted: &AtomicBool,
    ) -> Result<Self, CoverageError> {
        let io = |source| CoverageError::Io { file: folder.to_owned(), source };
        let mut writing = Writing {
            out: BufWriter::new(tempfile::tempfile_in(folder).map_err(io)?),
            runs: BTreeMap::new(),
            records: 0,
            open: None,
        };
        let mut input = TextInput::open(path)?;
        let mut contigs = Contigs::new(assembly);
        let mut line = Vec::new();
        while input.read_line(&mut line, COLUMNS)? {
            if input.number() % 4096 == 0 && interrupted.load(Ordering::Relaxed) {
                return Err(CoverageError::Interrupted);
            }
            let Some(region) = BedLine::parse(&input, &line)? else { continue };
            let value = match form {
                Form::Bed => 1.0,
                _ => value(&input, path, &region)?,
            };
            let Some(contig) = contigs.resolve(region.contig) else { continue };
            let length = assembly.contig(contig).length;
            let place = |at: u64| u32::try_from(at).ok().filter(|at| *at <= length);
            let (Some(start), Some(end)) = (place(region.start), place(region.end)) else {
                return Err(CoverageError::OtherAssembly {
                    file: path.to_owned(),
                    contig: region.contig.to_owned(),
                    found: format!(
                        "reaches to base {} in line {}, of at least as many",
                        region.end,
                        input.number()
                    ),
                    length,
                });
            };
            if start == end {
                continue;
            }
            let interval = Interval { start, end, value };
            let unsorted = |problem, remedy| {
                let (file, line) = (path.to_owned(), input.number());
                CoverageError::Unsorted { file, line, problem, remedy }
            };
            match &mut writing.open {
                Some((open, last)) if *open == contig => {
                    if start < last.start {
                        return Err(unsorted("the file is not sorted by start", SORT));
                    }
                    if form == Form::Bed && start <= last.end {
                        last.end = last.end.max(end);
                        continue;
                    }
                    if start < last.end {
                        return Err(unsorted(
                            "the interval overlaps the one before it",
                            "bedtools merge -c 4 -o mean -i X > Y",
                        ));
                    }
                }
                _ if writing.runs.contains_key(&contig) => {
                    return Err(unsorted("the lines of a contig are not together", SORT));
                }
                _ => {}
            }
            writing.add(contig, interval).map_err(io)?;
        }
        contigs.check_any_known(path)?;
        writing.flush().map_err(io)?;
        let file = writing.out.into_inner().map_err(|error| io(error.into_error()))?;
        Ok(Self { path: path.to_owned(), file, runs: writing.runs })
    }

    /// Whether it has an interval on a contig of the reference.
    pub(super) fn has(&self, contig: u32) -> bool {
        self.runs.contains_key(&contig)
    }

    /// The contigs that it has intervals on.
    pub(super) fn contigs(&self, assembly: &Assembly) -> Vec<String> {
        self.runs.keys().map(|contig| assembly.contig(*contig).name.clone()).collect()
    }

    /// Hands the intervals that share bases with `start..end` of a contig to `visit`, in ascending order.
    pub(super) fn visit(
        &self,
        contig: u32,
        start: u32,
        end: u32,
        visit: &mut dyn FnMut(Interval) -> Result<(), CoverageError>,
    ) -> Result<(), CoverageError> {
        let Some(&(first, count)) = self.runs.get(&contig) else { return Ok(()) };
        let io = |source| CoverageError::Io { file: self.path.clone(), source };
        // The first interval that ends after the start.
        let (mut low, mut high) = (first, first + count);
        while low < high {
            let middle = low + (high - low) / 2;
            let ends_before = self.records(middle, 1).map_err(io)?.iter().all(|found| found.end <= start);
            if ends_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        while low < first + count {
            let read = READ.min(first + count - low);
            for interval in self.records(low, read).map_err(io)? {
                if interval.start >= end {
                    return Ok(());
                }
                visit(interval)?;
            }
            low += read;
        }
        Ok(())
    }

    fn records(&self, first: u64, count: u64) -> io::Result<Vec<Interval>> {
        let mut bytes = vec![0; as_index(count) * RECORD];
        self.file.read_exact_at(&mut bytes, first * RECORD as u64)?;
        let (words, _) = bytes.as_chunks::<4>();
        let (records, _) = words.as_chunks::<3>();
        let read = |[start, end, value]: &[[u8; 4]; 3]| Interval {
            start: u32::from_le_bytes(*start),
            end: u32::from_le_bytes(*end),
            value: f32::from_le_bytes(*value),
        };
        Ok(records.iter().map(read).collect())
    }
}

/// The value of a line of bedGraph.
fn value(input: &TextInput, path: &Path, region: &BedLine<'_>) -> Result<f32, CoverageError> {
    let Some(text) = region.fourth else {
        return Err(input
            .malformed("value", b"", "is missing; expected contig, start, end and value")
            .into());
    };
    let Ok(value) = text.parse::<f32>() else {
        return Err(input.malformed("value", text.as_bytes(), "is not a number").into());
    };
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(CoverageError::Measurement {
        file: path.to_owned(),
        contig: region.contig.to_owned(),
        one_based: region.start.saturating_add(1),
        value: text.to_owned(),
    })
}

/// Intervals on their way to the file; the last one may grow yet.
struct Writing {
    out: BufWriter<File>,
    runs: BTreeMap<u32, (u64, u64)>,
    records: u64,
    open: Option<(u32, Interval)>,
}

impl Writing {
    fn add(&mut self, contig: u32, interval: Interval) -> io::Result<()> {
        self.flush()?;
        self.open = Some((contig, interval));
        self.runs.entry(contig).or_insert((self.records, 0)).1 += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some((_, Interval { start, end, value })) = self.open.take() else { return Ok(()) };
        self.records += 1;
        self.out.write_all([start.to_le_bytes(), end.to_le_bytes(), value.to_le_bytes()].as_flattened())
    }
}
