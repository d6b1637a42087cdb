//! Which windows of the genome are learned from, stopped by and measured on.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use vestore::{BedLine, Contigs, TextInput};
use vestore_schema::{Assembly, Digest, Region};

use super::error::CoverageError;
use crate::convert::{as_index, narrow};
use crate::dataset::Split;

/// Most windows of a training: one for each 740 bases of a human genome.
pub(super) const MOST_WINDOWS: usize = 1 << 22;
/// Columns that are read.
const COLUMNS: usize = 4;

/// A window of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Index of its contig in the reference.
    pub contig: usize,
    /// Its first base, 0-based.
    pub start: u64,
    /// What it is for.
    pub split: Split,
}

/// The windows of a training: those of different splits share no bases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// In the order of their file, or of the reference.
    pub windows: Vec<Sequence>,
    /// Bases of each.
    pub window: u32,
    /// Windows left out because most of their bases are unknown.
    pub unknown: u64,
    /// Windows left out because they lie across the border of two splits.
    pub across: u64,
    /// Contigs left out because they are shorter than a window.
    pub short: u64,
}

/// What the folds of a file are for: all that are not named are for training.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    /// For validation, such as `fold3`.
    pub validation: Vec<String>,
    /// For testing.
    pub test: Vec<String>,
}

impl Folds {
    /// What a fold is for; none where no folds are named, or the text is not that of a fold.
    fn split(&self, text: &str) -> Option<Split> {
        let names = |folds: &[String]| folds.iter().any(|fold| fold == text);
        if self.validation.is_empty() && self.test.is_empty() {
            None
        } else if names(&self.validation) {
            Some(Split::Validation)
        } else if names(&self.test) {
            Some(Split::Test)
        } else {
            text.starts_with("fold").then_some(Split::Training)
        }
    }
}

impl Sequences {
    /// Reads contig, start, end and split (`train`, `valid` or `test`), as Baskerville writes them to `sequences.bed`.
    /// Each region must be a window.
    ///
    /// # Errors
    /// The file cannot be read, a line is not a window inside a contig of the reference, windows of different splits
    /// overlap, or there are no windows to train on.
    pub fn read_bed(
        file: &Path,
        window: u32,
        folds: &Folds,
        assembly: &Assembly,
    ) -> Result<Self, CoverageError> {
        let mut input = TextInput::open(file)?;
        let mut contigs = Contigs::new(assembly);
        let mut line = Vec::new();
        let (mut windows, mut lines) = (Vec::new(), Vec::new());
        while input.read_line(&mut line, COLUMNS)? {
            let Some(region) = BedLine::parse(&input, &line)? else { continue };
            let number = input.number();
            let invalid = |field, value: String, expected| CoverageError::Window {
                file: file.to_owned(),
                line: number,
                field,
                value,
                expected,
            };
            let Some(contig) = contigs.resolve(region.contig) else {
                let near = assembly.near(region.contig).join(", ");
                let expected = format!("a contig of the reference, such as {near}");
                return Err(invalid("contig", region.contig.to_owned(), expected));
            };
            let length = u64::from(assembly.contig(contig).length);
            if region.end > length {
                let expected = format!("at most {length}, the length of the contig");
                return Err(invalid("end", region.end.to_string(), expected));
            }
            if region.end - region.start != u64::from(window) {
                let expected = format!("start + {window}: a window of the model; use regions of that length");
                return Err(invalid("end", region.end.to_string(), expected));
            }
            let Some(text) = region.fourth.map(str::trim) else {
                let expected = "train, valid or test in the fourth column".to_owned();
                return Err(invalid("split", String::new(), expected));
            };
            let Some(split) = folds.split(text).or_else(|| Split::read(file, number, "split", text).ok())
            else {
                let expected =
                    "train, valid or test; of folds, name those for --validation and --test".to_owned();
                return Err(invalid("split", text.to_owned(), expected));
            };
            if windows.len() == MOST_WINDOWS {
                let expected = format!("at most {MOST_WINDOWS} windows");
                return Err(invalid("line", number.to_string(), expected));
            }
            windows.push(Sequence { contig: as_index(contig.into()), start: region.start, split });
            lines.push(number);
        }
        let read = Self { windows, window, unknown: 0, across: 0, short: 0 };
        read.check_overlaps(file, &lines)?;
        read.check_split(Split::Training, "write `train` into the fourth column of some")?;
        Ok(read)
    }

    /// Refuses windows of different splits that share bases, and windows that are there twice.
    fn check_overlaps(&self, file: &Path, lines: &[u64]) -> Result<(), CoverageError> {
        let mut order: Vec<usize> = (0..self.windows.len()).collect();
        order.sort_by_key(|place| (self.windows[*place].contig, self.windows[*place].start, lines[*place]));
        // The last window of each split.
        let mut last: [Option<usize>; 3] = [None; 3];
        for place in order {
            let here = self.windows[place];
            for before in last.into_iter().flatten() {
                let there = self.windows[before];
                if there.contig != here.contig || here.start >= there.start + u64::from(self.window) {
                    continue;
                }
                let lines = [lines[before], lines[place]];
                if there.split != here.split {
                    let splits = [there.split, here.split];
                    return Err(CoverageError::Overlap { file: file.to_owned(), lines, splits });
                }
                if there.start == here.start {
                    return Err(CoverageError::Twice { file: file.to_owned(), lines });
                }
            }
            last[here.split as usize] = Some(place);
        }
        Ok(())
    }

    /// Refuses windows without any of a split.
    pub(super) fn check_split(&self, split: Split, remedy: &'static str) -> Result<(), CoverageError> {
        if self.of(split).next().is_some() {
            return Ok(());
        }
        Err(CoverageError::NoWindows { split, remedy })
    }

    /// The indices of the windows of a split.
    pub fn of(&self, split: Split) -> impl Iterator<Item = usize> + '_ {
        self.windows
            .iter()
            .enumerate()
            .filter(move |(_, window)| window.split == split)
            .map(|(place, _)| place)
    }

    /// The bases of a window.
    #[must_use]
    pub fn region(&self, window: usize) -> Region {
        let Sequence { contig, start, .. } = self.windows[window];
        let start = narrow(as_index(start));
        Region { contig: narrow(contig), start, end: start + self.window }
    }

    /// What decides the values and what they are for: the windows in their order, and the sequence of their contigs.
    #[must_use]
    pub fn identity(&self, assembly: &Assembly) -> serde_json::Value {
        let mut text = String::new();
        for window in &self.windows {
            let contig = &assembly.contig(narrow(window.contig)).digest;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{contig}\t{}\t{}", window.start, window.split);
        }
        json!({
            "window": self.window,
            "count": self.windows.len(),
            "windows": Digest::of(text.as_bytes()),
        })
    }
}
