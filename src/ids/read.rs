//! The rsIDs of a VCF, sorted in bounded memory.

use std::io::Read as _;
use std::path::Path;

use sha2::Digest as _;
use vestore_schema::{Assembly, Digest, Position, Variant};

use super::{IdRow, rs_number};
use crate::reference::Reference;
use crate::variants::{
    Contigs, HELD_RECORDS, Input, InputError, Normalized, PlanError, RecordSite, RefCheck, RefMismatch, Sort,
    SortedRows, VariantHeader, normalize_sites, too_many_alleles,
};

/// Columns that are read: up to INFO.
const COLUMNS: usize = 8;
/// Bytes that sorting may take.
const MEMORY: usize = 256 << 20;
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// The most bytes of a header.
const LONGEST_HEADER: usize = 256 << 20;

/// The ids of a file with their variants, by id.
pub(crate) struct IdRows {
    rows: SortedRows,
    /// Records of the file.
    pub(crate) records: u64,
    /// Of them, without an rsID.
    pub(crate) without_id: u64,
    /// Alternate alleles with an rsID that are not bases, on contigs that the reference lacks, or not of the reference.
    pub(crate) left_out: u64,
    pub(crate) warnings: Vec<String>,
}

/// A record while it is held.
struct Held {
    line: u64,
    ids: Vec<u64>,
    name: String,
    contig: Option<u32>,
    one_based: u64,
    reference: String,
    alternates: String,
}

/// Reads a VCF (plain, BGZF or gzip) with rsIDs in ID, as in dbSNP, or as numbers in `RS` of INFO, as in `ClinVar`.
///
/// # Errors
/// When the file cannot be read, a line is malformed, no record is on a known contig or has an rsID, its reference
/// alleles are those of another assembly, or temporary files fail.
pub(crate) fn read_ids(
    path: &Path,
    assembly: &Assembly,
    reference: &mut Reference,
) -> Result<IdRows, PlanError> {
    reference.check(assembly)?;
    let mut input = Input::open(path)?;
    if input.begins_with(b"BCF")? {
        let problem = "is BCF; expected VCF, which `bcftools view` makes of it";
        return Err(input.malformed("file", b"BCF", problem).into());
    }
    let mut contigs = Contigs::new(assembly);
    let mut check = RefCheck::new(RefMismatch::Auto, path);
    let mut found = Found { sort: Sort::new(MEMORY, std::env::temp_dir()), left_out: 0, rows: 0 };
    let (mut line, mut header, mut declared) = (Vec::new(), Some((VariantHeader::default(), 0)), Vec::new());
    let (mut records, mut without_id, mut held, mut bytes) = (0, 0, Vec::new(), 0);
    while input.read_line(&mut line, COLUMNS)? {
        if line.is_empty() {
            continue;
        }
        if line.starts_with(b"#") {
            if let Some((header, length)) = &mut header {
                *length += line.len();
                if *length > LONGEST_HEADER {
                    return Err(input.malformed("header", b"", "is longer than 256 MiB").into());
                }
                header.add(&String::from_utf8_lossy(&line));
            }
            continue;
        }
        if let Some((header, _)) = header.take() {
            declared = contigs.declare(path, &header.contigs, None)?;
        }
        records += 1;
        let Some(record) = record(&input, &line, &mut contigs)? else {
            without_id += 1;
            continue;
        };
        // Each alternate becomes a row with the reference allele.
        bytes +=
            size_of::<Held>() + line.len() + record.reference.len() * record.alternates.split(',').count();
        held.push(record);
        if bytes >= HELD_RECORDS {
            found.take(&held, reference, &mut check)?;
            held.clear();
            bytes = 0;
        }
    }
    found.take(&held, reference, &mut check)?;
    contigs.check_any_known(path)?;
    check.finish()?;
    if found.rows == 0 {
        let problem = "has no rsID of a variant of this reference; expected `rs…` in ID, or `RS=` in INFO";
        return Err(input.malformed("file", b"", problem).into());
    }
    let mut warnings: Vec<String> = declared;
    warnings.extend(check.warning().into_iter().chain(check.beyond_warning()));
    Ok(IdRows { rows: found.sort.into_rows()?, records, without_id, left_out: found.left_out, warnings })
}

/// A line with an rsID.
fn record(input: &Input, line: &[u8], contigs: &mut Contigs<'_>) -> Result<Option<Held>, PlanError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let malformed = |field, value: &[u8], problem| PlanError::from(input.malformed(field, value, problem));
    let columns: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
    let &[name, digits, id, reference, alternates, ref rest @ ..] = columns.as_slice() else {
        let problem = "is not a VCF line; expected at least CHROM, POS, ID, REF and ALT, separated by tabs";
        return Err(malformed("text", line, problem));
    };
    let mut ids: Vec<u64> = text(id).split(';').filter_map(rs_number).collect();
    if let (true, Some(info)) = (ids.is_empty(), rest.get(2)) {
        let info = text(info);
        let numbers = info.split(';').find_map(|field| field.strip_prefix("RS=")).unwrap_or_default();
        ids.extend(numbers.split(['|', ',']).filter_map(|number| rs_number(&format!("rs{number}"))));
    }
    if ids.is_empty() {
        return Ok(None);
    }
    ids.sort_unstable();
    ids.dedup();
    let one_based =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let one_based = one_based
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("POS", digits, "is not a position; expected a whole number from 1"))?;
    let count = 1 + memchr::memchr_iter(b',', alternates).count();
    if let Some(problem) = too_many_alleles(reference.len(), alternates.len(), count) {
        return Err(malformed("REF", reference, problem));
    }
    let name = text(name);
    let contig = contigs.resolve(&name);
    let (reference, alternates) = (text(reference), text(alternates));
    Ok(Some(Held { line: input.number(), ids, name, contig, one_based, reference, alternates }))
}

struct Found {
    sort: Sort,
    left_out: u64,
    rows: u64,
}

impl Found {
    fn take(
        &mut self,
        held: &[Held],
        reference: &mut Reference,
        check: &mut RefCheck,
    ) -> Result<(), PlanError> {
        let sites: Vec<RecordSite<'_>> = held
            .iter()
            .map(|record| RecordSite {
                contig: record.contig,
                one_based: record.one_based,
                reference: &record.reference,
                alternates: record.alternates.split(',').collect(),
            })
            .collect();
        for (record, found) in held.iter().zip(normalize_sites(&sites, reference)?) {
            if let Some(comparison) = found.comparison() {
                check.count(comparison, record.line, &record.name, record.one_based, &record.reference)?;
            } else if record.contig.is_some() {
                check.beyond(record.one_based);
            }
            for allele in found.alleles {
                let Normalized::Row { variant, status: None, .. } = allele else {
                    self.left_out += 1;
                    continue;
                };
                for id in &record.ids {
                    self.rows += 1;
                    self.sort.push(&keyed(*id, &variant), None)?;
                }
            }
        }
        Ok(())
    }
}

/// A row that sorts by an id, then as its variant does: the sort orders by contig, position and alleles.
#[expect(clippy::cast_possible_truncation, reason = "an id is cut into its two halves")]
fn keyed(id: u64, variant: &Variant) -> Variant {
    let Variant { contig, position, reference, alternate } = variant;
    Variant {
        contig: (id >> 32) as u32,
        position: Position::new(id as u32),
        reference: format!("{contig:08x}{:08x}{reference}", position.zero_based()).into(),
        alternate: alternate.clone(),
    }
}

/// The row of a key.
fn unkeyed(key: &Variant) -> Option<IdRow> {
    let id = u64::from(key.contig) << 32 | u64::from(key.position.zero_based());
    let number = |range: std::ops::Range<usize>| u32::from_str_radix(key.reference.get(range)?, 16).ok();
    let (contig, position) = (number(0..8)?, Position::new(number(8..16)?));
    let reference = key.reference.get(16..)?.into();
    Some(IdRow { id, variant: Variant { contig, position, reference, alternate: key.alternate.clone() } })
}

impl Iterator for IdRows {
    type Item = Result<IdRow, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(
            row.map_err(PlanError::from)
                .map(|(key, _)| unkeyed(&key).expect("a row of the sort is what was pushed; this is a bug")),
        )
    }
}

/// The SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn source_digest(path: &Path) -> Result<Digest, PlanError> {
    let failed = |source| InputError::Open { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let reason = "not a regular file, which is read twice; write it to a file first";
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason)).into());
    }
    let (mut hash, mut piece) = (sha2::Sha256::new(), vec![0; PIECE]);
    loop {
        let count = file.read(&mut piece).map_err(failed)?;
        if count == 0 {
            return Ok(<[u8; 32]>::from(hash.finalize()).into());
        }
        hash.update(&piece[..count]);
    }
}
