//! Alleles of a population, put into windows at their frequencies, so that a model sees what people carry and
//! not one reference alone (as dnaGrinder trains, arXiv 2409.15697).

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;
use vestore::{ImportError, KeyColumns, LabelledRow, LabelledRows};
use vestore_schema::Region;

use crate::convert::narrow;
use crate::genome::Genome;
use crate::random::Random;
use vestore_schema::hexadecimal;

/// Why alleles cannot be used.
#[derive(Debug, Error)]
pub enum AllelesError {
    /// The VCF cannot be read.
    #[error(transparent)]
    Input(#[from] ImportError),
    /// A record without frequencies.
    #[error(
        "`{}`, line {line}: AF is `{found}`, not a frequency from 0 to 1 for each of {alternates} alternate alleles; `bcftools +fill-tags -- -t AF` computes it", file.display()
    )]
    Frequency {
        /// The VCF.
        file: PathBuf,
        /// 1-based.
        line: u64,
        /// How many are due.
        alternates: usize,
        /// What stands there.
        found: String,
    },
    /// Not one record fits the genome.
    #[error(
        "no allele of `{}` fits the genome: {unknown_contig} records are on other contigs, {ref_mismatch} have \
         another reference allele; is it of this assembly?", file.display()
    )]
    NoneFits {
        /// The VCF.
        file: PathBuf,
        /// Records on contigs that the genome lacks.
        unknown_contig: u64,
        /// Records whose REF is not the genome's.
        ref_mismatch: u64,
    },
}

/// A place where people differ.
#[derive(Clone, Debug, PartialEq)]
struct Site {
    contig: u32,
    /// 0-based.
    position: u32,
    reference_length: u32,
    /// Alternate bases with the frequency up to and with each.
    alternates: Vec<(f64, Vec<u8>)>,
}

/// What was read of a VCF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlleleCounts {
    /// Alternate alleles in use.
    pub used: u64,
    /// Alternate alleles that are no bases: symbolic, `*`, missing.
    pub not_bases: u64,
    /// Records on contigs that the genome lacks.
    pub unknown_contig: u64,
    /// Records whose REF is not the genome's.
    pub ref_mismatch: u64,
}

/// Alleles by place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alleles {
    sites: Vec<Site>,
    counts: AlleleCounts,
}

impl Alleles {
    /// Adds all alleles of `file` that fit `genome`: SNVs, and insertions and deletions spelled in bases. The
    /// frequencies are INFO's `AF`.
    ///
    /// # Errors
    /// When the file cannot be read, a record lacks frequencies, or nothing fits.
    pub fn read(&mut self, file: &Path, genome: &Genome) -> Result<(), AllelesError> {
        let mut rows = LabelledRows::open(file, &KeyColumns::default(), &["AF"])?;
        let (mut row, mut record, mut found) = (LabelledRow::default(), Vec::new(), Self::default());
        while rows.read(&mut row)? {
            let of = row.of;
            record.push(std::mem::take(&mut row));
            if record.len() == of {
                found.add(&record, file, genome)?;
                record.clear();
            }
        }
        let AlleleCounts { used, not_bases, unknown_contig, ref_mismatch } = found.counts;
        if used == 0 {
            return Err(AllelesError::NoneFits { file: file.to_owned(), unknown_contig, ref_mismatch });
        }
        self.counts.used += used;
        self.counts.not_bases += not_bases;
        self.counts.unknown_contig += unknown_contig;
        self.counts.ref_mismatch += ref_mismatch;
        self.sites.append(&mut found.sites);
        self.sites.sort_by_key(|site| (site.contig, site.position, site.reference_length));
        Ok(())
    }

    /// SHA-256 over all alleles and their frequencies.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for site in &self.sites {
            for number in [site.contig, site.position, site.reference_length, narrow(site.alternates.len())] {
                hash.update(number.to_le_bytes());
            }
            for (below, bases) in &site.alternates {
                hash.update(below.to_le_bytes());
                hash.update((bases.len() as u64).to_le_bytes());
                hash.update(bases);
            }
        }
        hexadecimal(&hash.finalize())
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> AlleleCounts {
        self.counts
    }

    /// Adds the alternates of one record.
    fn add(&mut self, alleles: &[LabelledRow], file: &Path, genome: &Genome) -> Result<(), AllelesError> {
        let Some(record) = alleles.first() else { return Ok(()) };
        let Some(contig) = genome.assembly().resolve(&record.contig) else {
            self.counts.unknown_contig += 1;
            return Ok(());
        };
        let inside = || {
            let start = u32::try_from(record.one_based.checked_sub(1)?).ok()?;
            let end = start.checked_add(u32::try_from(record.reference.len()).ok()?)?;
            (end <= genome.assembly().contig(contig).length).then_some(Region { contig, start, end })
        };
        let matches =
            |region: &Region| record.reference.as_bytes().eq_ignore_ascii_case(genome.letters(*region));
        let Some(region) = inside().filter(matches) else {
            self.counts.ref_mismatch += 1;
            return Ok(());
        };
        let frequencies = frequencies(alleles).ok_or_else(|| AllelesError::Frequency {
            file: file.to_owned(),
            line: record.line,
            alternates: record.of,
            found: record.values.join(","),
        })?;
        let mut alternates = Vec::new();
        let mut below = 0.0;
        for (allele, frequency) in alleles.iter().zip(frequencies) {
            let bases = allele.alternate.to_ascii_uppercase().into_bytes();
            if bases.iter().all(|base| b"ACGT".contains(base)) {
                below += frequency;
                alternates.push((below, bases));
            } else {
                self.counts.not_bases += 1;
            }
        }
        if !alternates.is_empty() {
            self.counts.used += alternates.len() as u64;
            let Region { start: position, end, .. } = region;
            self.sites.push(Site { contig, position, reference_length: end - position, alternates });
        }
        Ok(())
    }

    /// One haplotype from `region.start` on, as long as `region`: at each place an allele is drawn by its
    /// frequency. Letters as in [`Genome::letters`]; `None` where deletions use up what `limit` (the end of the
    /// region of known bases) leaves.
    pub(crate) fn haplotype(
        &self,
        genome: &Genome,
        region: Region,
        limit: u32,
        random: &mut Random,
    ) -> Option<Vec<u8>> {
        let length = region.len() as usize;
        let mut letters = Vec::with_capacity(length);
        let mut at = region.start;
        let first =
            self.sites.partition_point(|site| (site.contig, site.position) < (region.contig, region.start));
        for site in self.sites[first..].iter().take_while(|site| site.contig == region.contig) {
            let before = letters.len() + (site.position.saturating_sub(at)) as usize;
            if before >= length {
                break;
            }
            let drawn = random.uniform();
            let chosen = site.alternates.iter().find(|(below, _)| drawn < *below);
            // A site inside an allele that was put in has nothing left to differ from.
            let Some((_, bases)) = chosen.filter(|_| site.position >= at) else { continue };
            if site.position + site.reference_length > limit {
                break;
            }
            letters.extend_from_slice(genome.letters(Region { start: at, end: site.position, ..region }));
            let here = Region { start: site.position, end: site.position + site.reference_length, ..region };
            let masked = genome.letters(here).iter().any(u8::is_ascii_lowercase);
            letters.extend(bases.iter().map(|base| if masked { base.to_ascii_lowercase() } else { *base }));
            at = here.end;
        }
        let rest = narrow(length.saturating_sub(letters.len()));
        if rest > limit.saturating_sub(at) {
            return None;
        }
        letters.extend_from_slice(genome.letters(Region { start: at, end: at + rest, ..region }));
        letters.truncate(length);
        Some(letters)
    }
}

/// The frequency of each alternate allele of a record; `None` where one is missing or shared.
fn frequencies(alleles: &[LabelledRow]) -> Option<Vec<f64>> {
    let frequency = |allele: &LabelledRow| {
        let text = allele.values.first().filter(|_| !allele.shared)?;
        text.parse().ok().filter(|frequency| (0.0..=1.0).contains(frequency))
    };
    alleles.iter().map(frequency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vcf: &Path, genome: &Genome) -> Result<Alleles, AllelesError> {
        let mut alleles = Alleles::default();
        alleles.read(vcf, genome).map(|()| alleles)
    }

    fn fixture(records: &str) -> (tempfile::TempDir, Genome, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let (fasta, vcf) = (directory.path().join("a.fa"), directory.path().join("a.vcf"));
        std::fs::write(&fasta, ">a\nACGTacgtACGTNACG\n").expect("written");
        let header = "##INFO=<ID=AF,Number=A>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
        std::fs::write(&vcf, format!("{header}{records}")).expect("written");
        let genome = Genome::read(&[fasta]).expect("a genome");
        (directory, genome, vcf)
    }

    #[test]
    fn alleles_come_at_their_frequencies_and_keep_the_length() {
        let (_directory, genome, vcf) = fixture(
            "a\t2\t.\tC\tT\t.\t.\tAF=1\na\t4\t.\tTA\tT\t.\t.\tAF=0.25\na\t7\t.\tG\tGTT,<DEL>\t.\t.\tAF=1,0\n\
             b\t1\t.\tA\tC\t.\t.\tAF=1\na\t9\t.\tC\tA\t.\t.\tAF=1\n",
        );
        let alleles = read(&vcf, &genome).expect("alleles");
        let counts = AlleleCounts { used: 3, not_bases: 1, unknown_contig: 1, ref_mismatch: 1 };
        assert_eq!(alleles.counts(), counts);
        let mut random = Random::new(2);
        let region = Region { contig: 0, start: 0, end: 10 };
        let mut deleted = 0;
        for _ in 0..4_000 {
            let letters = alleles.haplotype(&genome, region, 12, &mut random).expect("room");
            match letters.as_slice() {
                b"ATGTacgttt" => {}
                b"ATGtcgttt" | b"ATGtcgtttA" => deleted += 1,
                other => panic!("{}", String::from_utf8_lossy(other)),
            }
        }
        assert!((900..1_100).contains(&deleted), "{deleted}");
    }

    #[test]
    fn deletions_never_reach_beyond_the_limit() {
        let (_directory, genome, vcf) = fixture("a\t9\t.\tACGT\tA\t.\t.\tAF=1\n");
        let alleles = read(&vcf, &genome).expect("alleles");
        let region = Region { contig: 0, start: 6, end: 12 };
        assert_eq!(alleles.haplotype(&genome, region, 12, &mut Random::new(1)), None);
        let inside = Region { contig: 0, start: 2, end: 8 };
        assert_eq!(
            alleles.haplotype(&genome, inside, 12, &mut Random::new(1)).as_deref(),
            Some(&b"GTacgt"[..])
        );
    }

    #[test]
    fn frequencies_must_be_there() {
        let (_directory, genome, vcf) = fixture("a\t2\t.\tC\tT,G\t.\t.\tAF=0.5\n");
        let error = read(&vcf, &genome).expect_err("one frequency").to_string();
        assert!(error.contains("line 3: INFO field `AF` has 1 value; expected 2"), "{error}");
        let (_directory, genome, vcf) = fixture("a\t2\t.\tG\tT\t.\t.\tAF=0.5\n");
        assert!(read(&vcf, &genome).expect_err("no match").to_string().contains("1 have"));
    }
}
