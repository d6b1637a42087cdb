//! BCF records. The fixed fields and the alleles are read from the bytes themselves: they come
//! before everything that depends on what the header declares, and a damaged record must be an
//! error of ours.

use super::header::VariantHeader;
use super::input::{Input, InputError, LONGEST};
use super::source::{Record, too_many_alleles};

pub(super) struct BcfRecords {
    input: Input,
    pub(super) header: VariantHeader,
    /// CHROM to ALT and INFO of the record in hand.
    site: Vec<u8>,
    skipped: Vec<u8>,
}

/// Bytes before a record: the lengths of its two blocks, of the site and of the samples.
pub(crate) const RECORD_LENGTHS: usize = 8;

/// The lengths of a record's two blocks.
pub(crate) fn record_lengths(record: &[u8]) -> Option<[usize; 2]> {
    let (words, _) = record.get(..RECORD_LENGTHS)?.as_chunks::<4>();
    Some([words[0], words[1]].map(|word| u32::from_le_bytes(word) as usize))
}

/// The first block of a record: its fixed fields (CHROM, POS, rlen, QUAL, counts), then typed values.
pub(crate) struct Site<'a> {
    /// Number of the contig in the header.
    pub(crate) contig: i32,
    /// POS; the telomere is −1.
    zero_based: i32,
    /// Reference and alternate alleles.
    pub(crate) alleles: u16,
    /// INFO fields.
    pub(crate) fields: u16,
    rest: &'a [u8],
}

impl<'a> Site<'a> {
    /// Reads the fixed fields; `None` when there are fewer bytes.
    pub(crate) fn read(block: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = block.split_first_chunk::<24>()?;
        let (words, _) = fixed.as_chunks::<4>();
        let word = |index: usize| i32::from_le_bytes(words[index]);
        let [fields, alleles] = [0, 2].map(|at| u16::from_le_bytes([words[4][at], words[4][at + 1]]));
        Some(Self { contig: word(0), zero_based: word(1), alleles, fields, rest })
    }

    /// As VCF counts; the telomere is 0. What cannot be one is given as it stands.
    pub(crate) fn one_based(&self) -> Result<u64, String> {
        u64::try_from(i64::from(self.zero_based) + 1).map_err(|_| self.zero_based.to_string())
    }

    /// The next text: ID, then each allele. `None` when there is none.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        take_text(&mut self.rest)
    }

    /// The numbers of its INFO fields, once all alleles are taken. `None` when it is too short for them.
    pub(crate) fn field_keys(&mut self) -> Option<Vec<u32>> {
        take_value(&mut self.rest)?; // FILTER
        let mut keys = Vec::new();
        for _ in 0..self.fields {
            let mut padded = [0; 4];
            let key = take_value(&mut self.rest)?;
            padded.get_mut(..key.len())?.copy_from_slice(key);
            keys.push(u32::from_le_bytes(padded));
            take_value(&mut self.rest)?;
        }
        Some(keys)
    }
}

impl Input {
    /// Reads magic and text of a BCF's header.
    pub(crate) fn read_bcf_header(&mut self) -> Result<([u8; 5], Vec<u8>), InputError> {
        let mut magic = [0; 5];
        if !self.read_exact(&mut magic)? || magic[..4] != *b"BCF\x02" {
            let problem = "is not BCF version 2; convert the file with `bcftools view`";
            return Err(self.malformed("header", &magic, problem));
        }
        let mut length = [0; 4];
        self.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(self.too_long());
        }
        let mut text = vec![0; length];
        if !self.read_exact(&mut text)? {
            return Err(self.malformed("header", b"", "is missing"));
        }
        Ok((magic, text))
    }

    /// Reads whole BCF records into `records`, which is cleared first: about `size` bytes of them. `false` when
    /// there are no more.
    pub(crate) fn read_bcf_records(
        &mut self,
        records: &mut Vec<u8>,
        size: usize,
    ) -> Result<bool, InputError> {
        records.clear();
        while records.len() < size {
            self.next_record();
            let mut lengths = [0; RECORD_LENGTHS];
            if !self.read_exact(&mut lengths)? {
                break;
            }
            let [site, samples] = record_lengths(&lengths).unwrap_or_default();
            if site > LONGEST {
                return Err(self.too_long());
            }
            records.extend_from_slice(&lengths);
            if !self.read_more(records, (site + samples) as u64)? {
                return Err(self.malformed("record", &lengths, "ends before its stated length"));
            }
        }
        Ok(!records.is_empty())
    }
}

impl BcfRecords {
    /// Reads the header.
    pub(super) fn new(mut input: Input) -> Result<Self, InputError> {
        let (_, text) = input.read_bcf_header()?;
        let header = VariantHeader::parse(&String::from_utf8_lossy(&text));
        input.count_records();
        Ok(Self { input, header, site: Vec::new(), skipped: vec![0; 64 << 10] })
    }

    /// Reads the next record.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, InputError> {
        self.input.next_record();
        let mut lengths = [0; RECORD_LENGTHS];
        if !self.input.read_exact(&mut lengths)? {
            return Ok(false);
        }
        let [site, mut samples] = record_lengths(&lengths).unwrap_or_default();
        if site > LONGEST {
            return Err(self.input.too_long());
        }
        self.site.resize(site, 0);
        let mut whole = self.input.read_exact(&mut self.site)?;
        while samples > 0 && whole {
            let piece = samples.min(self.skipped.len());
            whole = self.input.read_exact(&mut self.skipped[..piece])?;
            samples -= piece;
        }
        if !whole {
            return Err(self.input.malformed("record", &lengths, "ends before its stated length"));
        }
        self.parse(record)?;
        Ok(true)
    }

    fn parse(&self, record: &mut Record) -> Result<(), InputError> {
        let short = || self.input.malformed("record", &self.site, "is too short");
        let mut site = Site::read(&self.site).ok_or_else(short)?;
        let name = self.header.contig_name(site.contig).ok_or_else(|| {
            let number = site.contig.to_string();
            self.input.malformed("CHROM", number.as_bytes(), "is not a contig of the header")
        })?;
        name.clone_into(&mut record.contig);
        record.one_based = site
            .one_based()
            .map_err(|number| self.input.malformed("POS", number.as_bytes(), "is not a position"))?;
        site.text().ok_or_else(short)?; // ID
        record.reference.clear();
        record.alternates.clear();
        for index in 0..site.alleles {
            let bytes = site.text().ok_or_else(short)?;
            // What is not an allele is rejected when it is normalized.
            let text = String::from_utf8_lossy(bytes);
            if index == 0 {
                record.reference.push_str(&text);
                continue;
            }
            if index > 1 {
                record.alternates.push(',');
            }
            // In text it would part two alleles: written as VCF 4.3 encodes it, it is one, and invalid.
            record.alternates.push_str(&text.replace(',', "%2C"));
        }
        let count = usize::from(site.alleles).saturating_sub(1);
        if let Some(problem) = too_many_alleles(record.reference.len(), record.alternates.len(), count) {
            return Err(self.input.malformed("REF", record.reference.as_bytes(), problem));
        }
        if site.alleles < 2 {
            record.alternates.push('.');
        }
        record.number = self.input.number();
        Ok(())
    }
}

/// Takes a typed string off the front of `bytes`.
fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let kind = bytes.first()? & 15;
    let text = take_value(bytes)?;
    // A missing value has no type.
    (kind == 7 || text.is_empty()).then_some(text)
}

/// Takes a typed value off the front of `bytes`.
fn take_value<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&descriptor, rest) = bytes.split_first()?;
    *bytes = rest;
    let count = match descriptor >> 4 {
        // The count follows as a typed integer of 1, 2 or 4 bytes.
        15 => {
            let (&kind, rest) = bytes.split_first()?;
            let width = match kind {
                0x11 => 1,
                0x12 => 2,
                0x13 => 4,
                _ => return None,
            };
            let (number, rest) = rest.split_at_checked(width)?;
            *bytes = rest;
            let mut padded = [0; 4];
            padded[..width].copy_from_slice(number);
            u32::from_le_bytes(padded) as usize
        }
        count => usize::from(count),
    };
    let width = match descriptor & 15 {
        0 => 0,
        1 | 7 => 1,
        2 => 2,
        3 | 5 => 4,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(count.checked_mul(width)?)?;
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use super::*;
    use crate::fixture::{Random, bcf_of};

    const VCF: &str = "##fileformat=VCFv4.3\n\
        ##INFO=<ID=DP,Number=1,Type=Integer,Description=\"Depth, total\">\n\
        ##contig=<ID=2,length=500>\n##contig=<ID=HLA-A*01:01,length=900>\n\
        ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
        #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\n\
        2\t5\t.\tA\tC,<DEL>\t.\tPASS\tDP=3\tGT\t0/1\n\
        HLA-A*01:01\t1\trs1;rs2\tACGTACGTACGTACGTACGT\t*\t9\t.\t.\tGT\t0/1\n\
        2\t7\t.\tG\t.\t.\tPASS\t.\tGT\t0/0\n";

    fn read(bytes: &[u8]) -> Result<Vec<Record>, InputError> {
        let input = Input::decompress(Path::new("x.bcf"), Box::new(Cursor::new(bytes.to_vec())))?;
        let mut records = BcfRecords::new(input)?;
        let mut found = Vec::new();
        let mut record = Record::default();
        while records.read(&mut record)? {
            found.push(record.clone());
        }
        Ok(found)
    }

    #[test]
    fn records_are_those_of_the_text() {
        let told: Vec<String> = read(&bcf_of(VCF))
            .unwrap()
            .iter()
            .map(|record| {
                let Record { number, contig, one_based, reference, alternates } = record;
                format!("{number} {contig} {one_based} {reference} {alternates}")
            })
            .collect();
        assert_eq!(told, ["1 2 5 A C,<DEL>", "2 HLA-A*01:01 1 ACGTACGTACGTACGTACGT *", "3 2 7 G ."]);
    }

    #[test]
    fn a_comma_within_an_allele_parts_nothing() {
        let mut bytes = bcf_of(VCF);
        let at = bytes.windows(5).rposition(|text| text == b"<DEL>").unwrap();
        bytes[at..at + 5].copy_from_slice(b"<D,L>");
        let records = read(&bytes).unwrap();
        assert_eq!((records.len(), records[0].alternates.as_str()), (3, "C,<D%2CL>"));
        let at = bytes.windows(4).rposition(|text| text == b"\x17C\x57<").unwrap();
        bytes[at + 1] = b',';
        assert_eq!(read(&bytes).unwrap()[0].alternates, "%2C,<D%2CL>");
    }

    #[test]
    fn damaged_files_are_errors_never_panics() {
        let whole = bcf_of(VCF);
        let records = read(&whole).unwrap();
        for cut in 1..whole.len() {
            // A cut between two records of uncompressed BCF cannot be told from an end.
            if let Ok(found) = read(&whole[..cut]) {
                assert_eq!(found, records[..found.len()], "cut to {cut}");
            }
        }
        let mut random = Random::new(3);
        for _ in 0..5000 {
            let mut damaged = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = random.next() as u8;
            }
            drop(read(&damaged));
        }
        assert!(read(b"BCF\x04\x01").unwrap_err().to_string().contains("not BCF version 2"));
    }
}
