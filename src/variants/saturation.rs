//! Every SNV of every base of some regions.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use vestore_schema::{Position, Region, Variant};

use crate::narrow::to_u32;
use crate::reference::{Reference, ReferenceError};

/// Bases that are read at once.
const BLOCK: u32 = 64 << 10;

/// Bases between places where reading can start without counting from the region's start.
const STRIDE: u32 = 1 << 20;

const BASES: [u8; 4] = *b"ACGT";

/// All SNVs of some regions, three for each A, C, G, T of the reference; other bases are left out.
/// Nothing is stored but the regions: the variants are made as they are read.
#[derive(Clone)]
pub(super) struct Saturation {
    reference: Arc<Reference>,
    regions: Arc<[Region]>,
    marks: Arc<[Mark]>,
    len: u64,
    non_acgt_bases: u64,
    digest: [u8; 32],
}

/// The number of the first variant at or after a base.
#[derive(Clone, Copy)]
struct Mark {
    row: u64,
    region: usize,
    /// Where the base lies, 0-based.
    start: u32,
}

impl Saturation {
    /// Counts the variants of `regions`, which may overlap and come in any order, in one pass over
    /// their bases.
    pub(super) fn new(regions: Vec<Region>, reference: &Reference) -> Result<Self, ReferenceError> {
        let regions: Arc<[Region]> = Region::union(regions).into();
        let reference = Arc::new(reference.reopen()?);
        let mut reader = reference.reopen()?;
        let mut digest = Sha256::new();
        digest.update(b"saturation");
        let (mut marks, mut len, mut non_acgt_bases) = (Vec::new(), 0, 0);
        let mut bases = Vec::new();
        for (index, region) in regions.iter().enumerate() {
            for word in [region.contig, region.start, region.end] {
                digest.update(word.to_le_bytes());
            }
            for start in (region.start..region.end).step_by(BLOCK as usize) {
                if (start - region.start).is_multiple_of(STRIDE) {
                    marks.push(Mark { row: len, region: index, start });
                }
                let end = region.end.min(start.saturating_add(BLOCK));
                reader.fetch_into(Region { start, end, ..*region }, &mut bases)?;
                let acgt = bases.iter().filter(|base| BASES.contains(base)).count() as u64;
                len += 3 * acgt;
                non_acgt_bases += bases.len() as u64 - acgt;
                digest.update(&bases);
            }
        }
        let digest = digest.finalize().into();
        Ok(Self { reference, regions, marks: marks.into(), len, non_acgt_bases, digest })
    }

    /// Number of variants.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bases left out because they are not A, C, G, T.
    pub(super) fn non_acgt_bases(&self) -> u64 {
        self.non_acgt_bases
    }

    /// Contigs in order, each with the number of its first variant.
    pub(super) fn contigs(&self) -> Vec<(u32, u64)> {
        let mut contigs: Vec<(u32, u64)> = Vec::new();
        for mark in self.marks.iter() {
            let contig = self.regions[mark.region].contig;
            if contigs.last().is_none_or(|(last, _)| *last != contig) {
                contigs.push((contig, mark.row));
            }
        }
        contigs
    }

    /// SHA-256 of the regions and their bases.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The variants from number `from` on, in order.
    pub(super) fn read(&self, from: u64) -> Result<SaturationRows, ReferenceError> {
        let at = self.marks.partition_point(|mark| mark.row <= from).saturating_sub(1);
        let mark = self.marks.get(at).filter(|_| from < self.len);
        let mark = mark.copied().unwrap_or(Mark { row: from, region: self.regions.len(), start: 0 });
        let mut rows = SaturationRows {
            reference: self.reference.reopen()?,
            regions: Arc::clone(&self.regions),
            region: mark.region,
            start: mark.start,
            bases: Vec::new(),
            base: 0,
            letter: 0,
        };
        for _ in mark.row..from {
            rows.advance()?;
        }
        Ok(rows)
    }
}

/// Reads the variants of a [`Saturation`].
pub(super) struct SaturationRows {
    reference: Reference,
    regions: Arc<[Region]>,
    region: usize,
    /// Where the first of `bases` lies, 0-based.
    start: u32,
    bases: Vec<u8>,
    /// The base in hand, and the letter that is its next alternate.
    base: usize,
    letter: usize,
}

impl SaturationRows {
    /// Contig, position, reference and alternate base of the next variant.
    fn advance(&mut self) -> Result<Option<(u32, Position, u8, u8)>, ReferenceError> {
        loop {
            let Some(region) = self.regions.get(self.region) else { return Ok(None) };
            let Some(&base) = self.bases.get(self.base) else {
                self.start += to_u32(self.bases.len());
                self.bases.clear();
                self.base = 0;
                if self.start >= region.end {
                    self.region += 1;
                    self.start = self.regions.get(self.region).map_or(0, |region| region.start);
                } else {
                    let end = region.end.min(self.start.saturating_add(BLOCK));
                    let block = Region { contig: region.contig, start: self.start, end };
                    self.reference.fetch_into(block, &mut self.bases)?;
                }
                continue;
            };
            if self.letter == BASES.len() || !BASES.contains(&base) {
                (self.base, self.letter) = (self.base + 1, 0);
                continue;
            }
            let letter = BASES[self.letter];
            self.letter += 1;
            if letter != base {
                let position = Position::new(self.start + to_u32(self.base));
                return Ok(Some((region.contig, position, base, letter)));
            }
        }
    }
}

impl Iterator for SaturationRows {
    type Item = Result<Variant, ReferenceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let allele = |base: u8| Box::from(char::from(base).encode_utf8(&mut [0; 4]) as &str);
        let made = self.advance().map(|found| {
            found.map(|(contig, position, reference, alternate)| Variant {
                contig,
                position,
                reference: allele(reference),
                alternate: allele(alternate),
            })
        });
        made.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, random_bases};

    fn region(contig: u32, start: u32, end: u32) -> Region {
        Region { contig, start, end }
    }

    #[test]
    fn every_snv_of_united_regions_comes_in_order_and_non_acgt_bases_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        std::fs::write(&path, ">1\nacNGR\n>2\nT\n").unwrap();
        let reference = Reference::open(&path).unwrap();
        let regions = vec![region(1, 0, 1), region(0, 2, 5), region(0, 1, 3), region(0, 4, 4)];
        let saturation = Saturation::new(regions, &reference).unwrap();
        let told: Vec<String> = saturation
            .read(0)
            .unwrap()
            .map(|variant| variant.unwrap())
            .map(|variant| {
                format!(
                    "{}:{}{}{}",
                    variant.contig,
                    variant.position.zero_based(),
                    variant.reference,
                    variant.alternate
                )
            })
            .collect();
        assert_eq!(told, ["0:1CA", "0:1CG", "0:1CT", "0:3GA", "0:3GC", "0:3GT", "1:0TA", "1:0TC", "1:0TG"]);
        assert_eq!((saturation.len(), saturation.non_acgt_bases()), (9, 2));
        let none = Saturation::new(vec![region(0, 2, 3)], &reference).unwrap();
        assert_eq!((none.len(), none.read(0).unwrap().count()), (0, 0));
        assert_ne!(none.digest(), saturation.digest());
        assert!(Saturation::new(vec![region(0, 2, 6)], &reference).is_err());
    }

    #[test]
    fn reading_starts_at_any_variant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        let mut bases = random_bases(&mut Random::new(5), (2 << 20) + 70_000);
        bases[1_000_000..1_100_000].fill(b'N');
        std::fs::write(&path, [b">1\n".as_slice(), &bases, b"\n"].concat()).unwrap();
        let reference = Reference::open(&path).unwrap();
        let regions = vec![region(0, 10, 20), region(0, 100, bases.len() as u32)];
        let saturation = Saturation::new(regions, &reference).unwrap();
        let all: Vec<Variant> = saturation.read(0).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len() as u64, saturation.len());
        assert!(all.is_sorted());
        for from in
            [0, 1, 29, 30, 31, 2_999_999, 3_145_728, 5_000_000, all.len() - 1, all.len(), all.len() + 1]
        {
            let found = saturation.read(from as u64).unwrap().next().transpose().unwrap();
            assert_eq!(found.as_ref(), all.get(from), "from {from}");
        }
    }
}
