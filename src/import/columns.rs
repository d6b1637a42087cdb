//! Columns of TSV or CSV with a header, row by row.

use std::path::{Path, PathBuf};

use super::text::fields;
use super::{ImportError, check_names};
use crate::reference::printable;
use crate::variants::{Input, InputError};

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRow {
    /// 1-based line.
    pub line: u64,
    /// The text of each column asked for.
    pub values: Vec<String>,
}

/// The rows of a table.
pub struct TableRows {
    path: PathBuf,
    input: Input,
    text: Vec<u8>,
    number: u64,
    separator: u8,
    places: Vec<usize>,
}

impl TableRows {
    /// Opens a file, plain or compressed, of which `columns` are wanted.
    ///
    /// # Errors
    /// The file cannot be read, has no header, or lacks a column.
    pub fn open(path: &Path, columns: &[&str]) -> Result<Self, ImportError> {
        let (mut input, mut text) = (Input::open(path)?, Vec::new());
        input.read_line(&mut text, usize::MAX)?;
        let (separator, names) = header(&text);
        check_names(path, columns, &names)?;
        let place = |wanted: &&str| names.iter().position(|name| name == wanted);
        let places = columns.iter().filter_map(place).collect();
        Ok(Self { path: path.into(), input, text, number: 1, separator, places })
    }

    /// Reads the next row into `row`; `false` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// The file cannot be read, or a line has too few columns or is no UTF-8.
    pub fn read(&mut self, row: &mut TableRow) -> Result<bool, ImportError> {
        loop {
            if !self.input.read_line(&mut self.text, usize::MAX)? {
                return Ok(false);
            }
            self.number += 1;
            if !self.text.is_empty() {
                break;
            }
        }
        let malformed = |value: &[u8], problem: &'static str| InputError::Malformed {
            path: self.path.clone(),
            unit: "line",
            number: self.number,
            field: "text",
            value: printable(value),
            problem,
        };
        let cells = fields(&self.text, self.separator);
        row.line = self.number;
        row.values.clear();
        for place in &self.places {
            let cell = cells.get(*place).ok_or_else(|| malformed(&self.text, "has too few columns"))?;
            let cell = std::str::from_utf8(cell).map_err(|_| malformed(cell, "is no UTF-8"))?;
            row.values.push(cell.trim().to_owned());
        }
        Ok(true)
    }
}

/// The separator and the names of a header; a byte order mark and a `#` before them are no part of a name.
pub(super) fn header(line: &[u8]) -> (u8, Vec<String>) {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let separator = if line.contains(&b'\t') { b'\t' } else { b',' };
    let name = |name: &[u8]| String::from_utf8_lossy(name).trim_start_matches('#').to_owned();
    (separator, fields(line, separator).into_iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bgzf;

    fn read(bytes: &[u8], columns: &[&str]) -> Result<Vec<TableRow>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        std::fs::write(&path, bytes).unwrap();
        let mut rows = TableRows::open(&path, columns)?;
        let (mut row, mut found) = (TableRow::default(), Vec::new());
        while rows.read(&mut row)? {
            found.push(row.clone());
        }
        Ok(found)
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let row = |line, values: [&str; 2]| TableRow { line, values: values.map(str::to_owned).to_vec() };
        let csv = b"\xef\xbb\xbf#seq,name,class\r\nACGT,\"a,b\", x \r\n\r\nAC,,y\r\n";
        let found = [row(2, ["x", "ACGT"]), row(4, ["y", "AC"])];
        assert_eq!(read(csv, &["class", "seq"]).unwrap(), found);
        let tsv = b"class\tseq\nx\tACGT\n";
        assert_eq!(read(&bgzf(tsv), &["class", "seq"]).unwrap(), found[..1]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_with_its_line() {
        for (text, part) in [
            (b"".as_slice(), "no column `seq`"),
            (b"a,b\n", "no column `seq`; it has a, b"),
            (b"a,seq\n1,A\n2\n", "line 3: text `2` has too few columns"),
            (b"a,seq\n1,\xff\n", "line 2: text"),
        ] {
            let error = read(text, &["seq"]).expect_err("wrong").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
