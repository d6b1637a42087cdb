//! Places on the reference. Inside the program a region is always 0-based half-open; what people
//! type and read is 1-based inclusive.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::assembly::Assembly;
use crate::position::Position;

/// A stretch of one contig: bases `start..end`, 0-based half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    /// Index of the contig in the assembly.
    pub contig: u32,
    /// First base, 0-based.
    pub start: u32,
    /// One past the last base, 0-based.
    pub end: u32,
}

/// Why a piece of text is not a place on this reference.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LocusError {
    /// The text does not have the form of a region.
    #[error(
        "not a region: `{text}`; expected `17:43,044,295-43,125,483`, `17:43044295`, `17:43044295-` or `17`"
    )]
    Malformed {
        /// As typed.
        text: String,
    },
    /// The form is right, the contig is not in the reference.
    #[error("the reference has no contig `{contig}`; near names: {}", near.join(", "))]
    UnknownContig {
        /// As typed.
        contig: String,
        /// Contigs of the reference that look like it.
        near: Vec<String>,
    },
    /// An accession of another sequence than the contig that it would be.
    #[error(
        "`{accession}` is {meant}, and contig `{contig}` of the reference is {found}; convert the position to the store's \
         assembly, or write `{contig}` for the contig as it is"
    )]
    OtherAssembly {
        /// As typed.
        accession: String,
        /// What it names.
        meant: String,
        /// Name of the contig.
        contig: String,
        /// What the contig is.
        found: String,
    },
    /// An accession that no table knows.
    #[error(
        "unknown accession `{accession}`; expected one of a human chromosome of GRCh37, GRCh38 or T2T-CHM13v2.0 with its \
         version, such as `NC_000017.11`, or the name of a contig"
    )]
    UnknownAccession {
        /// As typed.
        accession: String,
    },
    /// The contig ends before the region starts.
    #[error("position {one_based} is beyond the end of `{contig}`, which has {length} bases")]
    BeyondEnd {
        /// Name of the contig.
        contig: String,
        /// As typed.
        one_based: u64,
        /// Length of the contig in bases.
        length: u32,
    },
}

impl LocusError {
    /// An unknown contig, with the near names of `assembly`.
    #[must_use]
    pub fn unknown_contig(name: &str, assembly: &Assembly) -> Self {
        let near = assembly.near(name).into_iter().map(str::to_owned).collect();
        Self::UnknownContig { contig: name.to_owned(), near }
    }
}

impl Region {
    /// Reads `contig`, `contig:position`, `contig:start-` or `contig:start-end` (1-based inclusive,
    /// thousands commas allowed). The longest known contig name wins, so names may hold colons.
    ///
    /// # Errors
    /// When the text is malformed, the contig is unknown or the region starts beyond its end. A
    /// region that only ends beyond the contig is cut there.
    pub fn parse(text: &str, assembly: &Assembly) -> Result<Self, LocusError> {
        if let Some(index) = assembly.resolve(text) {
            return Ok(assembly.whole(index));
        }
        let malformed = || LocusError::Malformed { text: text.to_owned() };
        let (name, range) = text.rsplit_once(':').unwrap_or((text, ""));
        if name.is_empty() || (range.is_empty() && text.contains(':')) {
            return Err(malformed());
        }
        if range.is_empty() {
            return assembly.find(name).map(|index| assembly.whole(index));
        }
        let (start, end) = match range.split_once('-') {
            None => (coordinate(range), coordinate(range)),
            Some((start, "")) => (coordinate(start), Some(u64::from(u32::MAX))),
            Some((start, end)) => (coordinate(start), coordinate(end)),
        };
        let (Some(start), Some(end)) = (start, end) else { return Err(malformed()) };
        if start == 0 || end < start {
            return Err(malformed());
        }
        let index = assembly.find(name)?;
        let length = assembly.contig(index).length;
        let first = Position::from_one_based(start).filter(|first| first.zero_based() < length);
        let Some(first) = first else {
            let contig = assembly.contig(index).name.clone();
            return Err(LocusError::BeyondEnd { contig, one_based: start, length });
        };
        let end = u32::try_from(end).map_or(length, |end| end.min(length));
        Ok(Self { contig: index, start: first.zero_based(), end })
    }

    /// The `length` bases from `position` on.
    #[inline]
    #[must_use]
    pub fn at(contig: u32, position: Position, length: u32) -> Self {
        let start = position.zero_based();
        Self { contig, start, end: start + length }
    }

    /// Number of bases.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.end - self.start
    }

    /// Whether it holds no base.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `position` lies in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        (self.start..self.end).contains(&position.zero_based())
    }

    /// Sorts and joins regions that touch or overlap, so that each base is in one of them.
    #[must_use]
    pub fn union(mut regions: Vec<Self>) -> Vec<Self> {
        regions.retain(|region| !region.is_empty());
        regions.sort_unstable();
        let mut joined: Vec<Self> = Vec::with_capacity(regions.len());
        for region in regions {
            match joined.last_mut() {
                Some(last) if last.contig == region.contig && region.start <= last.end => {
                    last.end = last.end.max(region.end);
                }
                _ => joined.push(region),
            }
        }
        joined
    }

    /// The region as people read it: `17:43044295-43125483`.
    #[must_use]
    pub fn display<'a>(&'a self, assembly: &'a Assembly) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            write!(f, "{}:{}-{}", assembly.contig(self.contig).name, self.start + 1, self.end)
        })
    }
}

/// A positive decimal number, thousands commas allowed where thousands end.
pub(crate) fn coordinate(text: &str) -> Option<u64> {
    let groups: Vec<&str> = text.split(',').collect();
    let well_grouped = groups.len() == 1
        || (matches!(groups[0].len(), 1..=3) && groups[1..].iter().all(|group| group.len() == 3));
    let digits: String = groups.concat();
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_grouped && decimal { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembly::Contig;

    fn assembly() -> Assembly {
        let contig = |name: &str| Contig { name: name.to_owned(), length: 50_000_000, digest: String::new() };
        Assembly { name: None, contigs: vec![contig("17"), contig("HLA-A*01:01"), contig("HLA-A*01")] }
    }

    fn parse(text: &str) -> Result<(u32, u32, u32), LocusError> {
        Region::parse(text, &assembly()).map(|region| (region.contig, region.start, region.end))
    }

    #[test]
    fn every_documented_form_is_read() {
        assert_eq!(parse("17:43,044,295-43,125,483"), Ok((0, 43_044_294, 43_125_483)));
        assert_eq!(parse("chr17:43044295"), Ok((0, 43_044_294, 43_044_295)));
        assert_eq!(parse("17:43044295-"), Ok((0, 43_044_294, 50_000_000)));
        assert_eq!(parse("17"), Ok((0, 0, 50_000_000)));
        assert_eq!(parse("17:1-99999999999"), Ok((0, 0, 50_000_000)));
    }

    #[test]
    fn the_longest_contig_name_wins() {
        assert_eq!(parse("HLA-A*01:01"), Ok((1, 0, 50_000_000)));
        assert_eq!(parse("HLA-A*01:01:5-6"), Ok((1, 4, 6)));
        assert_eq!(parse("HLA-A*01:5-6"), Ok((2, 4, 6)));
    }

    #[test]
    fn nothing_malformed_means_everything() {
        for text in [
            "", ":", "17:", "17:-", "17:0-5", "17:5-4", "17:a-b", "17:1-2-3", "17:-5", "17:1,2", "17: 5",
            ":5",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!matches!(error, LocusError::BeyondEnd { .. }), "{text}: {error}");
        }
        assert!(matches!(parse("18:1-2"), Err(LocusError::UnknownContig { .. })));
        assert!(matches!(parse("17:60000000-60000001"), Err(LocusError::BeyondEnd { .. })));
    }

    #[test]
    fn union_joins_what_touches() {
        let region = |contig, start, end| Region { contig, start, end };
        let joined = Region::union(vec![
            region(0, 5, 9),
            region(0, 0, 5),
            region(1, 0, 2),
            region(0, 7, 8),
            region(0, 20, 20),
        ]);
        assert_eq!(joined, [region(0, 0, 9), region(1, 0, 2)]);
    }
}
