//! BCF: header and records, as far as adding INFO fields goes. All else is copied byte for byte.

use std::ops::Range;
use std::path::Path;

use super::AnnotateError;
use super::chunk::{Chunk, Record};
use crate::export::InfoField;
use crate::narrow::to_u32;
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
        let length = u32::try_from(text.len() + lines.len() + 1).map_err(|_| damaged("is too long"))?;
        let bytes =
            [magic, &length.to_le_bytes(), before.as_bytes(), lines.as_bytes(), names.as_bytes(), b"\0"];
        Ok(Self { declared, keys, known, bytes: bytes.concat() })
    }
}

/// The most bytes of an added field beside its values: its key, their type and their number.
const FIELD_BYTES: u64 = 16;

/// An integer as a typed value, in as few bytes as hold it.
fn typed(number: u32) -> Vec<u8> {
    if let Ok(number) = i8::try_from(number) {
        [&[1 << 4 | INT8][..], &number.to_le_bytes()].concat()
    } else if let Ok(number) = i16::try_from(number) {
        [&[1 << 4 | INT16][..], &number.to_le_bytes()].concat()
    } else {
        [&[1 << 4 | INT32][..], &number.to_le_bytes()].concat()
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
            let added = header.keys.len() as u64 * (FIELD_BYTES + 4 * u64::from(site.alleles));
            if u32::try_from((end - start) as u64 + added).is_err() {
                return Err(damaged("has too many alleles for the fields that are added"));
            }
            site.text().ok_or_else(short)?; // ID
            let old = if site.alleles > 0 { site.text().ok_or_else(short)? } else { b"" };
            let first = self.alleles;
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
            self.records.push(Record { info: start..end, lacking: 0, alleles: first..self.alleles });
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
                let count = record.alleles.end - record.alleles.start;
                if let Ok(count @ 0..15) = u8::try_from(count) {
                    added.push(count << 4 | FLOAT);
                } else {
                    added.push(15 << 4 | FLOAT);
                    added.extend(typed(count));
                }
                for allele in record.alleles.clone() {
                    let bits = chunk.value(allele, field).map_or(MISSING, f32::to_bits);
                    added.extend_from_slice(&bits.to_le_bytes());
                }
            }
        }
        let fields = if record.alleles.is_empty() { 0 } else { to_u32(header.keys.len()) };
        let counts_at = start + 16;
        let (counts, _) = records[counts_at..].as_chunks::<4>();
        out.extend_from_slice(&to_u32(end - start + added.len()).to_le_bytes());
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

#[cfg(test)]
mod tests {
    use vestore_schema::{Assembly, Contig};

    use super::*;

    /// A record of a reference allele and, says its number of alleles, others.
    fn record(alleles: u16) -> Vec<u8> {
        let counts = u32::from(alleles) << 16;
        let mut site: Vec<u8> = [0, 0, 1, 0, counts, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        site.extend_from_slice(b"\x07\x17C");
        site.extend((1..alleles).flat_map(|_| *b"\x17A"));
        let lengths = [to_u32(site.len()), 0].map(u32::to_le_bytes).concat();
        [lengths, site].concat()
    }

    #[test]
    fn a_record_that_would_become_too_long_is_refused() {
        let contig = Contig { name: "1".to_owned(), length: 9, digest: String::new() };
        let assembly = Assembly { name: None, contigs: vec![contig] };
        let declared = VariantHeader::parse("##contig=<ID=1>\n");
        let header = Header { declared, keys: vec![typed(1); 16_400], known: Vec::new(), bytes: Vec::new() };
        let parse = |alleles: u16| {
            let (mut chunk, mut contigs) = (Chunk::new(1 << 20, 1), Contigs::new(&assembly));
            chunk.parse_bcf(Path::new("x.bcf"), &record(alleles), 0, 0, &header, &mut contigs)
        };
        assert!(parse(2).is_ok());
        let error = parse(u16::MAX).unwrap_err().to_string();
        assert!(error.contains("too many alleles for the fields"), "{error}");
    }
}
