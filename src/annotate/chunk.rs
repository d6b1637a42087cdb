//! Some lines of a VCF: where their INFO lies, and what is to be looked up for them.

use std::ops::Range;
use std::path::Path;

use vestore_schema::Position;

use super::{AnnotateError, LazyReference};
use crate::narrow::to_u32;
use crate::reference::printable;
use crate::variants::{
    Allele, Contigs, InputError, Normalized, RefCheck, RefComparison, compare_reference, lies_inside,
    normalize, too_many_alleles,
};

/// Columns before INFO.
pub(super) const BEFORE_INFO: usize = 7;
/// Tabs up to ALT, the last column that a record must have.
const TO_ALTERNATE: usize = 4;

/// One record.
#[derive(Debug)]
pub(super) struct Record {
    /// Its INFO among the bytes of the lines; of BCF, the block that ends with INFO.
    pub(super) info: Range<usize>,
    /// Columns that it lacks up to INFO, which is then empty and at the end of its line.
    pub(super) lacking: usize,
    /// Numbers of its alternate alleles in the chunk.
    pub(super) alleles: Range<u32>,
}

/// An allele to be looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) contig: u32,
    pub(super) position: Position,
    /// Where its alleles lie among the bases of the chunk.
    bases: usize,
    reference: u32,
    alternate: u32,
    /// Number of the allele in the chunk.
    pub(super) allele: u32,
}

/// The reference allele of a record on a known contig, or a pair of alleles that must be normalized.
#[derive(Clone, Copy, Debug)]
struct Place {
    contig: u32,
    /// As VCF counts.
    one_based: u64,
    /// Where the alleles lie among the raw ones of the chunk.
    alleles: usize,
    reference: u32,
    alternate: u32,
    /// Number of the record, or of the allele, in the chunk.
    number: u32,
}

/// The records of some lines. Its vectors are used again for the next lines.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Bytes beyond which no further record is taken. Each alternate stands beside the reference allele, so few lines
    /// may take much more than they have.
    most_bytes: usize,
    /// INFO fields that are added.
    fields: usize,
    pub(super) records: Vec<Record>,
    /// Sorted as rows are.
    pub(super) wanted: Vec<Wanted>,
    pub(super) alleles: u32,
    pub(super) unknown_contigs: u64,
    /// Reference alleles to compare with the reference.
    sites: Vec<Place>,
    /// Alleles to normalize.
    unsettled: Vec<Place>,
    /// Alleles as the file has them.
    raw: Vec<u8>,
    bases: Vec<u8>,
    /// For each allele, the values of all fields; NaN where there is none.
    values: Vec<f32>,
    found: Vec<bool>,
}

/// Bytes that a value takes, about, as a number and as text.
const VALUE_BYTES: usize = 16;

impl Chunk {
    pub(super) fn new(most_bytes: usize, fields: usize) -> Self {
        Self { most_bytes, fields, ..Self::default() }
    }

    /// Reads the lines from `from` on, as many as may be looked up together, and gives where it stopped. Before all
    /// of `lines` come `lines_before` others.
    pub(super) fn parse(
        &mut self,
        path: &Path,
        lines: &[u8],
        from: usize,
        lines_before: u64,
        contigs: &mut Contigs<'_>,
    ) -> Result<usize, AnnotateError> {
        self.clear();
        let mut at = from;
        let mut last: (&[u8], Option<u32>) = (b"", None);
        while at < lines.len() && !self.is_full() {
            let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |end| at + end);
            let line = &lines[at..end];
            if line.first().is_none_or(|first| matches!(first, b'#' | b'\r')) {
                at = end + 1;
                continue;
            }
            let malformed = |field: &'static str, value: &[u8], problem: &'static str| {
                let before = memchr::memchr_iter(b'\n', &lines[..at]).count() as u64;
                AnnotateError::Input(InputError::Malformed {
                    path: path.into(),
                    unit: "line",
                    number: lines_before + before + 1,
                    field,
                    value: printable(value),
                    problem,
                })
            };
            let end_of_text = line.len() - usize::from(line.ends_with(b"\r"));
            let mut tabs = [end_of_text; BEFORE_INFO];
            let mut found = memchr::memchr_iter(b'\t', line);
            let columns = 1 + tabs.iter_mut().zip(&mut found).map(|(tab, at)| *tab = at).count();
            if columns <= TO_ALTERNATE {
                let problem =
                    "is not a VCF record; expected at least CHROM, POS, ID, REF and ALT, separated by tabs";
                return Err(malformed("text", line, problem));
            }
            let lacking = BEFORE_INFO + 1 - columns;
            let info = if lacking == 0 {
                tabs[BEFORE_INFO - 1] + 1..found.next().unwrap_or(end_of_text)
            } else {
                end_of_text..end_of_text
            };
            let info = at + info.start..at + info.end;
            let name = &line[..tabs[0]];
            if last.0 != name {
                let text = std::str::from_utf8(name)
                    .map_err(|_| malformed("CHROM", name, "is not a contig name"))?;
                last = (name, contigs.resolve(text));
            }
            let digits = &line[tabs[0] + 1..tabs[1]];
            let one_based = number(digits)
                .ok_or_else(|| malformed("POS", digits, "is not a position; expected a whole number"))?;
            let (old, new) = (&line[tabs[2] + 1..tabs[3]], &line[tabs[3] + 1..tabs[4]]);
            let count = 1 + memchr::memchr_iter(b',', new).count();
            if let Some(problem) = too_many_alleles(old.len(), new.len(), count) {
                return Err(malformed("REF", old, problem));
            }
            let first = self.alleles;
            self.site(last.1, one_based, old);
            if new != b"." {
                for alternate in new.split(|byte| *byte == b',') {
                    self.allele(last.1, one_based, old, alternate);
                }
            }
            self.unknown_contigs += u64::from(last.1.is_none());
            self.records.push(Record { info, lacking, alleles: first..self.alleles });
            at = end + 1;
        }
        Ok(at.min(lines.len()))
    }

    /// Whether its alleles take as much memory, for themselves and for their values, as they may together.
    pub(super) fn is_full(&self) -> bool {
        let per_allele = size_of::<Place>() + size_of::<Wanted>() + self.fields * VALUE_BYTES;
        // Those that are normalized are there twice.
        2 * self.raw.len() + self.bases.len() + self.alleles as usize * per_allele > self.most_bytes
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.wanted.clear();
        self.bases.clear();
        self.raw.clear();
        self.sites.clear();
        self.unsettled.clear();
        (self.alleles, self.unknown_contigs) = (0, 0);
    }

    /// Takes down the reference allele of the record in hand, which is not yet among the records.
    pub(super) fn site(&mut self, contig: Option<u32>, one_based: u64, old: &[u8]) {
        if let Some(contig) = contig {
            let place = self.place(contig, one_based, old, b"", to_u32(self.records.len()));
            self.sites.push(place);
        }
    }

    /// Takes down an alternate allele of the record in hand.
    pub(super) fn allele(&mut self, contig: Option<u32>, one_based: u64, old: &[u8], new: &[u8]) {
        let number = self.alleles;
        self.alleles += 1;
        let Some(contig) = contig else { return };
        if old.len() == 1 && new.len() == 1 {
            // A reference allele that contradicts the reference has no scored row.
            if let Some(position) = Position::from_one_based(one_based) {
                self.want(contig, position, old, new, number);
            }
        } else if std::str::from_utf8(old).is_ok() && std::str::from_utf8(new).is_ok() {
            // What is not text is not an allele, and has no row.
            let place = self.place(contig, one_based, old, new, number);
            self.unsettled.push(place);
        }
    }

    fn place(&mut self, contig: u32, one_based: u64, old: &[u8], new: &[u8], number: u32) -> Place {
        let alleles = self.raw.len();
        self.raw.extend_from_slice(old);
        self.raw.extend_from_slice(new);
        let [reference, alternate] = [old, new].map(|allele| to_u32(allele.len()));
        Place { contig, one_based, alleles, reference, alternate, number }
    }

    /// Compares reference alleles and normalizes what must be, both in the order of the reference, whatever order
    /// the records have. `line` gives the line of a record of the chunk.
    pub(super) fn settle(
        &mut self,
        reference: &mut LazyReference<'_>,
        check: &mut RefCheck,
        line: impl Fn(&Self, u32) -> u64,
    ) -> Result<(), AnnotateError> {
        let order = |place: &Place| (place.contig, place.one_based);
        let mut sites = std::mem::take(&mut self.sites);
        if !sites.is_sorted_by_key(order) {
            sites.sort_by_key(order);
        }
        let (mut bases, mut differing) = (Vec::new(), Vec::new());
        if let Some(reference) = reference.compared_with(sites.is_empty())? {
            for site in &sites {
                let stated = std::str::from_utf8(self.raw(site).0).unwrap_or_default();
                let compared = compare_reference(site.contig, site.one_based, stated, reference, &mut bases)?;
                match compared {
                    Some(RefComparison::Other(found)) => differing.push((*site, found.to_vec())),
                    Some(comparison) => check.count(comparison, 0, "", site.one_based, stated)?,
                    None => check.beyond(site.one_based),
                }
            }
        } else {
            // Without a reference, lengths alone can be compared.
            for site in &sites {
                let stated = std::str::from_utf8(self.raw(site).0).unwrap_or_default();
                if lies_inside(site.one_based, stated, reference.contig_length(site.contig)) {
                    check.count(RefComparison::Unknown, 0, "", site.one_based, stated)?;
                } else {
                    check.beyond(site.one_based);
                }
            }
        }
        differing.sort_by_key(|(site, _)| site.number);
        for (site, found) in differing {
            let stated = String::from_utf8_lossy(self.raw(&site).0).into_owned();
            let contig = reference.contig_name(site.contig).to_owned();
            let line = line(self, site.number);
            check.count(RefComparison::Other(&found), line, &contig, site.one_based, &stated)?;
        }
        self.sites = sites;
        let mut unsettled = std::mem::take(&mut self.unsettled);
        if !unsettled.is_sorted_by_key(order) {
            unsettled.sort_by_key(order);
        }
        for place in &unsettled {
            let (old, new) = self.raw(place);
            let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
            let Place { contig, one_based, .. } = *place;
            let input = Allele { contig, one_based, reference: text(old), alternate: text(new) };
            if let Normalized::Row { variant, .. } = normalize(input, reference.get()?)? {
                let (old, new) = (variant.reference.as_bytes(), variant.alternate.as_bytes());
                self.want(contig, variant.position, old, new, place.number);
            }
        }
        self.unsettled = unsettled;
        Ok(())
    }

    /// Reference and alternate allele of a place, as the file has them.
    fn raw(&self, place: &Place) -> (&[u8], &[u8]) {
        let start = place.alleles;
        let middle = start + place.reference as usize;
        (&self.raw[start..middle], &self.raw[middle..middle + place.alternate as usize])
    }

    fn want(&mut self, contig: u32, position: Position, old: &[u8], new: &[u8], allele: u32) {
        self.wanted.push(Wanted {
            contig,
            position,
            bases: self.bases.len(),
            reference: to_u32(old.len()),
            alternate: to_u32(new.len()),
            allele,
        });
        self.bases.extend(old.iter().map(u8::to_ascii_uppercase));
        self.bases.extend(new.iter().map(u8::to_ascii_uppercase));
    }

    /// Puts what is to be looked up into the order of rows.
    pub(super) fn sort(&mut self) {
        let bases = &self.bases;
        let key = |wanted: &Wanted| {
            let (reference, alternate) = alleles(bases, *wanted);
            (wanted.contig, wanted.position, reference, alternate)
        };
        if !self.wanted.is_sorted_by(|a, b| key(a) <= key(b)) {
            self.wanted.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        }
    }

    /// Reference and alternate allele, upper case.
    pub(super) fn alleles(&self, wanted: Wanted) -> (&[u8], &[u8]) {
        alleles(&self.bases, wanted)
    }

    /// Makes room for the values of all fields, all missing.
    pub(super) fn reset_values(&mut self) {
        self.values.clear();
        self.values.resize(self.alleles as usize * self.fields, f32::NAN);
        self.found.clear();
        self.found.resize(self.alleles as usize, false);
    }

    pub(super) fn set_found(&mut self, allele: u32) {
        self.found[allele as usize] = true;
    }

    pub(super) fn set_value(&mut self, allele: u32, field: usize, value: f32) {
        self.values[allele as usize * self.fields + field] = value;
    }

    pub(super) fn value(&self, allele: u32, field: usize) -> Option<f32> {
        Some(self.values[allele as usize * self.fields + field]).filter(|value| !value.is_nan())
    }

    /// How many alleles have a row.
    pub(super) fn found(&self) -> u64 {
        self.found.iter().filter(|found| **found).count() as u64
    }
}

fn alleles(bases: &[u8], wanted: Wanted) -> (&[u8], &[u8]) {
    let start = wanted.bases;
    let middle = start + wanted.reference as usize;
    (&bases[start..middle], &bases[middle..middle + wanted.alternate as usize])
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}
