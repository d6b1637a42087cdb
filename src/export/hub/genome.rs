//! What browsers call a genome and its contigs.

use std::collections::HashSet;

use vestore_schema::{Assembly, Position};

use crate::export::ExportError;

/// UCSC's name, which IGV shares, of assemblies that others name differently.
const KNOWN: [(&str, &str); 6] = [
    ("GRCh38", "hg38"),
    ("GRCh37", "hg19"),
    ("T2T-CHM13v2.0", "hs1"),
    ("CHM13", "hs1"),
    ("GRCm39", "mm39"),
    ("GRCm38", "mm10"),
];

/// Genomes of UCSC in which `1`, `X` and `MT` are `chr1`, `chrX` and `chrM`.
const PREFIXED: [&str; 6] = ["hg", "hs", "mm", "rn", "rheMac", "panTro"];

/// Bases of the mitochondrion of hg19's `chrM`; the revised sequence is `chrMT` there.
const OLD_MITOCHONDRION: u32 = 16_571;

/// A genome as browsers name it.
pub(super) struct Genome {
    pub(super) name: String,
    /// The contigs with the names that browsers know.
    pub(super) names: Assembly,
    /// Contigs whose names are not of UCSC's form and stay.
    pub(super) unnamed: usize,
}

impl Genome {
    /// That of `assembly`, called as `given` or else as the store calls it.
    pub(super) fn of(assembly: &Assembly, given: Option<&str>) -> Result<Self, ExportError> {
        let called = given.or(assembly.name.as_deref()).ok_or(ExportError::NoGenome)?;
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if called.is_empty() || !called.chars().all(allowed) {
            return Err(ExportError::Genome { name: called.to_owned() });
        }
        let name = ucsc_name(called);
        let mut names = assembly.clone();
        let mut unnamed = 0;
        let digits = name.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        if PREFIXED.contains(&&name[..name.len() - digits.len()]) {
            let held: HashSet<&str> = assembly.contigs.iter().map(|contig| contig.name.as_str()).collect();
            for contig in &mut names.contigs {
                match ucsc_contig(name, &contig.name, contig.length) {
                    Some(renamed) if !held.contains(renamed.as_str()) => contig.name = renamed,
                    _ => unnamed += usize::from(!contig.name.starts_with("chr")),
                }
            }
        }
        Ok(Self { name: name.to_owned(), names, unnamed })
    }

    /// A hundred bases from a place on, as browsers write it; the beginning of the first contig without one.
    pub(super) fn locus(&self, place: Option<(u32, Position)>) -> String {
        let Some(contig) =
            place.map_or(self.names.contigs.first(), |(contig, _)| Some(self.names.contig(contig)))
        else {
            return "all".to_owned();
        };
        let start = place.map_or(1, |(_, position)| position.one_based());
        format!("{}:{start}-{}", contig.name, (start + 99).min(contig.length.into()))
    }
}

/// UCSC's name of an assembly, as far as it is known; patches have the assembly's coordinates.
fn ucsc_name(called: &str) -> &str {
    let plain = match called.rsplit_once(".p") {
        Some((plain, patch)) if patch.bytes().all(|byte| byte.is_ascii_digit()) => plain,
        _ => called,
    };
    let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(plain));
    known.map_or(called, |(_, name)| name)
}

/// UCSC's name of a contig with a plain one.
fn ucsc_contig(genome: &str, name: &str, length: u32) -> Option<String> {
    match name {
        "MT" | "M" if genome == "hg19" && length != OLD_MITOCHONDRION => Some("chrMT".to_owned()),
        "MT" | "M" => Some("chrM".to_owned()),
        "X" | "Y" => Some(format!("chr{name}")),
        _ if !name.is_empty() && name.len() <= 2 && name.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(format!("chr{name}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use vestore_schema::Contig;

    use super::*;

    fn genome(
        name: Option<&str>,
        given: Option<&str>,
        contigs: &[(&str, u32)],
    ) -> Result<Genome, ExportError> {
        let contigs = contigs.iter().map(|(name, length)| Contig {
            name: (*name).to_owned(),
            length: *length,
            digest: String::new(),
        });
        Genome::of(&Assembly { name: name.map(str::to_owned), contigs: contigs.collect() }, given)
    }

    fn names(genome: &Genome) -> Vec<&str> {
        genome.names.contigs.iter().map(|contig| contig.name.as_str()).collect()
    }

    #[test]
    fn assemblies_of_ucsc_have_its_names() {
        let contigs = [("1", 9), ("X", 9), ("MT", 16_569), ("GL000192.1", 9), ("chr2", 9)];
        let found = genome(Some("GRCh38.p14"), None, &contigs).unwrap();
        assert_eq!((found.name.as_str(), found.unnamed), ("hg38", 1));
        assert_eq!(names(&found), ["chr1", "chrX", "chrM", "GL000192.1", "chr2"]);
        assert_eq!(found.locus(Some((0, Position::new(4)))), "chr1:5-9");
        let found = genome(Some("grch37"), None, &contigs).unwrap();
        assert_eq!((found.name.as_str(), names(&found)[2]), ("hg19", "chrMT"));
        assert_eq!(names(&genome(None, Some("hg19"), &[("MT", 16_571)]).unwrap()), ["chrM"]);
        // A name that is there already is not given twice.
        assert_eq!(names(&genome(None, Some("hg38"), &[("1", 9), ("chr1", 9)]).unwrap()), ["1", "chr1"]);
    }

    #[test]
    fn other_genomes_keep_their_names_and_one_is_needed() {
        let found = genome(Some("x"), Some("GCA_009914755.4"), &[("1", 9)]).unwrap();
        assert_eq!((found.name.as_str(), names(&found), found.unnamed), ("GCA_009914755.4", vec!["1"], 0));
        assert!(matches!(genome(None, None, &[]), Err(ExportError::NoGenome)));
        for name in ["", "hg38\ntrackDb x", "hg 38"] {
            assert!(matches!(genome(Some(name), None, &[]), Err(ExportError::Genome { .. })));
        }
    }
}
