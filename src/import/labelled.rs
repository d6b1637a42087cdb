//! Variants with what somebody says of them: rows of TSV or CSV with a header, or VCF records with INFO fields.

use std::path::{Path, PathBuf};

use super::columns::header;
use super::text::fields;
use super::{ImportError, check_names, key_columns, refuse_bcf};
use crate::reference::printable;
use crate::variants::{Input, InputError};

/// Columns of a VCF: the key, and INFO.
const VCF: [usize; 4] = [0, 1, 3, 4];
const INFO: usize = 7;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledRow {
    /// 1-based line.
    pub line: u64,
    /// Name of the contig as it stands.
    pub contig: String,
    /// 1-based.
    pub position: u64,
    /// Reference allele as it stands.
    pub reference: String,
    /// Alternate alleles as they stand.
    pub alternates: Vec<String>,
    /// The text of each column asked for; empty where there is none.
    pub values: Vec<String>,
}

/// The rows of a file.
pub struct LabelledRows {
    path: PathBuf,
    input: Input,
    line: Vec<u8>,
    number: u64,
    kind: Kind,
}

enum Kind {
    /// The separator, and the places of the key and of the columns.
    Table { separator: u8, keys: [usize; 4], columns: Vec<usize> },
    /// The INFO fields.
    Vcf { ids: Vec<String> },
}

impl LabelledRows {
    /// Opens a file, plain or compressed, of which `columns` are wanted: columns of a table, or INFO fields.
    ///
    /// # Errors
    /// The file cannot be read, has no header, or lacks a column.
    pub fn open(path: &Path, columns: &[&str]) -> Result<Self, ImportError> {
        let mut input = Input::open(path)?;
        refuse_bcf(path, &mut input)?;
        let (mut line, mut number) = (Vec::new(), 0);
        let mut declared = Vec::new();
        let kind = loop {
            if !input.read_line(&mut line, usize::MAX)? {
                check_names(path, columns, &[])?;
                break Kind::Vcf { ids: Vec::new() };
            }
            number += 1;
            let text = String::from_utf8_lossy(&line);
            if let Some(id) = text.strip_prefix("##INFO=<ID=") {
                declared.push(id.split([',', '>']).next().unwrap_or_default().to_owned());
            }
            if text.starts_with("#CHROM\tPOS\tID\tREF\tALT") {
                check_names(path, columns, &declared)?;
                break Kind::Vcf { ids: columns.iter().map(|id| (*id).to_owned()).collect() };
            }
            if !text.starts_with("##") {
                let (separator, names) = header(&line);
                let keys = key_columns(path, &names)?;
                check_names(path, columns, &names)?;
                let place = |wanted: &&str| names.iter().position(|name| name == wanted);
                break Kind::Table { separator, keys, columns: columns.iter().filter_map(place).collect() };
            }
        };
        Ok(Self { path: path.into(), input, line, number, kind })
    }

    /// Reads the next row into `row`; `false` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no row.
    pub fn read(&mut self, row: &mut LabelledRow) -> Result<bool, ImportError> {
        loop {
            // Samples of a VCF are skipped over.
            let most = if matches!(self.kind, Kind::Vcf { .. }) { INFO + 1 } else { usize::MAX };
            if !self.input.read_line(&mut self.line, most)? {
                return Ok(false);
            }
            self.number += 1;
            if !self.line.is_empty() && !self.line.starts_with(b"#") {
                break;
            }
        }
        let malformed = |field: &'static str, value: &[u8], problem: &'static str| InputError::Malformed {
            path: self.path.clone(),
            unit: "line",
            number: self.number,
            field,
            value: printable(value),
            problem,
        };
        let (cells, keys) = match &self.kind {
            Kind::Table { separator, keys, .. } => (fields(&self.line, *separator), *keys),
            Kind::Vcf { .. } => (self.line.split(|byte| *byte == b'\t').collect(), VCF),
        };
        let cell = |at: usize| {
            cells.get(at).copied().ok_or_else(|| malformed("text", &self.line, "has too few columns"))
        };
        let text = |at: usize| -> Result<String, InputError> {
            let bytes = cell(at)?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(_) => Err(malformed("text", bytes, "is no UTF-8")),
            }
        };
        row.line = self.number;
        row.contig = text(keys[0])?;
        let position = text(keys[1])?;
        row.position = position.parse().map_err(|_| {
            malformed("position", position.as_bytes(), "is no position; a whole number from 1 is due")
        })?;
        row.reference = text(keys[2])?;
        let alternates = text(keys[3])?;
        row.alternates = alternates.split(',').map(str::to_owned).collect();
        row.values.clear();
        match &self.kind {
            Kind::Table { columns, .. } => {
                for at in columns {
                    row.values.push(text(*at)?);
                }
            }
            Kind::Vcf { ids } => {
                let info = text(INFO)?;
                let value = |id: &String| {
                    let own = info.split(';').find_map(|field| field.strip_prefix(id.as_str()));
                    let found = info.split(';').find_map(|field| {
                        let (name, value) = field.split_once('=')?;
                        (name == id).then(|| value.to_owned())
                    });
                    // A flag says that it is there.
                    found.or_else(|| own.filter(|rest| rest.is_empty()).map(|_| "1".to_owned()))
                };
                row.values.extend(ids.iter().map(|id| value(id).unwrap_or_default()));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bgzf;

    fn read(bytes: &[u8], columns: &[&str]) -> Result<Vec<LabelledRow>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        std::fs::write(&path, bytes).unwrap();
        let mut rows = LabelledRows::open(&path, columns)?;
        let (mut row, mut found) = (LabelledRow::default(), Vec::new());
        while rows.read(&mut row)? {
            found.push(row.clone());
        }
        Ok(found)
    }

    #[test]
    fn tables_and_vcf_give_the_same_rows() {
        let row = |line, alternates: &[&str], values: &[&str]| LabelledRow {
            line,
            contig: "17".to_owned(),
            position: 5,
            reference: "A".to_owned(),
            alternates: alternates.iter().map(|text| (*text).to_owned()).collect(),
            values: values.iter().map(|text| (*text).to_owned()).collect(),
        };
        let csv = b"CHROM,POS,REF,ALT,label,tissue\n17,5,A,C,1,\"a,b\"\n\n17,5,A,G,0,\n";
        let found = [row(2, &["C"], &["a,b", "1"]), row(4, &["G"], &["", "0"])];
        assert_eq!(read(csv, &["tissue", "label"]).unwrap(), found);
        let vcf = b"##INFO=<ID=SIG,Number=1>\n##INFO=<ID=F,Number=0>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
                    17\t5\t.\tA\tC,G\t.\t.\tSIGX=0;SIG=Bad;F\n17\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\n";
        let found = [row(4, &["C", "G"], &["Bad", "1"]), row(5, &["C"], &["", ""])];
        assert_eq!(read(&bgzf(vcf), &["SIG", "F"]).unwrap(), found);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_with_its_line() {
        for (text, part) in [
            ("", "no column `class`"),
            ("BCF\x02\x02", "run `bcftools view`"),
            ("CHROM,POS,REF,ALT,label\n", "no column `class`; it has CHROM, POS"),
            ("CHROM,POS,REF,class\n", "no column"),
            ("CHROM,POS,REF,ALT,class\n17,5,A\n", "line 2: text `17,5,A` has too few columns"),
            ("CHROM,POS,REF,ALT,class\n17,x,A,C,1\n", "line 2: position `x`"),
        ] {
            let error = read(text.as_bytes(), &["class"]).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
