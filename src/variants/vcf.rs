//! VCF text. Only CHROM, POS, REF and ALT are looked at, so whatever a header fails to declare or a
//! column holds beyond them cannot stop a file from being read.

use super::header::VariantHeader;
use super::input::{Input, InputError};
use super::source::{Record, too_many_alleles};

/// Columns that are read: CHROM, POS, ID, REF, ALT.
const COLUMNS: usize = 5;

/// The most bytes of a header.
const LONGEST_HEADER: usize = 256 << 20;

pub(super) struct VcfRecords {
    input: Input,
    pub(super) header: VariantHeader,
    line: Vec<u8>,
    /// Whether `line` is a record that is not yet handed out.
    waiting: bool,
}

impl VcfRecords {
    /// Reads the header, if there is one.
    pub(super) fn new(input: Input) -> Result<Self, InputError> {
        let mut records = Self { input, header: VariantHeader::default(), line: Vec::new(), waiting: false };
        let mut bytes = 0;
        while records.input.read_line(&mut records.line, COLUMNS)? {
            match records.line.first() {
                None => {}
                Some(b'#') => {
                    bytes += records.line.len();
                    if bytes > LONGEST_HEADER {
                        return Err(records.input.malformed("header", b"", "is longer than 256 MiB"));
                    }
                    records.header.add(&String::from_utf8_lossy(&records.line));
                }
                Some(_) => {
                    records.waiting = true;
                    break;
                }
            }
        }
        Ok(records)
    }

    /// Reads the next data line; comments and blank lines are passed over.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, InputError> {
        while !std::mem::take(&mut self.waiting) {
            if !self.input.read_line(&mut self.line, COLUMNS)? {
                return Ok(false);
            }
            self.waiting = !matches!(self.line.first(), None | Some(b'#'));
        }
        self.parse(record)?;
        Ok(true)
    }

    fn parse(&self, record: &mut Record) -> Result<(), InputError> {
        let malformed = |field, value: &[u8], problem| Err(self.input.malformed(field, value, problem));
        let mut rest = self.line.split(|byte| *byte == b'\t');
        let columns: [Option<&[u8]>; COLUMNS] = std::array::from_fn(|_| rest.next());
        let [Some(contig), Some(digits), Some(_), Some(reference), Some(alternates)] = columns else {
            return malformed(
                "text",
                &self.line,
                "is not a VCF line; expected at least CHROM, POS, ID, REF and ALT, separated by tabs",
            );
        };
        let name = std::str::from_utf8(contig).ok().filter(|name| !name.is_empty());
        let Some(name) = name else { return malformed("CHROM", contig, "is not a contig name") };
        let number =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(one_based) = number.and_then(|text| text.parse::<u64>().ok()) else {
            return malformed("POS", digits, "is not a position; expected a whole number from 1");
        };
        let count = 1 + memchr::memchr_iter(b',', alternates).count();
        if let Some(problem) = too_many_alleles(reference.len(), alternates.len(), count) {
            return malformed("REF", reference, problem);
        }
        record.number = self.input.number();
        record.one_based = one_based;
        for (field, bytes) in [(&mut record.reference, reference), (&mut record.alternates, alternates)] {
            field.clear();
            // What is not an allele is rejected when it is normalized.
            field.push_str(&String::from_utf8_lossy(bytes));
        }
        name.clone_into(&mut record.contig);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Record>, InputError> {
        let input = Input::decompress(Path::new("x.vcf"), Box::new(Cursor::new(text.to_vec())))?;
        let mut records = VcfRecords::new(input)?;
        let mut found = Vec::new();
        let mut record = Record::default();
        while records.read(&mut record)? {
            found.push(record.clone());
        }
        Ok(found)
    }

    #[test]
    fn messy_files_are_read() {
        let read_again = read(
            b"\xef\xbb\xbf##fileformat=VCFv4.2\r\n##INFO=<ID=broken\r\n#CHROM\tPOS\tID\tREF\tALT\r\n\
              chr1\t12\t.\tA\tC,<DEL>\t.\tNOPE\tUNDECLARED=1\r\n\r\n# a comment\n\
              HLA-A*01:01\t0\trs1\tacgtn\t*,],A[1:2[\r\nchr2\t5\t.\tA\t.",
        );
        assert_eq!(read_again.unwrap()[1].alternates, "*,],A[1:2[");
        let records = read(
            b"##fileformat=VCFv4.2\n1\t12\t.\tA\tC,<DEL>\t.\tNOPE\tU=1\r\n\r\n\
              HLA-A*01:01\t0\trs1\tacgtn\t*,]1:3]C\r\n2\t5\t.\tA\t.",
        )
        .unwrap();
        let told: Vec<String> = records
            .iter()
            .map(|record| {
                let Record { number, contig, one_based, reference, alternates } = record;
                format!("{number} {contig} {one_based} {reference} {alternates}")
            })
            .collect();
        assert_eq!(told, ["2 1 12 A C,<DEL>", "4 HLA-A*01:01 0 acgtn *,]1:3]C", "5 2 5 A ."]);
    }

    #[test]
    fn what_cannot_be_parsed_names_line_field_and_value() {
        for (line, part) in [
            ("1 12 . A C", "text `1 12 . A C` is not a VCF line"),
            ("1\t12\t.\tA", "is not a VCF line"),
            ("\t12\t.\tA\tC", "CHROM ``"),
            ("1\t-12\t.\tA\tC", "POS `-12`"),
            ("1\t+12\t.\tA\tC", "POS `+12`"),
            ("1\t1e5\t.\tA\tC", "POS `1e5`"),
            ("1\t\t.\tA\tC", "POS ``"),
            ("1\t99999999999999999999\t.\tA\tC", "POS `99999999999999999999`"),
        ] {
            let error = read(format!("#x\n{line}\n").as_bytes()).expect_err(line).to_string();
            assert!(error.starts_with("x.vcf, line 2: ") && error.contains(part), "{line}: {error}");
        }
        // What is not an allele is for normalization to reject.
        for alleles in ["<X>\tC", "A1\tC", "A \tC", "A\tC C", "A\t<DEL"] {
            let record = &read(format!("1\t12\t.\t{alleles}\n").as_bytes()).unwrap()[0];
            assert_eq!(format!("{}\t{}", record.reference, record.alternates), alleles);
        }
        assert!(read(b"PK\x03\x04\x00\xff\xfe").is_err());
    }
}
