//! A variant, as people write it, and why one may carry no score.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::assembly::Assembly;
use crate::locus::{LocusError, coordinate};
use crate::position::Position;

/// One alternate allele at one place, in VCF normal form once it went through normalization:
/// parsimonious, left-aligned, an indel keeping its one anchor base. Ordered as results are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variant {
    /// Index of the contig in the assembly.
    pub contig: u32,
    /// First reference base.
    pub position: Position,
    /// Reference allele, upper case.
    pub reference: Box<str>,
    /// Alternate allele, upper case; `<DEL>`, `*` and breakends as they stand in the input.
    pub alternate: Box<str>,
}

impl Variant {
    /// Reads `17-43044295-G-A`, also with colons. The position is 1-based; the contig may itself
    /// hold the separator. Text that has not this form (a region, say) is `None`.
    ///
    /// # Errors
    /// The contig is unknown or the position lies outside it.
    #[must_use]
    pub fn parse(text: &str, assembly: &Assembly) -> Option<Result<Self, LocusError>> {
        let fields = ['-', ':'].iter().find_map(|separator| {
            let mut parts = text.rsplitn(4, *separator);
            let alternate = parts.next().filter(|allele| is_allele(allele))?;
            let reference = parts.next().filter(|allele| is_allele(allele))?;
            let one_based = parts.next().and_then(coordinate)?;
            Some((parts.next()?, one_based, reference, alternate))
        });
        let (name, one_based, reference, alternate) = fields?;
        let contig = match assembly.find(name) {
            Ok(contig) => contig,
            Err(error) => return Some(Err(error)),
        };
        let length = assembly.contig(contig).length;
        let position = Position::from_one_based(one_based).filter(|position| position.zero_based() < length);
        let Some(position) = position else {
            let contig = assembly.contig(contig).name.clone();
            return Some(Err(LocusError::BeyondEnd { contig, one_based, length }));
        };
        Some(Ok(Self {
            contig,
            position,
            reference: reference.to_ascii_uppercase().into(),
            alternate: alternate.to_ascii_uppercase().into(),
        }))
    }

    /// Whether it replaces one base by one other.
    #[must_use]
    pub fn is_snv(&self) -> bool {
        self.reference.len() == 1 && self.alternate.len() == 1
    }

    /// The variant as people read it: `17-43044295-G-A`, 1-based.
    #[must_use]
    pub fn display<'a>(&'a self, assembly: &'a Assembly) -> impl fmt::Display + 'a {
        let contig = &assembly.contig(self.contig).name;
        fmt::from_fn(move |f| {
            write!(f, "{contig}-{}-{}-{}", self.position.one_based(), self.reference, self.alternate)
        })
    }
}

fn is_allele(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Why a row carries a score or none. Stored as text, so a table read elsewhere explains itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// At least one score column is filled.
    Scored,
    /// The reference allele is not what the reference has there.
    RefMismatch,
    /// An allele, or the token at the variant, holds something else than A, C, G, T.
    NonAcgt,
    /// The contig is shorter than the window, or the alternate window cannot be filled.
    ContigEdge,
    /// A symbolic allele such as `<DEL>`.
    Symbolic,
    /// A breakend such as `G]17:198982]`.
    Breakend,
    /// An allele that no chosen score kind is defined for: `*`, no alternate (`.`), an indel under `llr` alone.
    UnsupportedAllele,
    /// The model gave NaN or infinity.
    NonFinite,
    /// No gene has an exon in the window.
    NoGene,
}

impl Status {
    /// Every status, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Scored,
        Self::RefMismatch,
        Self::NonAcgt,
        Self::ContigEdge,
        Self::Symbolic,
        Self::Breakend,
        Self::UnsupportedAllele,
        Self::NonFinite,
        Self::NoGene,
    ];

    /// The text that is stored and printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::RefMismatch => "ref_mismatch",
            Self::NonAcgt => "non_acgt",
            Self::ContigEdge => "contig_edge",
            Self::Symbolic => "symbolic",
            Self::Breakend => "breakend",
            Self::UnsupportedAllele => "unsupported_allele",
            Self::NonFinite => "non_finite",
            Self::NoGene => "no_gene",
        }
    }

    /// The status that `text` names, if it names one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembly::Contig;

    fn assembly() -> Assembly {
        let contig = |name: &str| Contig { name: name.to_owned(), length: 50_000_000, digest: String::new() };
        Assembly { name: None, contigs: vec![contig("17"), contig("HLA-A*01:01")] }
    }

    #[test]
    fn variants_are_read_from_the_right() {
        let assembly = assembly();
        let variant =
            |text: &str| Variant::parse(text, &assembly).unwrap().unwrap().display(&assembly).to_string();
        assert_eq!(variant("17-43044295-G-A"), "17-43044295-G-A");
        assert_eq!(variant("chr17:43044295:g:at"), "17-43044295-G-AT");
        assert_eq!(variant("HLA-A*01:01-5-G-A"), "HLA-A*01:01-5-G-A");
        assert_eq!(variant("HLA-A*01:01:5:G:A"), "HLA-A*01:01-5-G-A");
    }

    #[test]
    fn regions_are_no_variants_and_bad_places_are_errors() {
        for text in ["17", "17:5-6", "17:5", "HLA-A*01:01:1-5", "17-5-G"] {
            assert!(Variant::parse(text, &assembly()).is_none(), "{text}");
        }
        assert!(Variant::parse("18-5-G-A", &assembly()).unwrap().is_err());
        assert!(Variant::parse("17-0-G-A", &assembly()).unwrap().is_err());
        assert!(Variant::parse("17-50000001-G-A", &assembly()).unwrap().is_err());
    }

    #[test]
    fn statuses_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
