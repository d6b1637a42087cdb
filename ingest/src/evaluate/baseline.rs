//! Scores that need no model: what a model must beat.

use vestore::{Reference, ReferenceError};
use vestore_schema::{Region, Variant};

use crate::convert::narrow;

/// A plain rule as a score: 1 where it holds, 0 where not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Whether an SNV is a transition (A and G, or C and T). Other variants have no score.
    Transition,
    /// Whether the variant changes a base of a CpG site of the reference, or inserts between its two bases.
    Cpg,
}

impl Baseline {
    /// By its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "transition" => Some(Self::Transition),
            "cpg" => Some(Self::Cpg),
            _ => None,
        }
    }

    /// The score of a variant; `None` where the rule says nothing of it.
    ///
    /// # Errors
    /// The reference cannot be read.
    pub fn score(self, variant: &Variant, reference: &mut Reference) -> Result<Option<f64>, ReferenceError> {
        let (old, new) = (variant.reference.as_bytes(), variant.alternate.as_bytes());
        if old.iter().chain(new).any(|base| !b"ACGT".contains(base)) {
            return Ok(None);
        }
        match self {
            Self::Transition => {
                let (&[old], &[new]) = (old, new) else { return Ok(None) };
                let pair = [old.min(new), old.max(new)];
                Ok(Some(f64::from(u8::from(pair == *b"AG" || pair == *b"CT"))))
            }
            Self::Cpg => {
                // Bases that both alleles share at their ends are not changed.
                let ahead = old.iter().zip(new).take_while(|(old, new)| old == new).count();
                let behind = old[ahead..].iter().rev().zip(new[ahead..].iter().rev());
                let behind = behind.take_while(|(old, new)| old == new).count();
                let position = variant.position.zero_based();
                let (start, end) = (position + narrow(ahead), position + narrow(old.len() - behind));
                let Some(length) = reference.length(variant.contig) else { return Ok(None) };
                let around = Region {
                    contig: variant.contig,
                    start: start.saturating_sub(1),
                    end: end.saturating_add(1).min(length),
                };
                let bases = reference.fetch(around)?;
                Ok(Some(f64::from(u8::from(bases.windows(2).any(|pair| pair == b"CG")))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_where_they_should() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.fa");
        //                          0123456789
        std::fs::write(&file, ">x\nCGATTCGAAC\n").expect("written");
        let mut reference = Reference::open(&file).expect("a reference");
        let mut score = |rule: Baseline, position, reference_allele: &str, alternate: &str| {
            let variant = Variant {
                contig: 0,
                position: vestore_schema::Position::new(position),
                reference: reference_allele.into(),
                alternate: alternate.into(),
            };
            rule.score(&variant, &mut reference).expect("read")
        };
        for (old, new, transition) in
            [("A", "G", 1.0), ("G", "A", 1.0), ("T", "C", 1.0), ("A", "C", 0.0), ("T", "A", 0.0)]
        {
            assert_eq!(score(Baseline::Transition, 3, old, new), Some(transition), "{old}>{new}");
        }
        assert_eq!(score(Baseline::Transition, 3, "TT", "T"), None);
        for (position, old, new, cpg) in [
            (0, "C", "T", 1.0),
            (1, "G", "T", 1.0),
            (2, "A", "T", 0.0),
            (4, "T", "A", 0.0),
            (5, "C", "A", 1.0),
            (9, "C", "A", 0.0),
            (4, "TC", "T", 1.0), // deletes the C
            (3, "TT", "T", 0.0), // deletes a T before TC
            (5, "C", "CA", 1.0), // inserts between C and G
            (4, "T", "TA", 0.0), // inserts before C
        ] {
            assert_eq!(score(Baseline::Cpg, position, old, new), Some(cpg), "{position} {old}>{new}");
        }
        assert_eq!(score(Baseline::Cpg, 0, "C", "<DEL>"), None);
    }
}
