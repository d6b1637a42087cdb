//! Records of a text file: lines, or several lines where a quoted cell of a CSV holds line ends.

use std::path::{Path, PathBuf};

use memchr::{memchr, memchr_iter, memchr2};

use crate::reference::printable;
use crate::variants::{Input, InputError};

/// Bytes of lines that are read at once.
pub(super) const CHUNK: usize = 4 << 20;
/// The most bytes of a record that spans lines.
const LONGEST_SPAN: usize = 1 << 20;

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// 1-based line that it begins on.
    pub(super) line: u64,
    /// Without its line end.
    pub(super) text: &'a [u8],
}

/// Reads records one after the other.
pub(super) struct Records {
    path: PathBuf,
    input: Input,
    /// Whole lines, from `at` on not yet handed out.
    chunk: Vec<u8>,
    at: usize,
    /// 1-based line that the next record begins on.
    line: u64,
    /// Whether quotes may hold separators and line ends.
    quoted: bool,
}

impl Records {
    /// Opens the text file at `place`; messages call it `path`.
    pub(super) fn open(path: &Path, place: &Path) -> Result<Self, InputError> {
        Self::of(if place == Path::new("-") { Input::open(place)? } else { Input::open_as(path, place)? })
    }

    /// Those of an open input.
    pub(super) fn of(mut input: Input) -> Result<Self, InputError> {
        let path = input.path().to_owned();
        if input.begins_with(b"BCF")? {
            return Err(InputError::Malformed {
                path,
                unit: "line",
                number: 1,
                field: "text",
                value: "BCF".to_owned(),
                problem: "begins a BCF file; scores and labels come from VCF or tables, so run `bcftools view` on it",
            });
        }
        Ok(Self { path, input, chunk: Vec::new(), at: 0, line: 1, quoted: false })
    }

    /// Whether quotes, from here on, are those of a CSV.
    pub(super) fn quote_if(&mut self, quoted: bool) {
        self.quoted = quoted;
    }

    /// The next line, which is not yet taken.
    pub(super) fn peek(&mut self) -> Result<Option<&[u8]>, InputError> {
        if !self.fill()? {
            return Ok(None);
        }
        let rest = &self.chunk[self.at..];
        Ok(Some(without_carriage_return(&rest[..memchr(b'\n', rest).unwrap_or(rest.len())])))
    }

    /// Records that are read already and not yet taken, at most `most` of them.
    pub(super) fn sample(&self, most: usize) -> impl Iterator<Item = Record<'_>> {
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let mut line = self.line;
        std::iter::from_fn(move || {
            let end = record_end(rest, self.quoted).filter(|_| !rest.is_empty())?;
            let record = Record { line, text: without_carriage_return(&rest[..end]) };
            line += 1 + memchr_iter(b'\n', &rest[..end]).count() as u64;
            rest = rest.get(end + 1..).unwrap_or_default();
            Some(record)
        })
        .take(most)
    }

    /// Takes the next record; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a quote is not closed.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, InputError> {
        if !self.fill()? {
            return Ok(None);
        }
        let end = loop {
            if let Some(end) = record_end(&self.chunk[self.at..], self.quoted) {
                break self.at + end;
            }
            self.chunk.drain(..self.at);
            self.at = 0;
            let mut more = Vec::new();
            if self.chunk.len() > LONGEST_SPAN || !self.input.read_lines(&mut more, CHUNK)? {
                let problem = "has a quote that is not closed within 1 MiB; double quotes that are text, and close others";
                let line = memchr(b'\n', &self.chunk).unwrap_or(self.chunk.len());
                return Err(malformed(&self.path, self.line, "text", &self.chunk[..line], problem));
            }
            self.chunk.append(&mut more);
        };
        let (start, line) = (self.at, self.line);
        let text = &self.chunk[start..end];
        self.at = end + 1;
        self.line += 1 + if self.quoted { memchr_iter(b'\n', text).count() as u64 } else { 0 };
        Ok(Some(Record { line, text: without_carriage_return(text) }))
    }

    /// Whether there is more.
    fn fill(&mut self) -> Result<bool, InputError> {
        if self.at < self.chunk.len() {
            return Ok(true);
        }
        self.at = 0;
        self.input.read_lines(&mut self.chunk, CHUNK)
    }
}

/// Where the record that `rest` begins with ends; `None` when a quote is still open.
fn record_end(rest: &[u8], quoted: bool) -> Option<usize> {
    let line = memchr(b'\n', rest).unwrap_or(rest.len());
    if !quoted || memchr(b'"', &rest[..line]).is_none() {
        return Some(line);
    }
    let mut at = 0;
    loop {
        if rest.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += memchr(b'"', &rest[at..])? + 1;
                if rest.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        match memchr2(b',', b'\n', &rest[at..]) {
            None => return Some(rest.len()),
            Some(found) if rest[at + found] == b'\n' => return Some(at + found),
            Some(found) => at += found + 1,
        }
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The error of a part of a line.
pub(super) fn malformed(
    path: &Path,
    line: u64,
    field: &'static str,
    value: &[u8],
    problem: &'static str,
) -> InputError {
    InputError::Malformed {
        path: path.into(),
        unit: "line",
        number: line,
        field,
        value: printable(value),
        problem,
    }
}

/// The cells of a record in hand.
#[derive(Default)]
pub(super) struct Cells {
    /// Where each lies: in the record, or in `unquoted`.
    places: Vec<(usize, usize)>,
    /// The text of all cells when some were quoted.
    unquoted: Vec<u8>,
    any_quoted: bool,
}

impl Cells {
    /// Splits `record`. Only commas separate quoted cells; with tabs, a quote is text.
    pub(super) fn split(&mut self, record: &[u8], separator: u8) -> Result<(), &'static str> {
        self.places.clear();
        self.any_quoted = separator == b',' && memchr(b'"', record).is_some();
        if self.any_quoted {
            return self.split_quoted(record);
        }
        let mut start = 0;
        for at in memchr_iter(separator, record) {
            self.places.push((start, at));
            start = at + 1;
        }
        self.places.push((start, record.len()));
        Ok(())
    }

    /// As RFC 4180 says: a cell that begins with a quote ends with one, and within it two are one.
    fn split_quoted(&mut self, record: &[u8]) -> Result<(), &'static str> {
        self.unquoted.clear();
        let mut at = 0;
        loop {
            let start = self.unquoted.len();
            if record.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let end = memchr(b'"', &record[at..]).ok_or("has a quote that is not closed")?;
                    self.unquoted.extend_from_slice(&record[at..at + end]);
                    at += end + 1;
                    if record.get(at) != Some(&b'"') {
                        break;
                    }
                    self.unquoted.push(b'"');
                    at += 1;
                }
                if record.get(at).is_some_and(|byte| *byte != b',') {
                    return Err("has text behind a closing quote; double quotes that are text");
                }
            } else {
                let end = memchr(b',', &record[at..]).map_or(record.len(), |end| at + end);
                self.unquoted.extend_from_slice(&record[at..end]);
                at = end;
            }
            self.places.push((start, self.unquoted.len()));
            if at == record.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The cell at a place that is there, of the record that was split.
    pub(super) fn get<'a>(&'a self, record: &'a [u8], place: usize) -> &'a [u8] {
        let (start, end) = self.places[place];
        &(if self.any_quoted { self.unquoted.as_slice() } else { record })[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    fn records(text: &[u8], quoted: bool) -> Result<Vec<(u64, String)>, InputError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, text).unwrap();
        let mut records = Records::open(&path, &path)?;
        if quoted {
            records.quote_if(true);
        }
        let mut found = Vec::new();
        while let Some(record) = records.next()? {
            found.push((record.line, String::from_utf8(record.text.to_vec()).unwrap()));
        }
        Ok(found)
    }

    fn cells(record: &str, separator: u8) -> Vec<String> {
        let mut cells = Cells::default();
        cells.split(record.as_bytes(), separator).unwrap();
        let text = |at| String::from_utf8(cells.get(record.as_bytes(), at).to_vec()).unwrap();
        (0..cells.len()).map(text).collect()
    }

    #[test]
    fn quoted_cells_hold_separators_quotes_and_line_ends() {
        let text = b"a,\"b\r\nc\",d\r\n\n1,\"x \"\"y\"\"\",2\n5\" gun,1";
        let found = records(text, true).unwrap();
        let lines: Vec<u64> = found.iter().map(|record| record.0).collect();
        assert_eq!(lines, [1, 3, 4, 5]);
        assert_eq!(cells(&found[0].1, b','), ["a", "b\r\nc", "d"]);
        assert_eq!(cells(&found[2].1, b','), ["1", "x \"y\"", "2"]);
        assert_eq!(cells(&found[3].1, b','), ["5\" gun", "1"]);
        assert_eq!(cells("\"\",,\"\"", b','), ["", "", ""]);
        // With tabs a quote is text.
        assert_eq!(cells("a\t\"b\tc\"", b'\t'), ["a", "\"b", "c\""]);
        assert_eq!(records(b"a\t\"b\nc", false).unwrap().len(), 2);
    }

    #[test]
    fn quotes_that_are_not_closed_are_told_with_their_line() {
        let error = records(b"a,b\nc,\"d\ne,f\n", true).unwrap_err().to_string();
        assert!(error.contains("line 2: text `c,\\\"d` has a quote that is not closed"), "{error}");
        let long = [b"a,\"".as_slice(), &b"x\n".repeat(6 << 20)].concat();
        assert!(records(&long, true).unwrap_err().to_string().contains("line 1"), "bounded");
        assert!(Cells::default().split(b"\"a\"b,c", b',').unwrap_err().contains("behind a closing quote"));
    }

    #[test]
    fn what_a_csv_writer_writes_is_read_back() {
        let mut random = Random::new(4);
        let mut rows: Vec<Vec<String>> = Vec::new();
        for _ in 0..2000 {
            let cell = |random: &mut Random| -> String {
                (0..random.below(6)).map(|_| b"a\",\n b"[random.below(6) as usize] as char).collect()
            };
            rows.push((0..=random.below(4)).map(|_| cell(&mut random)).collect());
        }
        // A row of one empty cell is an empty line.
        rows.retain(|row| row.len() > 1 || !row[0].is_empty());
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let text: String =
            rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect();
        let found: Vec<Vec<String>> =
            records(text.as_bytes(), true).unwrap().iter().map(|record| cells(&record.1, b',')).collect();
        assert_eq!(found, rows);
    }
}
