//! What a page holds: columns of equal length, so that a program reads them as easily as the page does.
//!
//! Positions are 1-based, as people read them. Lists of positions hold the first one, then differences, so that a running
//! sum restores them. Texts that repeat are numbers of a list of texts.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use vestore_schema::Direction;

use crate::export::write_score;

/// The version of this layout.
pub(super) const FORMAT: &str = "vestore-view 1";

/// Everything that a page shows.
#[derive(serde::Serialize)]
pub(super) struct Document {
    pub(super) format: &'static str,
    /// Version of the program that wrote it.
    pub(super) vestore: &'static str,
    /// The variant that was asked for, else the region.
    pub(super) title: String,
    /// The region, `17:43044295-43125483`.
    pub(super) place: String,
    pub(super) assembly: Option<String>,
    pub(super) contig: ContigView,
    /// First base.
    pub(super) start: u32,
    /// Last base.
    pub(super) end: u32,
    /// Bases from `start` to `end`; `.` where a base is not known.
    pub(super) sequence: String,
    /// Whether they were read from the reference, and not from the reference alleles of the rows.
    pub(super) sequence_is_reference: bool,
    /// The variant that was asked for, as its place in `variants`.
    pub(super) focus: Option<usize>,
    pub(super) variants: Variants,
    /// Texts of the statuses; the first, an empty one, stands for no row.
    pub(super) statuses: Vec<&'static str>,
    pub(super) tracks: Vec<TrackView>,
    pub(super) genes: Vec<GeneView>,
    /// Name of the gene table.
    pub(super) genes_from: Option<String>,
    pub(super) labels: Option<Labels>,
    pub(super) details: Vec<Detail>,
}

#[derive(serde::Serialize)]
pub(super) struct ContigView {
    pub(super) name: String,
    pub(super) length: u32,
    /// Its refget digest.
    pub(super) digest: String,
}

/// Variants in the order of answers: position, reference, alternate.
#[derive(Default, serde::Serialize)]
pub(super) struct Variants {
    #[serde(rename = "position", serialize_with = "differences")]
    pub(super) positions: Vec<u32>,
    /// Numbers of `alleles`.
    #[serde(rename = "reference")]
    pub(super) references: Vec<u32>,
    /// Numbers of `alleles`.
    #[serde(rename = "alternate")]
    pub(super) alternates: Vec<u32>,
    pub(super) alleles: Texts,
}

impl Variants {
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn push(&mut self, one_based: u32, reference: &str, alternate: &str) {
        self.positions.push(one_based);
        self.references.push(self.alleles.number(reference));
        self.alternates.push(self.alleles.number(alternate));
    }

    /// Position, reference and alternate.
    pub(super) fn get(&self, index: usize) -> (u32, &str, &str) {
        let allele = |numbers: &[u32]| self.alleles.get(numbers[index]);
        (self.positions[index], allele(&self.references), allele(&self.alternates))
    }

    pub(super) fn find(&self, wanted: (u32, &str, &str)) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.get(low) == wanted).then_some(low)
    }
}

/// The rows of a track.
#[derive(serde::Serialize)]
pub(super) struct TrackView {
    pub(super) name: String,
    pub(super) columns: Vec<ColumnView>,
    /// Runs of equal statuses: a number of `statuses`, then how many variants have it, and so on.
    pub(super) status: Vec<u32>,
    /// What its scores come from, as pairs of a heading and a text.
    pub(super) provenance: Vec<(&'static str, String)>,
}

impl TrackView {
    /// The status of each variant, a number of `statuses`.
    pub(super) fn codes(&self) -> impl Iterator<Item = u32> {
        let (runs, _) = self.status.as_chunks::<2>();
        runs.iter().flat_map(|[code, length]| std::iter::repeat_n(*code, *length as usize))
    }
}

#[derive(serde::Serialize)]
pub(super) struct ColumnView {
    pub(super) name: String,
    /// Which values are extreme; unknown where none is given.
    pub(super) direction: Option<Direction>,
    /// What the values mean.
    pub(super) meaning: Option<&'static str>,
    /// The column of the same track that holds its percentiles, 0 to 100, the most extreme ones high.
    pub(super) percentile: Option<String>,
    pub(super) values: Numbers,
}

/// Numbers as `query` prints them, NaN where one is missing.
#[derive(Clone, Default)]
pub(super) struct Numbers(pub(super) Vec<f64>);

impl Numbers {
    /// The number whose digits are those of a score: of two shortest forms of a float32 the one that `query` prints.
    pub(super) fn of_score(score: f32) -> f64 {
        let mut digits = Vec::with_capacity(16);
        write_score(score, &mut digits);
        std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for number in &self.0 {
            list.serialize_element(&Some(*number).filter(|number| number.is_finite()))?;
        }
        list.end()
    }
}

#[derive(serde::Serialize)]
pub(super) struct GeneView {
    pub(super) id: String,
    pub(super) strand: char,
    pub(super) start: u32,
    pub(super) end: u32,
    /// First and last bases of all exons, joined where they overlap.
    pub(super) exons: Vec<(u32, u32)>,
}

/// Variants of a file and what it says of them.
#[derive(serde::Serialize)]
pub(super) struct Labels {
    /// Name of the file.
    pub(super) from: String,
    /// The INFO field, or `ID`.
    pub(super) field: &'static str,
    #[serde(flatten)]
    pub(super) variants: Variants,
    /// Numbers of `texts`.
    pub(super) text: Vec<u32>,
    pub(super) texts: Texts,
}

/// Further rows of variants in one table of a track.
#[derive(serde::Serialize)]
pub(super) struct Detail {
    pub(super) track: String,
    /// `ablation`, `effects` or `gene-effects`.
    pub(super) table: &'static str,
    /// Why the rows are left out, if they are.
    pub(super) left_out: Option<String>,
    /// Places in `variants`.
    pub(super) variant: Vec<u32>,
    /// Layers that were left out, of ablation.
    pub(super) layer: Vec<u32>,
    /// Numbers of `names`, of gene effects.
    pub(super) gene: Vec<u32>,
    /// Numbers of `names`, of effects on targets.
    pub(super) target: Vec<u32>,
    pub(super) names: Texts,
    pub(super) columns: Vec<DetailColumn>,
}

#[derive(serde::Serialize)]
pub(super) struct DetailColumn {
    pub(super) name: String,
    pub(super) values: Numbers,
}

/// Different texts by number.
#[derive(Default)]
pub(super) struct Texts {
    list: Vec<String>,
    numbers: HashMap<String, u32>,
    pub(super) bytes: usize,
}

impl Texts {
    /// The number of `text`.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = crate::narrow::to_u32(self.list.len());
        self.list.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        self.bytes += text.len();
        number
    }

    pub(super) fn get(&self, number: u32) -> &str {
        &self.list[number as usize]
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

fn differences<S: Serializer>(positions: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut before = 0;
    serializer.collect_seq(positions.iter().map(|position| {
        let difference = position - before;
        before = *position;
        difference
    }))
}

/// Runs of equal numbers: number, length, number, length, …
pub(super) fn runs(numbers: &[u8]) -> Vec<u32> {
    let mut runs: Vec<u32> = Vec::new();
    for number in numbers {
        match runs.as_mut_slice() {
            [.., last, length] if *last == u32::from(*number) => *length += 1,
            _ => runs.extend([u32::from(*number), 1]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_short_and_exact() {
        let mut variants = Variants::default();
        for (position, reference, alternate) in [(7, "A", "C"), (7, "A", "G"), (12, "C", "CA")] {
            variants.push(position, reference, alternate);
        }
        let text = serde_json::to_string(&variants).unwrap();
        let expected =
            r#"{"position":[7,0,5],"reference":[0,0,1],"alternate":[1,2,3],"alleles":["A","C","G","CA"]}"#;
        assert_eq!(text, expected);
        assert_eq!(variants.find((7, "A", "G")), Some(1));
        assert_eq!(variants.find((12, "C", "CA")), Some(2));
        assert_eq!(variants.find((12, "C", "A")), None);
        let scores = [0.1, f32::NAN, -3.0, 1.0e-10, 16_777_216.0, 1.691_406_3];
        let numbers = Numbers(scores.into_iter().map(Numbers::of_score).collect());
        let text = serde_json::to_string(&numbers).unwrap();
        let read: Vec<Option<f32>> = serde_json::from_str(&text).unwrap();
        assert!(text.starts_with("[0.1,null,-3"), "{text}");
        assert_eq!(read, [Some(0.1), None, Some(-3.0), Some(1.0e-10), Some(16_777_216.0), Some(1.691_406_3)]);
        assert!(text.ends_with(",1.6914063]"), "{text}");
        assert_eq!(runs(&[1, 1, 0, 2, 2]), [1, 2, 0, 1, 2, 2]);
    }
}
