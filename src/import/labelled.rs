//! Variants with what somebody says of them: rows of TSV or CSV with a header, or VCF records with INFO fields.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::ImportError;
use super::cell::{one_based, text_cell};
use super::info::{InfoColumn, InfoValues};
use super::keys::KeyColumns;
use super::records::{Cells, Record, Records, malformed};
use super::start::{Layout, Start, column_place};
use super::text::{ID, INFO, VCF, check_alleles, vcf_columns};
use crate::reference::{Reference, ReferenceError};
use crate::variants::{Contigs, HeaderContig};

/// One alternate allele of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledRow {
    /// 1-based line.
    pub line: u64,
    /// Name of the contig as it stands.
    pub contig: String,
    /// As VCF counts.
    pub one_based: u64,
    /// Reference allele as it stands.
    pub reference: String,
    /// Alternate allele as it stands.
    pub alternate: String,
    /// ID of a VCF record; empty of a table.
    pub id: String,
    /// Alternate alleles of the record, whose rows follow each other.
    pub of: usize,
    /// The text of each column asked for; empty where there is none.
    pub values: Vec<String>,
    /// Whether several alternates share one of the values.
    pub shared: bool,
}

/// The rows of a file.
pub struct LabelledRows {
    path: PathBuf,
    records: Records,
    kind: Kind,
    /// Alternates of the record in hand.
    waiting: VecDeque<LabelledRow>,
    /// Of a VCF, those that its header declares.
    contigs: Vec<HeaderContig>,
    cells: Cells,
}

enum Kind {
    /// The places of the key and of the columns.
    Table { layout: Layout, keys: [usize; 4], columns: Vec<usize> },
    /// The INFO fields.
    Vcf { fields: Vec<InfoColumn> },
}

impl LabelledRows {
    /// Opens a file, plain or compressed, of which `columns` are wanted: columns of a table, or INFO fields.
    ///
    /// # Errors
    /// The file cannot be read, has no header, or lacks a column.
    pub fn open(path: &Path, keys: &KeyColumns, columns: &[&str]) -> Result<Self, ImportError> {
        let (mut records, mut contigs) = (Records::open(path, path)?, Vec::new());
        let fits = |names: &[String]| keys.places(path, names).is_ok();
        let kind = match Start::read(&mut records, fits)? {
            Start::Nothing => {
                columns.iter().try_for_each(|name| column_place(path, &[], name).map(drop))?;
                Kind::Vcf { fields: Vec::new() }
            }
            Start::Vcf(header) => {
                keys.check_vcf(path)?;
                contigs.clone_from(&header.contigs);
                let known: Vec<String> = header.infos.iter().map(|info| info.id.clone()).collect();
                let field = |name: &&str| {
                    column_place(path, &known, name)?;
                    InfoColumn::new(path, name, &header)
                };
                Kind::Vcf { fields: columns.iter().map(field).collect::<Result<_, _>>()? }
            }
            Start::Table(layout) => Kind::Table {
                keys: keys.places(path, &layout.names)?,
                columns: columns.iter().map(|name| layout.place(path, name)).collect::<Result<_, _>>()?,
                layout,
            },
        };
        let (waiting, cells) = (VecDeque::new(), Cells::default());
        Ok(Self { path: path.into(), records, kind, waiting, contigs, cells })
    }

    /// Lets `contigs` know what the header of a VCF declares; gives warnings about lengths that are not those of the
    /// reference.
    ///
    /// # Errors
    /// The reference cannot be read.
    pub fn declare(
        &self,
        contigs: &mut Contigs<'_>,
        reference: &mut Reference,
    ) -> Result<Vec<String>, ReferenceError> {
        contigs.declare(&self.path, &self.contigs, Some(reference))
    }

    /// Reads the next alternate allele into `row`; `false` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not a row.
    pub fn read(&mut self, row: &mut LabelledRow) -> Result<bool, ImportError> {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                *row = next;
                return Ok(true);
            }
            let Some(record) = self.records.next()? else { return Ok(false) };
            if record.text.is_empty() || record.text.starts_with(b"#") {
                continue;
            }
            match &self.kind {
                Kind::Table { layout, keys, columns } => {
                    layout.split(&self.path, record.line, record.text, &mut self.cells)?;
                    let cell = |at: usize| self.cells.get(record.text, at);
                    let of = 1 + memchr::memchr_iter(b',', cell(keys[3])).count();
                    let values: Vec<_> =
                        columns.iter().map(|column| InfoValues::listed(cell(*column), of)).collect();
                    expand(&self.path, record, keys.map(cell), b"", &values, &mut self.waiting)?;
                }
                Kind::Vcf { fields } => {
                    let columns = vcf_columns(&self.path, record)?;
                    let alternates = columns[VCF[3]].split(|byte| *byte == b',').count();
                    let mut values = Vec::with_capacity(fields.len());
                    for field in fields {
                        values.push(field.values(&self.path, record.line, columns[INFO], alternates)?);
                    }
                    let keys = VCF.map(|at| columns[at]);
                    expand(&self.path, record, keys, columns[ID], &values, &mut self.waiting)?;
                }
            }
        }
    }
}

/// Appends a row for each alternate allele.
fn expand(
    path: &Path,
    record: Record<'_>,
    keys: [&[u8]; 4],
    id: &[u8],
    values: &[InfoValues<'_>],
    rows: &mut VecDeque<LabelledRow>,
) -> Result<(), ImportError> {
    let line = record.line;
    check_alleles(path, line, keys[2], keys[3])?;
    let text = |bytes| text_cell(path, line, bytes).map(str::to_owned);
    let (contig, reference, alternates) = (text(keys[0])?, text(keys[2])?, text(keys[3])?);
    let id = text(id)?;
    let one_based = one_based(keys[1].trim_ascii()).ok_or_else(|| {
        malformed(path, line, "position", keys[1], "is not a position; expected a whole number from 1")
    })?;
    let of = alternates.split(',').count();
    for (number, alternate) in alternates.split(',').enumerate() {
        let value = |values: &InfoValues<'_>| match values {
            // A flag says that it is there.
            InfoValues::Flag => Ok("1".to_owned()),
            values => text_cell(path, line, values.of(number)).map(str::to_owned),
        };
        rows.push_back(LabelledRow {
            line,
            contig: contig.clone(),
            one_based,
            reference: reference.clone(),
            alternate: alternate.to_owned(),
            id: id.clone(),
            of,
            values: values.iter().map(value).collect::<Result<_, _>>()?,
            shared: of > 1 && values.iter().any(|values| matches!(values, InfoValues::Shared(_))),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bgzf;

    fn read(bytes: &[u8], columns: &[&str]) -> Result<Vec<LabelledRow>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        std::fs::write(&path, bytes).unwrap();
        let mut rows = LabelledRows::open(&path, &KeyColumns::default(), columns)?;
        let (mut row, mut found) = (LabelledRow::default(), Vec::new());
        while rows.read(&mut row)? {
            found.push(row.clone());
        }
        Ok(found)
    }

    fn row(line: u64, alternate: &str, values: &[&str]) -> LabelledRow {
        row_of(line, alternate, values, 1, false)
    }

    fn row_of(line: u64, alternate: &str, values: &[&str], of: usize, shared: bool) -> LabelledRow {
        LabelledRow {
            of,
            shared,
            line,
            contig: "17".to_owned(),
            one_based: 5,
            reference: "A".to_owned(),
            alternate: alternate.to_owned(),
            id: String::new(),
            values: values.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn tables_and_vcf_have_the_same_rows() {
        let csv = b"CHROM,POS,REF,ALT,label,tissue\n17,5,A,C,1,\"a,b\"\n\n17,5.0,A,G,0,\n17,5,A,\"C,G\",\"1,0\",x\n";
        let found = [
            row(2, "C", &["a,b", "1"]),
            row(4, "G", &["", "0"]),
            row_of(5, "C", &["x", "1"], 2, true),
            row_of(5, "G", &["x", "0"], 2, true),
        ];
        assert_eq!(read(csv, &["tissue", "label"]).unwrap(), found);
        let vcf = b"##INFO=<Number=1,ID=SIG>\n##INFO=<ID=F,Number=0>\n##INFO=<ID=R,Number=R>\n\
                    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
                    17\t5\t.\tA\tC,G\t.\t.\tSIGX=0;SIG=Bad;F;R=9,1,0\n17\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\n";
        let with_id = |row: LabelledRow| LabelledRow { id: ".".to_owned(), ..row };
        let found = [
            row_of(5, "C", &["Bad", "1", "1"], 2, true),
            row_of(5, "G", &["Bad", "1", "0"], 2, true),
            row(6, "C", &["", "", ""]),
        ]
        .map(with_id);
        assert_eq!(read(&bgzf(vcf), &["SIG", "F", "R"]).unwrap(), found);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_with_its_line() {
        for (text, part) in [
            ("", "no column `class`"),
            ("BCF\x02\x02", "run `bcftools view`"),
            ("CHROM,POS,REF,ALT,label\n", "no column `class`; it has CHROM, POS"),
            ("CHROM,POS,REF,class\n", "no column could be the alternate"),
            ("CHROM,POS,REF,ALT,class\n17,5,A\n", "line 2: 3 columns; the header has 5"),
            ("CHROM,POS,REF,ALT,class\n17,x,A,C,1\n", "line 2: position `x`"),
            ("CHROM,POS,REF,ALT,class\n17,5.5,A,C,1\n", "line 2: position `5.5`"),
        ] {
            let error = read(text.as_bytes(), &["class"]).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
