//! Rows of TSV, CSV and VCF.

use std::path::{Path, PathBuf};

use arrow::array::{Float32Builder, StringBuilder};
use memchr::memchr;

use super::{Block, ImportError, key_columns, refuse_bcf};
use crate::reference::printable;
use crate::variants::{Input, InputError};

/// Bytes of lines of one block.
const CHUNK: usize = 4 << 20;
/// Lines that decide which columns hold numbers, when nobody names them.
const SAMPLE: usize = 1000;
/// Columns of a VCF.
const VCF: [usize; 4] = [0, 1, 3, 4];
const INFO: usize = 7;

enum Kind {
    /// Columns separated by a tab or comma; the places of the key and of the scores.
    Table {
        separator: u8,
        keys: [usize; 4],
        scores: Vec<usize>,
    },
    Vcf,
}

pub(super) struct TextBlocks {
    path: PathBuf,
    input: Input,
    kind: Kind,
    pub(super) columns: Vec<(String, String)>,
    /// Lines read already, from `at` on not yet used.
    lines: Vec<u8>,
    at: usize,
    number: u64,
}

impl TextBlocks {
    pub(super) fn open(path: &Path, columns: &[(String, String)]) -> Result<Self, ImportError> {
        let mut input = Input::open(path)?;
        refuse_bcf(path, &mut input)?;
        let mut lines = Vec::new();
        input.read_lines(&mut lines, CHUNK)?;
        // Some editors put a byte order mark before the text.
        let at = if lines.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut blocks = Self {
            path: path.into(),
            input,
            kind: Kind::Vcf,
            columns: columns.to_vec(),
            lines,
            at,
            number: 0,
        };
        let mut declared = Vec::new();
        loop {
            let line = blocks.line().ok_or_else(|| ImportError::NoScores { path: path.into() })?;
            let text = String::from_utf8_lossy(line).into_owned();
            if text.starts_with("##") {
                if let Some(id) = number_field(&text) {
                    declared.push((id.clone(), id));
                }
                continue;
            }
            if text.starts_with("#CHROM\tPOS\tID\tREF\tALT") {
                if blocks.columns.is_empty() {
                    blocks.columns = declared;
                }
                break;
            }
            blocks.table(&text)?;
            break;
        }
        if blocks.columns.is_empty() {
            return Err(ImportError::NoScores { path: path.into() });
        }
        Ok(blocks)
    }

    /// Reads the line of column names of a table.
    fn table(&mut self, header: &str) -> Result<(), ImportError> {
        let separator = if header.contains('\t') { b'\t' } else { b',' };
        let names: Vec<String> = fields(header.as_bytes(), separator)
            .into_iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('#').to_owned())
            .collect();
        let keys = key_columns(&self.path, &names)?;
        if self.columns.is_empty() {
            // A file may end with its header, without a line end.
            let rest = self.lines.get(self.at..).unwrap_or_default();
            let sample: Vec<Vec<&[u8]>> =
                rest.split(|byte| *byte == b'\n').take(SAMPLE).map(|line| fields(line, separator)).collect();
            let numbers = (0..names.len()).filter(|index| {
                let cells = || sample.iter().filter_map(|fields| fields.get(*index)).map(|cell| parse(cell));
                // Numbers and missing values only, and at least one number.
                !keys.contains(index)
                    && cells().all(|value| value.is_some())
                    && cells().flatten().any(|value| !value.is_nan())
            });
            self.columns = numbers.map(|index| (names[index].clone(), names[index].clone())).collect();
        }
        let place = |from: &String| {
            names.iter().position(|name| name == from).ok_or_else(|| ImportError::NoColumn {
                path: self.path.clone(),
                wanted: format!("`{from}`"),
                known: names.clone(),
            })
        };
        let scores = self.columns.iter().map(|(_, from)| place(from)).collect::<Result<_, _>>()?;
        self.kind = Kind::Table { separator, keys, scores };
        Ok(())
    }

    /// The next line of what is read already, without its end.
    fn line(&mut self) -> Option<&[u8]> {
        if self.at >= self.lines.len() {
            return None;
        }
        let end = memchr(b'\n', &self.lines[self.at..]).map_or(self.lines.len(), |end| self.at + end);
        let line = &self.lines[self.at..end];
        self.at = end + 1;
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, ImportError> {
        if self.at >= self.lines.len() {
            self.at = 0;
            if !self.input.read_lines(&mut self.lines, CHUNK)? {
                self.lines.clear();
                return Ok(None);
            }
        }
        let mut rows = Rows::new(self.columns.len());
        let ids: Vec<Vec<u8>> = self.columns.iter().map(|(_, from)| from.clone().into_bytes()).collect();
        let mut values: Vec<&[u8]> = Vec::new();
        let lines = std::mem::take(&mut self.lines);
        let mut at = self.at;
        while at < lines.len() {
            let end = memchr(b'\n', &lines[at..]).map_or(lines.len(), |end| at + end);
            let line = &lines[at..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at = end + 1;
            self.number += 1;
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = Place { path: &self.path, number: self.number };
            match &self.kind {
                Kind::Table { separator, keys, scores } => {
                    let fields = fields(line, *separator);
                    let field = |index: usize, name: &'static str| {
                        fields
                            .get(index)
                            .copied()
                            .ok_or_else(|| place.malformed(name, line, "has too few columns"))
                    };
                    values.clear();
                    for score in scores {
                        values.push(field(*score, "text")?);
                    }
                    rows.key(&place, keys.map(|key| fields.get(key).copied().unwrap_or_default()))?;
                    rows.alleles(field(keys[2], "text")?, field(keys[3], "text")?, &place)?;
                    rows.values(&place, values.iter().copied())?;
                }
                Kind::Vcf => {
                    let fields: Vec<&[u8]> = line.splitn(INFO + 2, |byte| *byte == b'\t').collect();
                    let Some(info) = fields.get(INFO) else {
                        return Err(place
                            .malformed("text", line, "is no VCF record; eight columns are due")
                            .into());
                    };
                    for (number, alternate) in fields[VCF[3]].split(|byte| *byte == b',').enumerate() {
                        if alternate == b"." {
                            continue;
                        }
                        rows.key(&place, VCF.map(|key| fields[key]))?;
                        rows.alleles(fields[VCF[2]], alternate, &place)?;
                        rows.values(&place, ids.iter().map(|id| info_value(info, id, number)))?;
                    }
                }
            }
        }
        (self.lines, self.at) = (lines, usize::MAX);
        Ok(Some(rows.finish()))
    }
}

/// The id of an INFO field of numbers, one for the record or one for each alternate.
fn number_field(line: &str) -> Option<String> {
    let rest = line.strip_prefix("##INFO=<ID=")?;
    let (id, rest) = rest.split_once(',')?;
    let numbers = rest.contains("Type=Float") || rest.contains("Type=Integer");
    let single = rest.starts_with("Number=A,") || rest.starts_with("Number=1,");
    (numbers && single).then(|| id.to_owned())
}

/// The value of a field for one alternate: its own where the field has one for each, else the only one.
fn info_value<'a>(info: &'a [u8], id: &[u8], alternate: usize) -> &'a [u8] {
    let field = info.split(|byte| *byte == b';').find_map(|field| field.strip_prefix(id)?.strip_prefix(b"="));
    let Some(field) = field else { return b"" };
    if !field.contains(&b',') {
        return field;
    }
    field.split(|byte| *byte == b',').nth(alternate).unwrap_or_default()
}

/// The columns of a line; quotes around a column are taken off.
pub(super) fn fields(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut fields = Vec::with_capacity(16);
    if memchr(b'"', line).is_none() {
        fields.extend(line.split(|byte| *byte == separator));
        return fields;
    }
    let (mut start, mut quoted) = (0, false);
    for (at, byte) in line.iter().enumerate() {
        quoted ^= *byte == b'"';
        if *byte == separator && !quoted {
            fields.push(&line[start..at]);
            start = at + 1;
        }
    }
    fields.push(&line[start..]);
    for field in &mut fields {
        *field = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field);
    }
    fields
}

/// A number, NaN for what stands for a missing one; `None` for other text.
fn parse(text: &[u8]) -> Option<f32> {
    let text = text.trim_ascii();
    if matches!(text, b"" | b"." | b"NA" | b"N/A" | b"NaN" | b"nan" | b"null" | b"None" | b"-") {
        return Some(f32::NAN);
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A line, for messages.
struct Place<'a> {
    path: &'a Path,
    number: u64,
}

impl Place<'_> {
    fn malformed(&self, field: &'static str, value: &[u8], problem: &'static str) -> InputError {
        InputError::Malformed {
            path: self.path.into(),
            unit: "line",
            number: self.number,
            field,
            value: printable(value),
            problem,
        }
    }
}

/// Rows of a block in the making.
struct Rows {
    contigs: Vec<(String, usize)>,
    positions: Vec<u64>,
    references: StringBuilder,
    alternates: StringBuilder,
    values: Vec<Float32Builder>,
}

impl Rows {
    fn new(columns: usize) -> Self {
        Self {
            contigs: Vec::new(),
            positions: Vec::new(),
            references: StringBuilder::new(),
            alternates: StringBuilder::new(),
            values: (0..columns).map(|_| Float32Builder::new()).collect(),
        }
    }

    fn key(&mut self, place: &Place<'_>, [contig, position, ..]: [&[u8]; 4]) -> Result<(), InputError> {
        match self.contigs.last_mut() {
            Some((last, count)) if last.as_bytes() == contig => *count += 1,
            _ => match std::str::from_utf8(contig) {
                Ok(name) if !name.is_empty() => self.contigs.push((name.to_owned(), 1)),
                _ => return Err(place.malformed("contig", contig, "is no contig name")),
            },
        }
        let digits =
            std::str::from_utf8(position).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|text| text.parse().ok()) {
            Some(number) => self.positions.push(number),
            None => {
                return Err(place.malformed("position", position, "is no position; a whole number is due"));
            }
        }
        Ok(())
    }

    fn alleles(&mut self, reference: &[u8], alternate: &[u8], place: &Place<'_>) -> Result<(), InputError> {
        for (builder, field, bytes) in
            [(&mut self.references, "reference", reference), (&mut self.alternates, "alternate", alternate)]
        {
            match std::str::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => builder.append_value(text),
                _ => return Err(place.malformed(field, bytes, "is no allele")),
            }
        }
        Ok(())
    }

    fn values<'v>(
        &mut self,
        place: &Place<'_>,
        values: impl Iterator<Item = &'v [u8]>,
    ) -> Result<(), InputError> {
        for (builder, text) in self.values.iter_mut().zip(values) {
            match parse(text) {
                Some(value) => builder.append_option(Some(value).filter(|value| !value.is_nan())),
                None => return Err(place.malformed("score", text, "is no number")),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Block {
        Block {
            contigs: self.contigs,
            positions: self.positions,
            references: self.references.finish(),
            alternates: self.alternates.finish(),
            values: self.values.iter_mut().map(Float32Builder::finish).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bgzf;

    #[test]
    fn a_bcf_is_refused_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bcf");
        for bytes in
            [b"BCF\x02\x02\x10\x00".to_vec(), bgzf(b"BCF\x02\x02\x10\x00\x00\x00##fileformat=VCFv4.3\n")]
        {
            std::fs::write(&path, bytes).unwrap();
            let error = TextBlocks::open(&path, &[]).err().expect("no text").to_string();
            assert!(error.contains("x.bcf") && error.contains("run `bcftools view` on it"), "{error}");
        }
    }
}
