//! Genomic names of variants as HGVS writes them: `NC_000017.11:g.43045712T>C`, `chr17:g.…`, `m.3243A>G`.
//!
//! <https://hgvs-nomenclature.org/stable/recommendations/DNA/>

use thiserror::Error;
use vestore_schema::{Assembly, LocusError, Position, Region, Variant};

use crate::reference::{Reference, ReferenceError};
use crate::store::Store;
use crate::variants::{Allele, Normalized, normalize};

/// Most bases that a name may delete or double.
const LONGEST: u32 = 1_000_000;
/// Length of a mitochondrial sequence (`NC_001807`) that `m.` does not count along: positions differ from the revised one.
const OLD_MITOCHONDRION: u32 = 16_571;

/// Why an HGVS name is not a variant of the reference.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HgvsError {
    /// A name along a transcript or protein.
    #[error(
        "HGVS `{kind}.` names are not supported: `{text}`; expected a genomic name such as \
         `NC_000017.11:g.43045712T>C` or a variant such as `17-43045712-T-C`; VariantValidator, Mutalyzer or Ensembl VEP \
         convert one into the other"
    )]
    Kind {
        /// As typed.
        text: String,
        /// The letter before the dot.
        kind: char,
    },
    /// No sequence that positions count along.
    #[error(
        "HGVS name without a sequence: `{text}`; expected one such as `chr17:{text}` or `NC_000017.11:{text}`"
    )]
    NoSequence {
        /// As typed.
        text: String,
    },
    /// Not a change.
    #[error(
        "not an HGVS change: `{change}` of `{text}`; expected `100T>C`, `100_102del`, `100_102dup`, `100_101insACG` or \
         `100_102delinsAC`"
    )]
    Malformed {
        /// As typed.
        text: String,
        /// What follows the letter and its dot.
        change: String,
    },
    /// A change that cannot be looked up.
    #[error("cannot look up `{text}`: {problem}")]
    Problem {
        /// As typed.
        text: String,
        /// What is wrong with it, and what to write.
        problem: String,
    },
    /// Bases that do not stand there.
    #[error(
        "`{text}` states {stated} at {place}, where the reference has {found}; check the assembly, the position and the \
         strand"
    )]
    Bases {
        /// As typed.
        text: String,
        /// The bases of the name.
        stated: String,
        /// Those of the reference.
        found: String,
        /// Where.
        place: String,
    },
    /// The sequence or the position is not of the reference.
    #[error(transparent)]
    Locus(#[from] LocusError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl HgvsError {
    /// Whether the name makes no sense, whatever the reference is.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Kind { .. } | Self::NoSequence { .. } | Self::Malformed { .. })
    }
}

/// A name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    text: &'a str,
    sequence: Option<&'a str>,
    kind: char,
    change: &'a str,
}

/// What is done to the stated bases, the ends 1-based inclusive.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    first: u64,
    last: u64,
    /// Bases that the name says are there.
    stated: &'a str,
    edit: Edit<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Edit<'a> {
    Replace(&'a str),
    Delete,
    Double,
    Insert(&'a str),
}

impl<'a> Name<'a> {
    /// The parts of a text of the form of an HGVS name.
    pub(super) fn split(text: &'a str) -> Option<Self> {
        let (sequence, name) =
            text.rsplit_once(':').map_or((None, text), |(left, right)| (Some(left), right));
        let (kind, change) = name.split_once('.')?;
        let mut letters = kind.chars();
        let kind = letters.next().filter(|kind| "cgmnopr".contains(*kind) && letters.next().is_none())?;
        Some(Self { text, sequence, kind, change }).filter(|_| !change.is_empty())
    }

    /// The variant in the form that is stored.
    pub(super) fn variant(&self, store: &Store) -> Result<Variant, HgvsError> {
        if !matches!(self.kind, 'g' | 'm') {
            return Err(HgvsError::Kind { text: self.text.to_owned(), kind: self.kind });
        }
        let contig = self.contig(store.assembly())?;
        let change = self.change()?;
        let mut reference = store.open_reference()?;
        let (one_based, old, new) = self.alleles(&change, contig, store.assembly(), &mut reference)?;
        if old == new {
            return Err(self.problem("it changes nothing; ask for its position instead"));
        }
        let allele = Allele { contig, one_based, reference: &old, alternate: &new };
        match normalize(allele, &mut reference)? {
            Normalized::Row { variant, .. } => Ok(variant),
            Normalized::Rejected(reason) => Err(self.problem(&format!("not a variant: {reason}"))),
        }
    }

    fn problem(&self, problem: &str) -> HgvsError {
        HgvsError::Problem { text: self.text.to_owned(), problem: problem.to_owned() }
    }

    fn contig(&self, assembly: &Assembly) -> Result<u32, HgvsError> {
        let contig = match (self.sequence, self.kind) {
            (Some(sequence), _) => assembly.find(sequence)?,
            (None, 'm') => assembly.find("MT")?,
            (None, _) => return Err(HgvsError::NoSequence { text: self.text.to_owned() }),
        };
        let found = assembly.contig(contig);
        if self.kind == 'm' && assembly.resolve("MT") != Some(contig) && self.sequence != Some("NC_012920.1")
        {
            let name = &found.name;
            return Err(self
                .problem(&format!("`m.` is for mitochondrial sequences; write `{name}:g.{}`", self.change)));
        }
        if self.sequence.is_none() && found.length == OLD_MITOCHONDRION {
            let name = &found.name;
            return Err(self.problem(&format!(
                "positions of `m.` are those of NC_012920.1, and `{name}` of the reference has {OLD_MITOCHONDRION} bases, as \
                 NC_001807 of hg19; write `{name}:m.…` with a position of that sequence"
            )));
        }
        Ok(contig)
    }

    fn change(&self) -> Result<Change<'a>, HgvsError> {
        let malformed =
            || HgvsError::Malformed { text: self.text.to_owned(), change: self.change.to_owned() };
        if self.change.contains(['(', '?', '[', ';', ']']) {
            let told = "uncertain positions, repeats and several changes in one name are not supported; write one variant \
                        with its bases, such as `17-43045712-T-C`";
            return Err(self.problem(told));
        }
        let end = self
            .change
            .find(|letter: char| !letter.is_ascii_digit() && letter != '_')
            .unwrap_or(self.change.len());
        let (range, edit) = self.change.split_at(end);
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        let (first, last) = match range.split_once('_') {
            None => (number(range), number(range)),
            Some((first, last)) => (number(first), number(last)),
        };
        let (Some(first), Some(last)) = (first, last) else { return Err(malformed()) };
        if last < first {
            return Err(self.problem("its first position follows the last one"));
        }
        let bases = |text: &'a str| text.bytes().all(|base| b"ACGTNacgtn".contains(&base)).then_some(text);
        let some = |text: &'a str| bases(text).filter(|bases| !bases.is_empty()).ok_or_else(malformed);
        if edit.starts_with("inv") || edit.starts_with("con") {
            return Err(self
                .problem("inversions and conversions are not supported; write the variant with its bases"));
        }
        let (stated, edit) = if let Some((old, new)) = edit.split_once('>') {
            (some(old)?, Edit::Replace(some(new)?))
        } else if let Some(inserted) = edit.strip_prefix("ins") {
            if last != first + 1 {
                return Err(self
                    .problem("an insertion is between two neighbouring positions, such as `100_101insACG`"));
            }
            ("", Edit::Insert(some(inserted)?))
        } else if let Some(deleted) = edit.strip_prefix("del") {
            match deleted.split_once("ins") {
                Some((stated, inserted)) => {
                    (bases(stated).ok_or_else(malformed)?, Edit::Replace(some(inserted)?))
                }
                None => (bases(deleted).ok_or_else(malformed)?, Edit::Delete),
            }
        } else if let Some(stated) = edit.strip_prefix("dup") {
            (bases(stated).ok_or_else(malformed)?, Edit::Double)
        } else if let Some(stated) = edit.strip_suffix('=') {
            (bases(stated).ok_or_else(malformed)?, Edit::Replace(stated))
        } else {
            return Err(malformed());
        };
        // `100TG>CA` counts from one position on, as other programs write it; HGVS does not.
        if !stated.is_empty() && stated.len() as u64 != last - first + 1 {
            let several = stated.len();
            return Err(self.problem(&if first == last {
                let last = first + several as u64 - 1;
                format!("it states {several} bases for 1; write `{first}_{last}delins…` for several")
            } else {
                format!(
                    "the stated bases do not match positions {first} to {last}; state all of them, or none"
                )
            }));
        }
        Ok(Change { first, last, stated, edit })
    }

    /// Position, reference and alternate allele as VCF has them, with one base beside an indel.
    fn alleles(
        &self,
        change: &Change<'_>,
        contig: u32,
        assembly: &Assembly,
        reference: &mut Reference,
    ) -> Result<(u64, String, String), HgvsError> {
        let length = assembly.contig(contig).length;
        let beyond = |one_based| {
            let contig = assembly.contig(contig).name.clone();
            LocusError::BeyondEnd { contig, one_based, length }
        };
        let zero = |one_based: u64| {
            let position =
                Position::from_one_based(one_based).filter(|position| position.zero_based() < length);
            position.map(Position::zero_based).ok_or_else(|| beyond(one_based))
        };
        let (start, last) = (zero(change.first)?, zero(change.last)?);
        if last - start >= LONGEST {
            return Err(
                self.problem(&format!("it names more than {LONGEST} bases; ask for a region instead"))
            );
        }
        let mut bases = |start, end| -> Result<String, HgvsError> {
            let found = reference.fetch(Region { contig, start, end })?;
            Ok(found.iter().map(|base| char::from(base.to_ascii_uppercase())).collect())
        };
        let old = bases(start, last + 1)?;
        if !change.stated.is_empty() && !change.stated.eq_ignore_ascii_case(&old) {
            let place = Region { contig, start, end: last + 1 };
            let place = if last == start {
                format!("{}:{}", assembly.contig(contig).name, change.first)
            } else {
                place.display(assembly).to_string()
            };
            let stated = change.stated.to_owned();
            return Err(HgvsError::Bases { text: self.text.to_owned(), stated, found: old, place });
        }
        let one_based = u64::from(start) + 1;
        Ok(match change.edit {
            Edit::Replace(new) => {
                let new = if new.is_empty() { old.clone() } else { new.to_ascii_uppercase() };
                (one_based, old, new)
            }
            Edit::Insert(new) => {
                let before = &old[..1];
                (one_based, before.to_owned(), format!("{before}{}", new.to_ascii_uppercase()))
            }
            Edit::Double => (one_based, old.clone(), format!("{old}{old}")),
            Edit::Delete if start > 0 => {
                let before = bases(start - 1, start)?;
                (one_based - 1, format!("{before}{old}"), before)
            }
            Edit::Delete if last + 1 < length => {
                let behind = bases(last + 1, last + 2)?;
                (one_based, format!("{old}{behind}"), behind)
            }
            Edit::Delete => return Err(self.problem("it deletes a whole contig")),
        })
    }
}

#[cfg(test)]
mod tests;
