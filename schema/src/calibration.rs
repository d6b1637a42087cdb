//! Calibrations: how extreme a score is among those of a background.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::meaning::Direction;
use crate::record::RecordError;
use crate::track::Track;

/// The most calibrations of one track, whose distributions a query may hold at once.
pub const MAX_CALIBRATIONS: usize = 16;

/// Bases around a variant whose mean score is subtracted before scores are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// One base on each side: 96 classes of SNVs.
    Trinucleotide,
    /// Two bases on each side: 1,536 classes of SNVs.
    Pentanucleotide,
}

impl Context {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Trinucleotide, Self::Pentanucleotide];

    /// As people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trinucleotide => "trinucleotide",
            Self::Pentanucleotide => "pentanucleotide",
        }
    }

    /// Bases on each side of the variant.
    #[must_use]
    pub const fn flank(self) -> u32 {
        match self {
            Self::Trinucleotide => 1,
            Self::Pentanucleotide => 2,
        }
    }

    /// Classes of SNVs: the strand on which the reference is C or T, the bases around it, three alternates.
    #[must_use]
    pub const fn classes(self) -> usize {
        2 * 3 * 4_usize.pow(2 * self.flank())
    }

    /// The class of the SNV to `alternate` of the base in the middle of `bases`, which are [`Context::flank`] bases on
    /// each side of it; none where one of them is not A, C, G or T or the two are equal. A class and its reverse
    /// complement are one.
    ///
    /// # Panics
    /// When `bases` have another length, which is a bug.
    #[must_use]
    pub fn class(self, bases: &[u8], alternate: u8) -> Option<usize> {
        let flank = self.flank() as usize;
        assert_eq!(bases.len(), 2 * flank + 1, "a context of another length; this is a bug");
        let code = |base: &u8| match base {
            b'A' | b'a' => Some(0_usize),
            b'C' | b'c' => Some(1),
            b'G' | b'g' => Some(2),
            b'T' | b't' => Some(3),
            _ => None,
        };
        let middle = code(&bases[flank])?;
        let alternate = code(&alternate).filter(|alternate| *alternate != middle)?;
        // Of the complement, 3 − code.
        let turned = middle % 2 == 0;
        let strand = |code: usize| if turned { 3 - code } else { code };
        let (middle, alternate) = (strand(middle), strand(alternate));
        let mut class = middle / 2;
        for at in (0..bases.len()).filter(|at| *at != flank) {
            let at = if turned { bases.len() - 1 - at } else { at };
            class = 4 * class + strand(code(&bases[at])?);
        }
        Some(3 * class + if alternate < middle { alternate } else { alternate - 1 })
    }
}

/// How extreme the scores of one column of a track are among those of a background; makes the columns
/// `<score>_percentile` and `<score>_phred`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Identity: the track, the column, the direction, the context and the distribution.
    pub id: Digest,
    /// The track.
    pub track: String,
    /// Its identity.
    pub track_id: Digest,
    /// The score column.
    pub column: String,
    /// Which scores are extreme.
    pub direction: Direction,
    /// The context whose mean is subtracted, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// What the scores are compared with, in words.
    pub background: String,
    /// Scores of the background.
    pub rows: u64,
    /// Digest of their distribution.
    pub distribution: Digest,
    /// Version of the program that took it.
    pub program: String,
}

/// The two scales that a calibration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// Share of the background that is less extreme, 0 to 100.
    Percentile,
    /// −10 log10 of the share of the background that is at least as extreme.
    Phred,
}

impl Scale {
    /// Both, in the order of their columns.
    pub const ALL: [Self; 2] = [Self::Percentile, Self::Phred];

    /// What its values are, in one sentence without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Percentile => "share of the background that is less extreme, in percent",
            Self::Phred => "-10 log10 of the share of the background that is at least as extreme",
        }
    }

    /// The end of a column's name.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Percentile => "_percentile",
            Self::Phred => "_phred",
        }
    }
}

impl Calibration {
    /// A calibration of a column of `track`.
    #[must_use]
    pub fn new(
        track: &Track,
        column: &str,
        direction: Direction,
        context: Option<Context>,
        background: String,
        (rows, distribution): (u64, Digest),
        program: String,
    ) -> Self {
        let id = identity(track.id, column, direction, context, distribution);
        let (track, track_id, column) = (track.name.clone(), track.id, column.to_owned());
        Self { id, track, track_id, column, direction, context, background, rows, distribution, program }
    }

    /// The name of the column of a scale.
    #[must_use]
    pub fn name(&self, scale: Scale) -> String {
        format!("{}{}", self.column, scale.ending())
    }

    /// The scale whose column has this name, if one has.
    #[must_use]
    pub fn scale(&self, name: &str) -> Option<Scale> {
        let ending = name.strip_prefix(&self.column)?;
        Scale::ALL.into_iter().find(|scale| scale.ending() == ending)
    }

    /// What it compares with, as people read it.
    #[must_use]
    pub fn text(&self) -> String {
        let context = self.context.map_or("", Context::as_str);
        let by = if context.is_empty() { "" } else { ", by " };
        format!("{}, {}{by}{context}", self.background, self.direction.text())
    }

    /// Checks that it can be one of `track`, under its own id.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: (&str, &str)) -> Result<(), RecordError> {
        let wrong =
            |field, value: &str, problem| Err(RecordError { field, value: value.to_owned(), problem });
        if key != (self.track.as_str(), self.column.as_str()) {
            return wrong("column", &self.column, "not the column of its key");
        }
        let id = identity(self.track_id, &self.column, self.direction, self.context, self.distribution);
        if id != self.id {
            return wrong("id", &self.id.to_string(), "not what the record says");
        }
        if self.rows == 0 || self.rows >= 1 << 48 {
            return wrong("rows", &self.rows.to_string(), "not a number of scores");
        }
        let plain = !self.background.chars().any(char::is_control);
        if plain { Ok(()) } else { wrong("background", &self.background, "with control characters") }
    }
}

fn identity(
    track: Digest,
    column: &str,
    direction: Direction,
    context: Option<Context>,
    distribution: Digest,
) -> Digest {
    Digest::of_json(&serde_json::json!({
        "track": track, "column": column, "direction": direction, "context": context, "distribution": distribution,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_of_both_strands_are_one_class_and_all_are_used() {
        let complement = |base: u8| match base {
            b'A' => b'T',
            b'C' => b'G',
            b'G' => b'C',
            _ => b'A',
        };
        for context in Context::ALL {
            let length = 2 * context.flank() + 1;
            let mut used = vec![0; context.classes()];
            for number in 0..4_usize.pow(length) {
                let bases: Vec<u8> = (0..length).map(|at| b"ACGT"[number >> (2 * at) & 3]).collect();
                for alternate in *b"ACGT" {
                    let class = context.class(&bases, alternate);
                    let turned: Vec<u8> = bases.iter().rev().map(|base| complement(*base)).collect();
                    assert_eq!(class, context.class(&turned, complement(alternate)));
                    assert_eq!(class.is_none(), alternate == bases[context.flank() as usize]);
                    if let Some(class) = class {
                        used[class] += 1;
                    }
                }
            }
            assert!(used.iter().all(|count| *count == 2), "{used:?}");
        }
        assert_eq!(Context::Trinucleotide.class(b"ANT", b'G'), None);
        assert_eq!(Context::Trinucleotide.class(b"NCT", b'G'), None);
    }
}
