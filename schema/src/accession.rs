//! `RefSeq` accessions of human chromosomes: which sequence of which assembly one names.
//!
//! Accessions and lengths are those of the assembly reports of `GCF_000001405.25` (`GRCh37`), `GCF_000001405.26` (`GRCh38`)
//! and `GCF_009914755.1` (T2T-CHM13v2.0), <https://www.ncbi.nlm.nih.gov/datasets/genome/>.

use crate::assembly::{Assembly, Contig};
use crate::locus::LocusError;

/// What accessions of chromosomes begin with.
const PREFIX: &str = "NC_";
/// Chromosomes of an assembly, in the order 1 to 22, X, Y.
const NUCLEAR: usize = 24;
/// Assemblies of the table.
const ASSEMBLIES: [&str; 3] = ["GRCh37", "GRCh38", "T2T-CHM13v2.0"];
/// Versions of `NC_000001` to `NC_000024` in `GRCh37` and `GRCh38`.
const VERSIONS: [[u8; NUCLEAR]; 2] = [
    [10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11, 10, 8, 9, 9, 10, 9, 9, 10, 8, 10, 10, 9],
    [11, 12, 12, 12, 10, 12, 14, 11, 12, 11, 10, 12, 11, 9, 10, 10, 11, 10, 10, 11, 9, 11, 11, 10],
];
/// The number before that of chromosome 1 of T2T-CHM13v2.0, whose accessions have version 1.
const BEFORE_T2T: u32 = 60_924;
/// Bases of each chromosome in each assembly.
#[rustfmt::skip]
const LENGTHS: [[u32; NUCLEAR]; 3] = [
    [
        249_250_621, 243_199_373, 198_022_430, 191_154_276, 180_915_260, 171_115_067, 159_138_663, 146_364_022,
        141_213_431, 135_534_747, 135_006_516, 133_851_895, 115_169_878, 107_349_540, 102_531_392, 90_354_753,
        81_195_210, 78_077_248, 59_128_983, 63_025_520, 48_129_895, 51_304_566, 155_270_560, 59_373_566,
    ],
    [
        248_956_422, 242_193_529, 198_295_559, 190_214_555, 181_538_259, 170_805_979, 159_345_973, 145_138_636,
        138_394_717, 133_797_422, 135_086_622, 133_275_309, 114_364_328, 107_043_718, 101_991_189, 90_338_345,
        83_257_441, 80_373_285, 58_617_616, 64_444_167, 46_709_983, 50_818_468, 156_040_895, 57_227_415,
    ],
    [
        248_387_328, 242_696_752, 201_105_948, 193_574_945, 182_045_439, 172_126_628, 160_567_428, 146_259_331,
        150_617_247, 134_758_134, 135_127_769, 133_324_548, 113_566_686, 101_161_492, 99_753_195, 96_330_374,
        84_276_897, 80_542_538, 61_707_364, 66_210_255, 45_090_682, 51_324_926, 154_259_566, 62_460_029,
    ],
];
/// The revised Cambridge Reference Sequence, of `GRCh37` and `GRCh38`.
const MITOCHONDRION: &str = "NC_012920.1";
/// Its length, which sequences in its coordinates have whatever stands at its placeholder 3107; `NC_001807` is longer.
const MITOCHONDRION_LENGTH: u32 = 16_569;

impl Assembly {
    /// The contig that `name` means: as [`Assembly::resolve`], else the one that is the sequence of a `RefSeq`
    /// accession with version, such as `NC_000017.11`.
    ///
    /// # Errors
    /// When there is none, or the accession names the sequence of another assembly.
    pub fn find(&self, name: &str) -> Result<u32, LocusError> {
        if let Some(contig) = self.resolve(name) {
            return Ok(contig);
        }
        if !name.starts_with(PREFIX) {
            return Err(LocusError::unknown_contig(name, self));
        }
        self.named(name)
    }

    /// The contig that is the sequence of a `RefSeq` accession with version, if one is.
    #[must_use]
    pub fn of_accession(&self, accession: &str) -> Option<u32> {
        accession.starts_with(PREFIX).then(|| self.named(accession).ok()).flatten()
    }

    fn named(&self, accession: &str) -> Result<u32, LocusError> {
        let named = Named::parse(accession)
            .ok_or_else(|| LocusError::UnknownAccession { accession: accession.to_owned() })?;
        let contig = self.resolve(&named.chromosome());
        let contig = contig.ok_or_else(|| LocusError::unknown_contig(accession, self))?;
        let there = self.contig(contig);
        if named.is(there) || named.may_be_cut(there, self.name.as_deref()) {
            return Ok(contig);
        }
        Err(LocusError::OtherAssembly {
            accession: accession.to_owned(),
            meant: named.to_string(),
            contig: there.name.clone(),
            found: found(there, named.number),
        })
    }
}

/// What an accession names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    /// Index of the chromosome; none is the mitochondrion.
    number: Option<usize>,
    /// Index of the assembly; of the mitochondrion, nothing.
    assembly: usize,
}

impl Named {
    fn parse(accession: &str) -> Option<Self> {
        if accession == MITOCHONDRION {
            return Some(Self { number: None, assembly: 0 });
        }
        let all = (0..ASSEMBLIES.len())
            .flat_map(|assembly| (0..NUCLEAR).map(move |number| Self { number: Some(number), assembly }));
        all.into_iter().find(|named| named.accession() == accession)
    }

    fn accession(self) -> String {
        let Some(number) = self.number else { return MITOCHONDRION.to_owned() };
        match VERSIONS.get(self.assembly) {
            Some(versions) => format!("NC_{:06}.{}", number + 1, versions[number]),
            None => format!("NC_{:06}.1", BEFORE_T2T as usize + number + 1),
        }
    }

    /// How people call the chromosome.
    fn chromosome(self) -> String {
        match self.number {
            None => "MT".to_owned(),
            Some(22) => "X".to_owned(),
            Some(23) => "Y".to_owned(),
            Some(number) => (number + 1).to_string(),
        }
    }

    /// Whether a contig can be a slice of this sequence, cut at its end: shorter, of no other assembly's length, in an
    /// assembly that has the name of the accession's, or no name.
    fn may_be_cut(self, contig: &Contig, assembly: Option<&str>) -> bool {
        let Some(number) = self.number else { return contig.length < MITOCHONDRION_LENGTH };
        let of_another = LENGTHS.iter().any(|lengths| lengths[number] == contig.length);
        let same = assembly.is_none_or(|name| index_of(name) == Some(self.assembly));
        contig.length < LENGTHS[self.assembly][number] && !of_another && same
    }

    /// Whether a contig is this sequence: of its length, which differs between the assemblies for every chromosome.
    fn is(self, contig: &Contig) -> bool {
        match self.number {
            None => contig.length == MITOCHONDRION_LENGTH,
            Some(number) => contig.length == LENGTHS[self.assembly][number],
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            None => f.write_str("the mitochondrion (rCRS) of GRCh37 and GRCh38"),
            Some(number) => write!(
                f,
                "chromosome {} of {} ({} bases)",
                self.chromosome(),
                ASSEMBLIES[self.assembly],
                LENGTHS[self.assembly][number]
            ),
        }
    }
}

/// The assembly that people call `name`.
fn index_of(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let names: [&[&str]; ASSEMBLIES.len()] =
        [&["grch37", "hg19", "b37", "hs37"], &["grch38", "hg38", "hs38"], &["t2t-chm13", "chm13", "hs1"]];
    names.iter().position(|names| names.iter().any(|known| name.starts_with(known)))
}

/// What a contig is known to be, for error messages.
fn found(contig: &Contig, number: Option<usize>) -> String {
    let known = (0..ASSEMBLIES.len())
        .map(|assembly| Named { number, assembly })
        .find(|named| named.number.is_some() && named.is(contig));
    known.map_or_else(
        || format!("another sequence of {} bases", contig.length),
        |named| format!("{}, that of {}", named.accession(), ASSEMBLIES[named.assembly]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(contigs: &[(&str, u32, &str)]) -> Assembly {
        let contig = |(name, length, digest): &(&str, u32, &str)| Contig {
            name: (*name).to_owned(),
            length: *length,
            digest: (*digest).to_owned(),
        };
        Assembly { name: None, contigs: contigs.iter().map(contig).collect() }
    }

    #[test]
    fn an_accession_is_a_contig_of_its_assembly_alone() {
        let grch38 =
            assembly(&[("chr17", 83_257_441, "x"), ("chrX", 156_040_895, "x"), ("chrM", 16_569, "x")]);
        assert_eq!(grch38.find("NC_000017.11"), Ok(0));
        assert_eq!(grch38.find("NC_000023.11"), Ok(1));
        assert_eq!(grch38.find("NC_012920.1"), Ok(2));
        for (name, part) in [
            (
                "NC_000017.10",
                "chromosome 17 of GRCh37 (81195210 bases), and contig `chr17` of the reference is NC_000017.11, that of GRCh38",
            ),
            ("NC_060941.1", "chromosome 17 of T2T-CHM13v2.0"),
            ("NC_000018.10", "no contig `NC_000018.10`"),
            ("NC_000017.9", "unknown accession `NC_000017.9`"),
            ("NC_000017", "with its version"),
            ("NC_000025.1", "unknown accession"),
            ("NC_17.11", "unknown accession"),
            ("NM_007294.4", "no contig `NM_007294.4`"),
        ] {
            let error = grch38.find(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        // A slice is of the assembly that the store names, or of any where it names none; a contig that is called so is
        // what it is called.
        let mut slice = assembly(&[("17", 1000, "x"), ("MT", 16_571, "x"), ("1", 300_000_000, "x")]);
        for name in ["NC_012920.1", "NC_000001.11"] {
            let error = slice.find(name).unwrap_err().to_string();
            assert!(error.contains("another sequence of"), "{name}: {error}");
        }
        assert_eq!(["NC_000017.11", "NC_000017.10"].map(|name| slice.find(name)), [Ok(0), Ok(0)]);
        for (name, [grch37, grch38, t2t]) in [
            ("hg19", [true, false, false]),
            ("GRCh38.p14", [false, true, false]),
            ("T2T-CHM13v2.0", [false, false, true]),
            ("hg18", [false, false, false]),
            ("mine", [false, false, false]),
        ] {
            slice.name = Some(name.to_owned());
            let found = ["NC_000017.10", "NC_000017.11", "NC_060941.1"].map(|name| slice.find(name).is_ok());
            assert_eq!(found, [grch37, grch38, t2t], "{name}");
        }
        assert_eq!(assembly(&[("NC_000017.11", 1000, "x")]).find("NC_000017.11"), Ok(0));
    }

    #[test]
    fn no_chromosome_has_one_length_in_two_assemblies() {
        for number in 0..NUCLEAR {
            let [a, b, c] = LENGTHS.map(|lengths| lengths[number]);
            assert!(a != b && b != c && a != c, "{number}");
        }
        let t2t = Named { number: Some(23), assembly: 2 };
        assert_eq!((t2t.accession().as_str(), t2t.chromosome().as_str()), ("NC_060948.1", "Y"));
    }
}
