//! Records taken to the reference in its own order, whatever order a file has them in: each block of the reference
//! is then read about once.

use vestore_schema::{Position, Region};

use super::normalize::{Allele, Normalized, Rejection, compatible, normalize};
use super::ref_check::RefComparison;
use crate::narrow::to_u32;
use crate::reference::{Reference, ReferenceError};

/// Bytes of records that are worth holding back for that.
pub const HELD_RECORDS: usize = 16 << 20;

/// One record of a file.
#[derive(Clone, Debug)]
pub struct RecordSite<'a> {
    /// Index of its contig; `None` where the reference has no such contig.
    pub contig: Option<u32>,
    /// As VCF counts.
    pub one_based: u64,
    /// REF as it stands.
    pub reference: &'a str,
    /// Each ALT as it stands.
    pub alternates: Vec<&'a str>,
}

/// What becomes of a record.
#[derive(Clone, Debug, Default)]
pub struct NormalizedSite {
    /// What becomes of each alternate allele.
    pub alleles: Vec<Normalized>,
    compared: Option<Compared>,
}

#[derive(Clone, Debug)]
enum Compared {
    Same,
    Unknown,
    /// The bases of the reference.
    Other(Box<[u8]>),
}

impl NormalizedSite {
    /// How its reference allele compares with the reference; `None` where it does not lie inside a known contig.
    #[must_use]
    pub fn comparison(&self) -> Option<RefComparison<'_>> {
        self.compared.as_ref().map(|compared| match compared {
            Compared::Same => RefComparison::Same,
            Compared::Unknown => RefComparison::Unknown,
            Compared::Other(bases) => RefComparison::Other(bases),
        })
    }
}

/// Normalizes all alleles of `sites`, as [`normalize`] does each; what becomes of them stands in the order of `sites`.
///
/// # Errors
/// The reference cannot be read.
pub fn normalize_sites(
    sites: &[RecordSite<'_>],
    reference: &mut Reference,
) -> Result<Vec<NormalizedSite>, ReferenceError> {
    let place = |at: &usize| (sites[*at].contig, sites[*at].one_based);
    let mut order: Vec<usize> = (0..sites.len()).collect();
    if !order.is_sorted_by_key(place) {
        order.sort_by_key(place);
    }
    let mut found = vec![NormalizedSite::default(); sites.len()];
    let mut bases = Vec::new();
    for at in order {
        let site = &sites[at];
        let Some(contig) = site.contig else {
            found[at].alleles = vec![Normalized::Rejected(Rejection::UnknownContig); site.alternates.len()];
            continue;
        };
        found[at].compared =
            match compare_reference(contig, site.one_based, site.reference, reference, &mut bases)? {
                None => None,
                Some(RefComparison::Same) => Some(Compared::Same),
                Some(RefComparison::Unknown) => Some(Compared::Unknown),
                Some(RefComparison::Other(bases)) => Some(Compared::Other(bases.into())),
            };
        let allele = |alternate: &&str| {
            let allele = Allele { contig, one_based: site.one_based, reference: site.reference, alternate };
            normalize(allele, reference)
        };
        found[at].alleles = site.alternates.iter().map(allele).collect::<Result<_, _>>()?;
    }
    Ok(found)
}

/// Whether a reference allele at `one_based` lies inside a contig of `length` bases.
pub(crate) fn lies_inside(one_based: u64, stated: &str, length: u64) -> bool {
    // An empty allele stands at a base all the same.
    let bases = stated.len().max(1) as u64;
    one_based > 0 && (one_based - 1).saturating_add(bases) <= length
}

/// How a reference allele compares with the reference, read into `bases`; `None` when it does not lie inside the
/// contig.
///
/// # Errors
/// The reference cannot be read.
pub(crate) fn compare_reference<'a>(
    contig: u32,
    one_based: u64,
    stated: &str,
    reference: &mut Reference,
    bases: &'a mut Vec<u8>,
) -> Result<Option<RefComparison<'a>>, ReferenceError> {
    let length = reference.length(contig).map_or(0, u64::from);
    let position = Position::from_one_based(one_based).filter(|_| lies_inside(one_based, stated, length));
    let Some(position) = position else { return Ok(None) };
    if stated.is_empty() || !stated.bytes().all(|letter| letter.is_ascii_alphabetic()) {
        return Ok(Some(RefComparison::Unknown));
    }
    reference.fetch_into(Region::at(contig, position, to_u32(stated.len())), bases)?;
    let pairs = || stated.bytes().map(|letter| letter.to_ascii_uppercase()).zip(bases.iter().copied());
    let is_base = |letter: u8| matches!(letter, b'A' | b'C' | b'G' | b'T');
    Ok(Some(if pairs().any(|(stated, found)| !compatible(stated, found)) {
        RefComparison::Other(bases)
    } else if pairs().any(|(stated, found)| is_base(stated) && is_base(found)) {
        RefComparison::Same
    } else {
        RefComparison::Unknown
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, random_bases};

    #[test]
    fn any_order_has_the_same_outcome_and_reads_each_block_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        let mut random = Random::new(8);
        let bases = random_bases(&mut random, 8 << 20);
        std::fs::write(&path, [b">a\n".as_slice(), &bases, b"\n"].concat()).unwrap();
        let mut reference = Reference::open(&path).unwrap();
        let letters: Vec<(u64, String, String)> = (0..4000)
            .map(|_| {
                let at = random.below(bases.len() as u64 - 10) as usize;
                let length = 1 + random.below(3) as usize;
                let old = String::from_utf8(bases[at..at + length].to_vec()).unwrap();
                (at as u64 + 1, old, ["A", "CC", "<DEL>"][random.below(3) as usize].to_owned())
            })
            .collect();
        let site = |(one_based, old, new): &'_ (u64, String, String)| (*one_based, old.clone(), new.clone());
        let mut sorted: Vec<_> = letters.iter().map(site).collect();
        sorted.sort();
        let mut outcome = |letters: &[(u64, String, String)]| {
            let sites: Vec<RecordSite<'_>> = letters
                .iter()
                .map(|(one_based, old, new)| RecordSite {
                    contig: Some(0),
                    one_based: *one_based,
                    reference: old,
                    alternates: vec![new],
                })
                .collect();
            let before = reference.blocks_read();
            let found = normalize_sites(&sites, &mut reference).unwrap();
            let read = reference.blocks_read() - before;
            (found.iter().map(|site| format!("{site:?}")).collect::<Vec<_>>(), read)
        };
        let (shuffled, read) = outcome(&letters);
        let (in_order, least) = outcome(&sorted);
        assert!(read <= least + 8 && least <= 40, "{read} and {least} blocks of 256 KiB for 8 MiB");
        for (letters, outcome) in letters.iter().zip(shuffled) {
            assert_eq!(in_order[sorted.binary_search(letters).unwrap()], outcome);
        }
    }

    #[test]
    fn reference_alleles_are_compared_as_far_as_they_name_bases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        std::fs::write(&path, b">a\nACGTNNRA\n").unwrap();
        let mut reference = Reference::open(&path).unwrap();
        let mut bases = Vec::new();
        let mut compare = |one_based, stated: &str| {
            compare_reference(0, one_based, stated, &mut reference, &mut bases)
                .unwrap()
                .map(|comparison| match comparison {
                    RefComparison::Same => "same".to_owned(),
                    RefComparison::Unknown => "unknown".to_owned(),
                    RefComparison::Other(bases) => String::from_utf8(bases.to_vec()).unwrap(),
                })
                .unwrap_or_default()
        };
        for (one_based, stated, outcome) in [
            (1, "a", "same"),
            (1, "ACG", "same"),
            (2, "A", "C"),
            (3, "GTT", "same"),
            (5, "G", "unknown"),
            (1, "N", "unknown"),
            (7, "G", "unknown"),
            (7, "T", "R"),
            (1, ".", "unknown"),
            (1, "<*>", "unknown"),
            (8, "A", "same"),
            (8, "AA", ""),
            (9, "A", ""),
            (0, "A", ""),
            (u64::MAX, "A", ""),
            (1, "", "unknown"),
            (9, "", ""),
        ] {
            assert_eq!(compare(one_based, stated), outcome, "{one_based} {stated}");
        }
    }
}
