//! BCF: header and records, as far as adding INFO fields goes. All else is copied byte for byte.

use std::ops::Range;
use std::path::Path;

use super::AnnotateError;
use super::chunk::{Chunk, Record};
use crate::export::InfoField;
use crate::variants::{
    Contigs, InputError, RECORD_LENGTHS, Site, VariantHeader, record_lengths, too_many_alleles,
};

/// A float that is missing.
const MISSING: u32 = 0x7f80_0001;
/// Typed values of one byte, two bytes, four bytes, and floats.
const INT8: u8 = 1;
const INT16: u8 = 2;
const INT32: u8 = 3;
const FLOAT: u8 = 5;

/// What the header says, and what it says once the fields are declared.
pub(super) struct Header {
    pub(super) declared: VariantHeader,
    /// The number of each field in the dictionary of strings, as a typed value.
    keys: Vec<Vec<u8>>,
    /// Fields whose id a FILTER or FORMAT has: records may have them without a declaration.
    known: Vec<(u32, String)>,
    /// Magic, length and text of the new header.
    pub(super) bytes: Vec<u8>,
}

impl Header {
    /// Declares `fields` in the header `text` of the file at `path`; `magic` names the version.
    pub(super) fn declare(
        path: &Path,
        magic: &[u8],
        text: &[u8],
        fields: &[InfoField],
    ) -> Result<Self, AnnotateError> {
        let damaged = |problem| malformed(path, 0, "header", b"", problem);
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| damaged("is not UTF-8"))?;
        let before_names = match text.rfind("\n#CHROM") {
            Some(end) => end + 1,
            None => return Err(damaged("has no line of column names (`#CHROM`)")),
        };
        let mut declared = VariantHeader::parse(text);
        let (mut keys, mut known, mut lines) = (Vec::new(), Vec::new(), String::new());
        for field in fields {
            if declared.info(&field.id).is_some() {
                return Err(AnnotateError::FieldTaken { path: path.into(), id: field.id.clone() });
            }
            let is_known = declared.knows(&field.id);
            let number = declared.string_number(&field.id);
            if is_known {
                known.push((number, field.id.clone()));
            }
            keys.push(typed(number));
            let line = field.header();
            match line.strip_suffix(">\n") {
                Some(open) if declared.is_numbered() => {
                    lines.extend([open, ",IDX=", &number.to_string(), ">\n"]);
                }
                _ => lines.push_str(&line),
            }
        }
        let (before, names) = text.split_at(before_names);
        let length = (text.len() + lines.len() + 1) as u32;
        let bytes =
            [magic, &length.to_le_bytes(), before.as_bytes(), lines.as_bytes(), names.as_bytes(), b"\0"];
        Ok(Self { declared, keys, known, bytes: bytes.concat() })
    }
}

/// An integer as a typed value, in as few bytes as hold it.
fn typed(number: u32) -> Vec<u8> {
    match number {
        0..=127 => vec![1 << 4 | INT8, number as u8],
        128..=32_767 => [&[1 << 4 | INT16][..], &(number as u16).to_le_bytes()].concat(),
        _ => [&[1 << 4 | INT32][..], &number.to_le_bytes()].concat(),
    }
}

impl Chunk {
    /// As [`Chunk::parse`] for whole records; `before` records were read before those from `from` on.
    pub(super) fn parse_bcf(
        &mut self,
        path: &Path,
        records: &[u8],
        from: usize,
        before: u64,
        header: &Header,
        contigs: &mut Contigs<'_>,
    ) -> Result<usize, AnnotateError> {
        self.clear();
        let mut at = from;
        while at < records.len() && !self.is_full() {
            let number = before + self.records.len() as u64 + 1;
            let damaged = |problem| malformed(path, number, "record", b"", problem);
            let short = || damaged("is too short for its fields");
            let [site, samples] = record_lengths(&records[at..]).ok_or_else(short)?;
            let start = at + RECORD_LENGTHS;
            let end = start + site;
            at = end + samples;
            let mut site = records.get(start..end).and_then(Site::read).ok_or_else(short)?;
            let name = header.declared.contig_name(site.contig).ok_or_else(|| {
                let contig = site.contig.to_string();
                malformed(path, number, "CHROM", contig.as_bytes(), "is not a contig of the header")
            })?;
            let contig = contigs.resolve(name);
            let one_based = site
                .one_based()
                .map_err(|text| malformed(path, number, "POS", text.as_bytes(), "is not a position"))?;
            if usize::from(site.fields) + header.keys.len() > 0xffff {
                return Err(damaged("has too many INFO fields for more"));
            }
            site.text().ok_or_else(short)?; // ID
            let old = if site.alleles > 0 { site.text().ok_or_else(short)? } else { b"" };
            let first = self.alleles as u32;
            self.site(contig, one_based, old);
            let mut alternates = 0;
            for count in 1..site.alleles {
                let new = site.text().ok_or_else(short)?;
                alternates += new.len();
                if let Some(problem) = too_many_alleles(old.len(), alternates, count.into()) {
                    return Err(malformed(path, number, "REF", old, problem));
                }
                self.allele(contig, one_based, old, new);
            }
            if !header.known.is_empty() {
                let keys = site.field_keys().ok_or_else(short)?;
                if let Some((_, id)) = header.known.iter().find(|(key, _)| keys.contains(key)) {
                    let (path, id) = (path.into(), id.clone());
                    return Err(AnnotateError::KeyTaken { path, unit: "record", number, id });
                }
            }
            self.unknown_contigs += u64::from(contig.is_none());
            self.records.push(Record { info: start..end, lacking: 0, alleles: first..self.alleles as u32 });
        }
        Ok(at)
    }
}

/// Appends `records` from `from` on with the values of `chunk` at the end of what they share, which is INFO, to `out`.
pub(super) fn splice(chunk: &Chunk, records: &[u8], from: usize, header: &Header, out: &mut Vec<u8>) {
    let mut at = from;
    for record in &chunk.records {
        let Range { start, end } = record.info;
        let mut added = Vec::new();
        if !record.alleles.is_empty() {
            for (field, key) in header.keys.iter().enumerate() {
                added.extend_from_slice(key);
                match record.alleles.len() {
                    count @ 0..15 => added.push((count as u8) << 4 | FLOAT),
                    count => {
                        added.push(15 << 4 | FLOAT);
                        added.extend(typed(count as u32));
                    }
                }
                for allele in record.alleles.clone() {
                    let bits = chunk.value(allele, field).map_or(MISSING, f32::to_bits);
                    added.extend_from_slice(&bits.to_le_bytes());
                }
            }
        }
        let fields = if record.alleles.is_empty() { 0 } else { header.keys.len() as u32 };
        let counts_at = start + 16;
        let (counts, _) = records[counts_at..].as_chunks::<4>();
        out.extend_from_slice(&((end - start + added.len()) as u32).to_le_bytes());
        out.extend_from_slice(&records[start - 4..counts_at]);
        out.extend_from_slice(&(u32::from_le_bytes(counts[0]) + fields).to_le_bytes());
        out.extend_from_slice(&records[counts_at + 4..end]);
        out.extend_from_slice(&added);
        let samples = record_lengths(&records[at..]).map_or(0, |[_, samples]| samples);
        at = end + samples;
        out.extend_from_slice(&records[end..at]);
    }
}

fn malformed(
    path: &Path,
    number: u64,
    field: &'static str,
    value: &[u8],
    problem: &'static str,
) -> AnnotateError {
    let value = crate::reference::printable(value);
    AnnotateError::Input(InputError::Malformed {
        path: path.into(),
        unit: "record",
        number,
        field,
        value,
        problem,
    })
}
