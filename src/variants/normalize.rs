//! The normal form of a variant, and what becomes of one that has none.

use std::fmt;

use vestore_schema::{Position, Region, Status, Variant};

use super::source::{is_alternate_allele, is_reference_allele};
use crate::narrow::to_u32;
use crate::reference::{Reference, ReferenceError, upper_iupac};

/// One alternate allele as a file has it, its contig resolved.
#[derive(Clone, Copy, Debug)]
pub struct Allele<'a> {
    /// Index of the contig in the assembly.
    pub contig: u32,
    /// As VCF counts.
    pub one_based: u64,
    /// REF as it stands.
    pub reference: &'a str,
    /// One ALT as it stands.
    pub alternate: &'a str,
}

/// What becomes of an allele.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalized {
    /// A row.
    Row {
        /// In normal form; with the alleles of the input when it cannot be scored.
        variant: Variant,
        /// Why it cannot be scored; `None` when it can.
        status: Option<Status>,
        /// Whether normalization moved or trimmed it.
        changed: bool,
    },
    /// No row.
    Rejected(Rejection),
}

/// Why an allele is not a variant of this reference: it is counted and listed, but is not a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The reference has no such contig.
    UnknownContig,
    /// Position 0, or beyond the end of the contig.
    OutsideContig,
    /// The reference allele runs over the end of the contig.
    OverrunsContig,
    /// An allele is empty.
    EmptyAllele,
    /// Both alleles are the same.
    SameAlleles,
    /// The reference allele is `.`: a block of a gVCF that states none.
    MissingReference,
    /// An allele that VCF does not allow.
    InvalidAllele,
    /// A score beyond the documented range of a published set.
    OutOfRange,
}

impl Rejection {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownContig => "unknown_contig",
            Self::OutsideContig => "outside_contig",
            Self::OverrunsContig => "overruns_contig",
            Self::EmptyAllele => "empty_allele",
            Self::SameAlleles => "same_alleles",
            Self::MissingReference => "missing_reference",
            Self::InvalidAllele => "invalid_allele",
            Self::OutOfRange => "out_of_range",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Brings an allele to VCF normal form: upper case, parsimonious, left-aligned, an indel keeping one
/// anchor base (the base before it; at the start of a contig the base after it). Several bases that
/// change at once are trimmed and kept whole.
///
/// # Errors
/// The reference cannot be read.
pub fn normalize(allele: Allele<'_>, reference: &mut Reference) -> Result<Normalized, ReferenceError> {
    let rejected = |rejection| Ok(Normalized::Rejected(rejection));
    let Some(length) = reference.length(allele.contig) else {
        return rejected(Rejection::UnknownContig);
    };
    let stated = Position::from_one_based(allele.one_based);
    let Some(stated) = stated.filter(|stated| stated.zero_based() < length) else {
        return rejected(Rejection::OutsideContig);
    };
    // A dash is how other formats write that an allele has no base.
    if [allele.reference, allele.alternate].iter().any(|allele| matches!(*allele, "" | "-")) {
        return rejected(Rejection::EmptyAllele);
    }
    if allele.reference == "." {
        return rejected(Rejection::MissingReference);
    }
    if !is_reference_allele(allele.reference.as_bytes()) || !is_alternate_allele(allele.alternate.as_bytes())
    {
        return rejected(Rejection::InvalidAllele);
    }
    if allele.reference.len() as u64 > u64::from(length - stated.zero_based()) {
        return rejected(Rejection::OverrunsContig);
    }
    if allele.reference.eq_ignore_ascii_case(allele.alternate) {
        return rejected(Rejection::SameAlleles);
    }
    if let Some(variant) = as_snv(allele, stated, reference)? {
        return Ok(Normalized::Row { variant, status: None, changed: false });
    }
    let unscorable = |alternate: String, status| {
        Ok(Normalized::Row {
            variant: Variant {
                contig: allele.contig,
                position: stated,
                reference: allele.reference.to_ascii_uppercase().into(),
                alternate: alternate.into(),
            },
            status: Some(status),
            changed: false,
        })
    };
    if let Some(status) = kind_without_bases(allele.alternate) {
        return unscorable(allele.alternate.to_owned(), status);
    }
    let old = allele.reference.to_ascii_uppercase();
    let new = allele.alternate.to_ascii_uppercase();
    let there = reference.fetch(Region::at(allele.contig, stated, to_u32(old.len())))?;
    if old.bytes().zip(&there).any(|(stated, found)| !compatible(stated, *found)) {
        return unscorable(new, Status::RefMismatch);
    }
    if old.bytes().chain(new.bytes()).chain(there).any(|base| !is_acgt(base)) {
        return unscorable(new, Status::NonAcgt);
    }
    let (position, trimmed_old, trimmed_new) =
        normal_form(allele.contig, stated, old.as_bytes(), new.as_bytes(), reference)?;
    let changed = position != stated || trimmed_old != old || trimmed_new != new;
    // Left-aligning may end at an anchor that is N.
    let scorable = trimmed_old.bytes().all(is_acgt);
    Ok(Normalized::Row {
        variant: Variant {
            contig: allele.contig,
            position,
            reference: trimmed_old.into(),
            alternate: trimmed_new.into(),
        },
        status: (!scorable).then_some(Status::NonAcgt),
        changed,
    })
}

/// The variant where one base that the reference has becomes another, which most are: it is normal as it stands.
fn as_snv(
    allele: Allele<'_>,
    position: Position,
    reference: &mut Reference,
) -> Result<Option<Variant>, ReferenceError> {
    let (&[old], &[new]) = (allele.reference.as_bytes(), allele.alternate.as_bytes()) else {
        return Ok(None);
    };
    let old = old.to_ascii_uppercase();
    if !is_acgt(old) || !is_acgt(new.to_ascii_uppercase()) {
        return Ok(None);
    }
    if reference.base(allele.contig, position)? != old {
        return Ok(None);
    }
    let mut variant = Variant {
        contig: allele.contig,
        position,
        reference: allele.reference.into(),
        alternate: allele.alternate.into(),
    };
    variant.reference.make_ascii_uppercase();
    variant.alternate.make_ascii_uppercase();
    Ok(Some(variant))
}

/// The status of an alternate allele that does not spell its bases out.
fn kind_without_bases(alternate: &str) -> Option<Status> {
    // No alternate at all: a site that was seen to be as the reference is.
    if alternate == "*" || alternate == "." {
        Some(Status::UnsupportedAllele)
    } else if alternate.contains(['[', ']']) || alternate.starts_with('.') || alternate.ends_with('.') {
        // A dot at one end is a single breakend.
        Some(Status::Breakend)
    } else if alternate.starts_with('<') {
        Some(Status::Symbolic)
    } else {
        None
    }
}

fn is_acgt(base: u8) -> bool {
    matches!(base, b'A' | b'C' | b'G' | b'T')
}

/// Whether two upper-case letters can stand for the same base. A letter that is not an IUPAC base can
/// stand for anything: it makes an allele unscorable, not wrong.
pub(super) fn compatible(stated: u8, found: u8) -> bool {
    fn bases(letter: u8) -> u8 {
        match upper_iupac(letter) {
            b'A' => 0b0001,
            b'C' => 0b0010,
            b'G' => 0b0100,
            b'T' | b'U' => 0b1000,
            b'R' => 0b0101,
            b'Y' => 0b1010,
            b'S' => 0b0110,
            b'W' => 0b1001,
            b'K' => 0b1100,
            b'M' => 0b0011,
            b'B' => 0b1110,
            b'D' => 0b1101,
            b'H' => 0b1011,
            b'V' => 0b0111,
            _ => 0b1111,
        }
    }
    stated == found || bases(stated) & bases(found) != 0
}

/// Position and alleles of the normal form of alleles that agree with the reference and differ.
fn normal_form(
    contig: u32,
    stated: Position,
    old: &[u8],
    new: &[u8],
    reference: &mut Reference,
) -> Result<(Position, String, String), ReferenceError> {
    let suffix = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[prefix..], &new[prefix..]);
    let start = stated.zero_based() + to_u32(prefix);
    let text = |bases: &[u8]| bases.iter().map(|base| char::from(*base)).collect::<String>();
    if !old.is_empty() && !new.is_empty() {
        return Ok((Position::new(start), text(old), text(new)));
    }
    // A pure insertion or deletion: moving it left by one turns its last base into its first, which
    // gives the same sequence as long as that base stands before it.
    let mut unit = if old.is_empty() { new.to_vec() } else { old.to_vec() };
    let shift = left_shift(contig, start, &unit, reference)?;
    let turn = shift as usize % unit.len();
    unit.rotate_right(turn);
    let first = start - shift;
    let (start, anchored) = if first > 0 {
        let anchor = reference.fetch(Region { contig, start: first - 1, end: first })?;
        (first - 1, [anchor.as_slice(), &unit].concat())
    } else {
        // Nothing stands before it: the base behind it is the anchor.
        // There is one: an allele is never empty, so a whole contig is never deleted.
        let behind = to_u32(old.len());
        let anchor = reference.fetch(Region { contig, start: behind, end: behind + 1 })?;
        (0, [&unit, anchor.as_slice()].concat())
    };
    let anchor = if first > 0 { &anchored[..1] } else { &anchored[anchored.len() - 1..] };
    let (anchor, anchored) = (text(anchor), text(&anchored));
    let position = Position::new(start);
    Ok(if old.is_empty() { (position, anchor, anchored) } else { (position, anchored, anchor) })
}

/// By how many bases an inserted or deleted `unit` before the 0-based `start` can move left. The reference is
/// read in growing blocks, since a repeat may be thousands of bases long.
fn left_shift(
    contig: u32,
    start: u32,
    unit: &[u8],
    reference: &mut Reference,
) -> Result<u32, ReferenceError> {
    const FIRST_BLOCK: u32 = 32;
    const LARGEST_BLOCK: u32 = 64 << 10;
    let mut block = FIRST_BLOCK;
    let mut shift: u32 = 0;
    let mut bases = Vec::new();
    while shift < start {
        let end = start - shift;
        let region = Region { contig, start: end.saturating_sub(block), end };
        reference.fetch_into(region, &mut bases)?;
        for base in bases.iter().rev() {
            // The base that is last in the unit once it has moved by `shift`.
            let last = unit[unit.len() - 1 - shift as usize % unit.len()];
            if *base != last {
                return Ok(shift);
            }
            shift += 1;
        }
        block = (block * 4).min(LARGEST_BLOCK);
    }
    Ok(shift)
}

#[cfg(test)]
mod tests;
