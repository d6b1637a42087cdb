//! The records of a VCF or BCF file, as far as a variant needs them.

use std::path::{Path, PathBuf};

use super::bcf::BcfRecords;
use super::header::HeaderContig;
use super::input::{Input, InputError};
use super::vcf::VcfRecords;

/// One record: a place, its reference allele and its alternate alleles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The line of the text file, the ordinal of the BCF record; 1-based.
    pub number: u64,
    /// Name of the contig as it stands.
    pub contig: String,
    /// POS; 0 is the telomere.
    pub one_based: u64,
    /// REF as it stands.
    pub reference: String,
    /// ALT as it stands, alleles separated by commas.
    pub alternates: String,
}

impl Record {
    /// The alternate alleles as they stand.
    pub fn alternates(&self) -> impl Iterator<Item = &str> {
        self.alternates.split(',')
    }
}

/// What reads the variants of a file one after the other.
pub trait Records: Send {
    /// Reads the next record into `record`; `false` at the end.
    ///
    /// # Errors
    /// The file is damaged, or a record cannot be parsed. Reading cannot go on.
    fn read(&mut self, record: &mut Record) -> Result<bool, InputError>;
}

/// A VCF (plain, BGZF or gzip; with or without a header) or BCF, told apart by its content, or records from elsewhere.
pub struct VariantSource {
    path: PathBuf,
    format: Format,
}

enum Format {
    Vcf(VcfRecords),
    Bcf(BcfRecords),
    Other(Box<dyn Records>),
}

impl VariantSource {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// The file cannot be read, or is BCF of a version that is not 2.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        Self::new(Input::open(path)?)
    }

    pub(crate) fn new(mut input: Input) -> Result<Self, InputError> {
        let path = input.path().to_owned();
        let format = if input.begins_with(b"BCF")? {
            Format::Bcf(BcfRecords::new(input)?)
        } else {
            Format::Vcf(VcfRecords::new(input)?)
        };
        Ok(Self { path, format })
    }

    /// The records that `records` reads from the file `path`.
    #[must_use]
    pub fn of(path: &Path, records: Box<dyn Records>) -> Self {
        Self { path: path.into(), format: Format::Other(records) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contigs that a header declares; none where there is no header.
    pub(super) fn contigs(&self) -> &[HeaderContig] {
        match &self.format {
            Format::Vcf(records) => &records.header.contigs,
            Format::Bcf(records) => &records.header.contigs,
            Format::Other(_) => &[],
        }
    }

    /// Reads the next record into `record`; `false` at the end.
    ///
    /// # Errors
    /// The file is truncated or damaged, or a record cannot be parsed. Reading cannot go on.
    pub fn read(&mut self, record: &mut Record) -> Result<bool, InputError> {
        match &mut self.format {
            Format::Vcf(records) => records.read(record),
            Format::Bcf(records) => records.read(record),
            Format::Other(records) => records.read(record),
        }
    }
}

/// The most bytes that the alternates of one record may take, each beside the reference allele.
const MOST_ALLELE_BYTES: usize = 256 << 20;

/// Why a record of so many bytes of REF and of ALT, and so many alternates, is refused: each alternate becomes a row
/// that repeats the reference allele.
pub(crate) fn too_many_alleles(reference: usize, alternates: usize, count: usize) -> Option<&'static str> {
    (reference.saturating_mul(count).saturating_add(alternates) > MOST_ALLELE_BYTES).then_some(
        "is repeated for each alternate allele, together over 256 MiB; split the record (`bcftools norm -m-`) or leave \
         it out",
    )
}

/// Whether `bytes` can be a REF: letters.
pub(super) fn is_reference_allele(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_alphabetic)
}

/// Whether `bytes` can be one ALT: letters, `*`, `.`, a symbolic allele or a breakend.
pub(super) fn is_alternate_allele(bytes: &[u8]) -> bool {
    let symbolic = bytes.starts_with(b"<") && bytes.ends_with(b">");
    let breakend = bytes.iter().filter(|byte| matches!(byte, b'[' | b']')).count() == 2;
    let bases = bytes.strip_prefix(b".").or_else(|| bytes.strip_suffix(b".")).unwrap_or(bytes);
    let printable = bytes.iter().all(u8::is_ascii_graphic);
    (printable && (symbolic || breakend)) || bytes == b"*" || is_reference_allele(bases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_whose_rows_would_fill_memory_is_refused() {
        assert_eq!(too_many_alleles(100_000, 4000, 2000), None);
        assert_eq!(too_many_alleles(1, 60 << 20, 30 << 20), None);
        assert!(too_many_alleles(100_000, 60_000, 30_000).is_some());
        assert!(too_many_alleles(usize::MAX, 2, 2).is_some());
    }
}
