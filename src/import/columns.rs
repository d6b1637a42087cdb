//! Columns of TSV or CSV with a header, row by row.

use std::path::{Path, PathBuf};

use super::ImportError;
use super::records::{Cells, Records, malformed};
use super::start::{Layout, Start, column_place};

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
    records: Records,
    layout: Layout,
    places: Vec<usize>,
    cells: Cells,
}

impl TableRows {
    /// Opens a file, plain or compressed, of which `columns` are wanted.
    ///
    /// # Errors
    /// The file cannot be read, has no header, or lacks a column.
    pub fn open(path: &Path, columns: &[&str]) -> Result<Self, ImportError> {
        let mut records = Records::open(path, path)?;
        let fits = |names: &[String]| columns.iter().all(|name| column_place(path, names, name).is_ok());
        let layout = match Start::read(&mut records, fits)? {
            Start::Table(layout) => layout,
            Start::Vcf(_) | Start::Nothing => Layout { separator: b'\t', names: Vec::new() },
        };
        let places = columns.iter().map(|name| layout.place(path, name)).collect::<Result<_, _>>()?;
        Ok(Self { path: path.into(), records, layout, places, cells: Cells::default() })
    }

    /// Reads the next row into `row`; `false` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// The file cannot be read, or a row has another number of columns than the header, or is not UTF-8.
    pub fn read(&mut self, row: &mut TableRow) -> Result<bool, ImportError> {
        let record = loop {
            match self.records.next()? {
                None => return Ok(false),
                Some(record) if record.text.is_empty() => {}
                Some(record) => break record,
            }
        };
        self.layout.split(&self.path, record.line, record.text, &mut self.cells)?;
        row.line = record.line;
        row.values.clear();
        for place in &self.places {
            let cell = self.cells.get(record.text, *place);
            let text = std::str::from_utf8(cell)
                .map_err(|_| malformed(&self.path, record.line, "text", cell, "is not UTF-8"))?;
            row.values.push(text.trim().to_owned());
        }
        Ok(true)
    }
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

    fn row(line: u64, values: [&str; 2]) -> TableRow {
        TableRow { line, values: values.map(str::to_owned).to_vec() }
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let csv = b"\xef\xbb\xbf#seq,name,class\r\nACGT,\"a,b\", x \r\n\r\nAC,,y\r\n";
        let found = [row(2, ["x", "ACGT"]), row(4, ["y", "AC"])];
        assert_eq!(read(csv, &["class", "seq"]).unwrap(), found);
        let tsv = b"class\tseq\nx\tACGT\n";
        assert_eq!(read(&bgzf(tsv), &["class", "seq"]).unwrap(), found[..1]);
    }

    #[test]
    fn comments_before_the_header_and_quotes_are_understood() {
        let found = [row(4, ["x \"y\"", "ACGT"])];
        let tsv = b"# made, by x\n#\n#seq\tclass\nACGT\tx \"y\"\n";
        assert_eq!(read(tsv, &["class", "seq"]).unwrap(), found);
        let csv = b"##a\n#b\nseq,class\nACGT,\"x \"\"y\"\"\"\n";
        assert_eq!(read(csv, &["class", "seq"]).unwrap(), found);
        // Tabs within quotes separate nothing, nor do commas in a table of tabs.
        assert_eq!(
            read(b"\n\n\"a\tb\",seq,class\n\"1\n\",ACGT,\"x \"\"y\"\"\"\n", &["class", "seq"]).unwrap(),
            found
        );
        assert_eq!(read(b"\n\nseq\ta,class\tclass\nACGT\t,,\tx \"y\"\n", &["class", "seq"]).unwrap(), found);
        // A class may begin with a hash.
        assert_eq!(read(b"class\tseq\n#1\tA\n", &["class", "seq"]).unwrap(), [row(2, ["#1", "A"])]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_with_its_line() {
        for (text, part) in [
            (b"".as_slice(), "no column `seq`"),
            (b"a,b\n", "no column `seq`; it has a, b"),
            (b"a,seq\n1,A\n2\n", "line 3: 1 column; the header has 2"),
            (b"a,seq\n1,A,\n", "line 2: 3 columns; the header has 2"),
            (b"a\tseq\n1\tA\t\n", "line 2: 3 columns; the header has 2"),
            (b"a,seq,seq\n1,A,C\n", "column `seq` twice"),
            (b"a,seq\n1,\xff\n", "line 2: text"),
        ] {
            let error = read(text, &["seq"]).expect_err("wrong").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
