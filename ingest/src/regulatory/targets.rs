//! The table of a head's targets, `targets.txt` of the models' authors: what each output predicts, how its training data
//! were transformed, and which output is the other strand of the same experiment.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;
use thiserror::Error;
use vestore_schema::{Digest, MAX_TARGETS, is_target_name};

use crate::convert::{as_index, narrow};

/// Most bytes of a table; the published ones have less than one million.
const MOST_BYTES: u64 = 1 << 28;

/// Why a table of targets cannot be used.
#[derive(Debug, Error)]
pub enum TargetsFileError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a plain text file of a sensible size.
    #[error("not a table of targets: `{}` {found}; expected {TABLE}", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A column is missing.
    #[error("`{}` has no column `{column}`; expected {TABLE}", file.display())]
    Column {
        /// The file.
        file: PathBuf,
        /// Its name.
        column: &'static str,
    },
    /// A value that cannot be.
    #[error("`{}`, line {line}: invalid {column} `{}`; expected {expected}", file.display(), value.escape_debug())]
    Value {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// As written.
        value: String,
        /// What could stand there.
        expected: String,
    },
}

/// What a table is, in messages.
const TABLE: &str = "tab-separated text with the columns of Borzoi's targets.txt: index, identifier, file, clip, \
                     clip_soft, scale, sum_stat, strand_pair, description";

/// A target of a head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) identifier: String,
    pub(crate) description: String,
    /// Where values were compressed in training; none where they were not.
    pub(crate) clip_soft: Option<f64>,
    /// What values were multiplied by.
    pub(crate) scale: f64,
    /// Whether a power was taken of values.
    pub(crate) root: bool,
    /// The index of the other strand, or its own.
    pub(crate) pair: u32,
    /// What is read only to train on measurements, as written; empty where the table lacks the column.
    pub(crate) file: String,
    pub(crate) clip: String,
    pub(crate) sum_stat: String,
}

/// The targets of a head, in the order of its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetTable {
    pub(crate) targets: Vec<Target>,
    digest: Digest,
}

/// Columns beside the identifier that decide numbers. Models without transforms or strand pairs need none of them.
const NUMERIC: [&str; 4] = ["clip_soft", "scale", "sum_stat", "strand_pair"];

impl TargetTable {
    /// Reads a table; all columns that decide numbers must be there where `numbers` are needed.
    ///
    /// # Errors
    /// When it cannot be read, or a line or value is not one of such a table.
    pub fn read(file: &Path, numbers: bool) -> Result<Self, TargetsFileError> {
        Self::parse(&text(file)?, file, numbers)
    }

    fn parse(text: &str, file: &Path, numbers: bool) -> Result<Self, TargetsFileError> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let place = |name: &str| header.iter().position(|column| *column == name);
        let missing = |column| TargetsFileError::Column { file: file.to_owned(), column };
        let identifier = place("identifier").ok_or_else(|| missing("identifier"))?;
        let [clip_soft, scale, sum_stat, strand_pair] = NUMERIC.map(place);
        if numbers && let Some(column) = NUMERIC.into_iter().find(|column| place(column).is_none()) {
            return Err(missing(column));
        }
        let index = place("").or_else(|| place("index"));
        let [description, file_name, clip] = ["description", "file", "clip"].map(place);
        let mut targets = Vec::new();
        for (number, line) in lines.enumerate() {
            let cells = Cells { file, line: number + 2, texts: line.split('\t').collect() };
            cells.check_count(header.len())?;
            if let Some(index) = index
                && cells.at(index) != number.to_string()
            {
                return Err(cells.invalid(
                    "index",
                    index,
                    format!("{number}, the targets in the head's order"),
                ));
            }
            let name = cells.at(identifier);
            if !is_target_name(name) {
                return Err(cells.invalid(
                    "identifier",
                    identifier,
                    "a name of at most 256 bytes".to_owned(),
                ));
            }
            if number >= as_index(MAX_TARGETS.into()) {
                return Err(cells.invalid(
                    "identifier",
                    identifier,
                    format!("at most {MAX_TARGETS} targets"),
                ));
            }
            let positive = |column, place: Option<usize>| cells.positive(column, place);
            let text = |place: Option<usize>| place.map_or("", |place| cells.at(place)).to_owned();
            targets.push(Target {
                identifier: name.to_owned(),
                description: text(description),
                clip_soft: positive("clip_soft", clip_soft)?,
                scale: positive("scale", scale)?.unwrap_or(1.0),
                root: sum_stat.is_some_and(|place| cells.at(place).contains("_sqrt")),
                pair: match strand_pair {
                    None => narrow(number),
                    Some(place) => cells.index("strand_pair", place)?,
                },
                file: text(file_name),
                clip: text(clip),
                sum_stat: text(sum_stat),
            });
        }
        let last = narrow(targets.len());
        for (number, target) in targets.iter().enumerate() {
            let back = targets.get(as_index(target.pair.into())).map(|other| as_index(other.pair.into()));
            if back != Some(number) {
                return Err(TargetsFileError::Value {
                    file: file.to_owned(),
                    line: number + 2,
                    column: "strand_pair",
                    value: target.pair.to_string(),
                    expected: format!("the index, below {last}, of a target whose strand_pair is {number}"),
                });
            }
        }
        if targets.is_empty() {
            return Err(TargetsFileError::NotText { file: file.to_owned(), found: "lists no targets" });
        }
        let mut seen = HashSet::new();
        if let Some((number, name)) =
            names_of(&targets).iter().enumerate().find(|(_, name)| !seen.insert(*name))
        {
            return Err(TargetsFileError::Value {
                file: file.to_owned(),
                line: number + 2,
                column: "identifier",
                value: name.clone(),
                expected: "another name than that of a repeated identifier with its index".to_owned(),
            });
        }
        let line = |target: &Target| {
            json!([
                target.identifier,
                clip_soft.and(target.clip_soft),
                scale.map(|_| target.scale),
                sum_stat.map(|_| target.root),
                strand_pair.map(|_| target.pair)
            ])
        };
        let digest = Digest::of_json(&json!(targets.iter().map(line).collect::<Vec<_>>()));
        Ok(Self { targets, digest })
    }

    /// Targets that it lists.
    #[must_use]
    pub fn count(&self) -> u32 {
        narrow(self.targets.len())
    }

    /// SHA-256 of all that decides numbers and names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The names of targets: their identifiers, with `#` and the index where several have the same.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        names_of(&self.targets)
    }
}

/// The names of targets: identifiers, with `#` and the index where several have the same.
fn names_of(targets: &[Target]) -> Vec<String> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for target in targets {
        *seen.entry(&target.identifier).or_default() += 1;
    }
    let name = |(number, target): (usize, &Target)| match seen[target.identifier.as_str()] {
        1 => target.identifier.clone(),
        _ => format!("{}#{number}", target.identifier),
    };
    targets.iter().enumerate().map(name).collect()
}

/// The text of a plain file.
fn text(file: &Path) -> Result<String, TargetsFileError> {
    let io = |source| TargetsFileError::Io { file: file.to_owned(), source };
    let not = |found| TargetsFileError::NotText { file: file.to_owned(), found };
    // Asked before it is opened: opening a pipe would wait.
    if !std::fs::metadata(file).map_err(io)?.is_file() {
        return Err(not("is not a plain file"));
    }
    let mut bytes = Vec::new();
    File::open(file).map_err(io)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(not("is larger than 256 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| not("is not UTF-8 text"))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// A line of the table.
struct Cells<'a> {
    file: &'a Path,
    line: usize,
    texts: Vec<&'a str>,
}

impl Cells<'_> {
    fn at(&self, place: usize) -> &str {
        self.texts[place]
    }

    fn check_count(&self, count: usize) -> Result<(), TargetsFileError> {
        if self.texts.len() == count {
            return Ok(());
        }
        Err(TargetsFileError::Value {
            file: self.file.to_owned(),
            line: self.line,
            column: "line",
            value: self.texts.join("\t").chars().take(200).collect(),
            expected: format!("{count} cells separated by tabs, as in the header"),
        })
    }

    fn invalid(&self, column: &'static str, place: usize, expected: String) -> TargetsFileError {
        let (file, value) = (self.file.to_owned(), self.at(place).to_owned());
        TargetsFileError::Value { file, line: self.line, column, value, expected }
    }

    fn positive(&self, column: &'static str, place: Option<usize>) -> Result<Option<f64>, TargetsFileError> {
        let Some(place) = place else { return Ok(None) };
        positive(self.at(place)).map_err(|expected| self.invalid(column, place, expected.to_owned()))
    }

    fn index(&self, column: &'static str, place: usize) -> Result<u32, TargetsFileError> {
        self.at(place).parse().map_err(|_| self.invalid(column, place, "the index of a target".to_owned()))
    }
}

impl Target {
    /// The limit that measurements are cut at.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn clip(&self) -> Result<Option<f64>, &'static str> {
        positive(&self.clip)
    }
}

/// A positive number; none where the cell is empty, as pandas writes a missing one.
///
/// # Errors
/// What was expected.
fn positive(cell: &str) -> Result<Option<f64>, &'static str> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    // Computed with in float32.
    let usable = |number: &f64| (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(number);
    cell.parse::<f64>().ok().filter(usable).map(Some).ok_or("a positive number")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription";

    fn table(lines: &[&str]) -> Result<TargetTable, String> {
        let text = format!("{HEADER}\n{}\n", lines.join("\n"));
        TargetTable::parse(&text, Path::new("t"), true).map_err(|error| error.to_string())
    }

    const PAIR: [&str; 3] = [
        "0\tA+\tf\t1\t0.5\t2\tsum_sqrt\t1\tRNA:x",
        "1\tA-\tf\t1\t0.5\t2\tsum_sqrt\t0\tRNA:x",
        "2\tB\tf\t1\t\t1.0\tsum\t2\tATAC:y",
    ];

    #[test]
    fn a_table_is_read_as_published() {
        let read = table(&PAIR).expect("a table");
        assert_eq!(read.names(), ["A+", "A-", "B"]);
        let first = &read.targets[0];
        assert_eq!((first.clip_soft, first.scale, first.root, first.pair), (Some(0.5), 2.0, true, 1));
        assert_eq!((read.targets[2].clip_soft, read.targets[2].root), (None, false));
        // What decides no number is not part of the digest; what does, is.
        let described =
            table(&[PAIR[0], PAIR[1], "2\tB\telsewhere\t9\t\t1\tsum\t2\tother"]).expect("a table");
        assert_eq!(read.digest(), described.digest());
        let scaled = table(&[PAIR[0], PAIR[1], "2\tB\tf\t1\t\t1.5\tsum\t2\tATAC:y"]).expect("a table");
        assert_ne!(read.digest(), scaled.digest());
    }

    #[test]
    fn repeated_identifiers_have_their_index() {
        let read = table(&["0\tA\tf\t1\t1\t1\tsum\t0\t", "1\tA\tf\t1\t1\t1\tsum\t1\t"]).expect("a table");
        assert_eq!(read.names(), ["A#0", "A#1"]);
    }

    #[test]
    fn malformed_tables_are_refused_with_line_and_value() {
        for (lines, told) in [
            (&["0\tA\tf\t1\t1\t1\tsum\t1\t"][..], "line 2: invalid strand_pair `1`"),
            (&["0\tA\tf\t1\tx\t1\tsum\t0\t"], "line 2: invalid clip_soft `x`"),
            (&["0\tA\tf\t1\t1\t-2\tsum\t0\t"], "line 2: invalid scale `-2`"),
            (&["0\tA\tf\t1\t1\t1\tsum\tself\t"], "line 2: invalid strand_pair `self`"),
            (&["7\tA\tf\t1\t1\t1\tsum\t0\t"], "line 2: invalid index `7`"),
            (&["0\tA\tf\t1\t1\t1e-60\tsum\t0\t"], "line 2: invalid scale `1e-60`"),
            (
                &["0\tA\tf\t1\t1\t1\tsum\t0\t", "1\tA\tf\t1\t1\t1\tsum\t1\t", "2\tA#0\tf\t1\t1\t1\tsum\t2\t"],
                "line 4: invalid identifier `A#0`",
            ),
            (&["0\t\tf\t1\t1\t1\tsum\t0\t"], "line 2: invalid identifier ``"),
            (&[PAIR[0], PAIR[1], "2\tB"], "line 4: invalid line"),
            (&[PAIR[0], "1\tA-\tf\t1\t1\t1\tsum\t1\t"], "line 2: invalid strand_pair `1`"),
        ] {
            let error = table(lines).expect_err("a refusal");
            assert!(error.contains(told), "{error}");
        }
        let parse = |text: &str, numbers| TargetTable::parse(text, Path::new("t"), numbers);
        let short = "index\tidentifier\tdescription\n0\tA\tDNASE\n";
        assert!(parse(short, true).unwrap_err().to_string().contains("no column `clip_soft`"));
        assert_eq!(parse(short, false).expect("names alone").names(), ["A"]);
        assert!(parse("", false).is_err() && parse(&format!("{HEADER}\n"), true).is_err());
    }

    /// Where it is at hand.
    #[test]
    fn the_published_table_is_read() {
        let shared = std::env::var_os("VESTORE_SHARED")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
        let file = shared.join("data/regulatory/borzoi_human.targets.txt");
        if !file.exists() {
            return;
        }
        let table = TargetTable::read(&file, true).expect("a table");
        assert_eq!(table.count(), 7611);
        let paired: Vec<(u32, &Target)> =
            (0..).zip(&table.targets).filter(|(number, target)| target.pair != *number).collect();
        assert_eq!(paired.len(), 2452);
        assert!(paired.iter().all(|(number, target)| target.pair.abs_diff(*number) == 1));
        let names = table.names();
        assert_eq!((names[0].as_str(), names[7610].contains('#')), ("CNhs10608+", false));
        assert_eq!(table.targets.iter().filter(|target| target.root).count(), 1543);
    }
}
