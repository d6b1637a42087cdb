//! The contigs of one reference, and how people's names for them are matched.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::locus::Region;

/// One sequence of the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contig {
    /// The name as the FASTA spells it.
    pub name: String,
    /// Length in bases.
    pub length: u32,
    /// GA4GH refget identifier: `SQ.` and base64url of the first 24 bytes of the SHA-512 of the
    /// upper-case bases.
    pub digest: String,
}

/// The contigs of a reference in FASTA order. A contig is spoken of by its index in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// What people call it (`GRCh38`), when they said so.
    pub name: Option<String>,
    /// In FASTA order, which is the order of every sorted result.
    pub contigs: Vec<Contig>,
}

impl Assembly {
    /// The contig at `index`.
    ///
    /// # Panics
    /// When `index` did not come from this assembly, which is a bug.
    #[must_use]
    pub fn contig(&self, index: u32) -> &Contig {
        self.contigs.get(index as usize).expect("contig index of another assembly; this is a bug")
    }

    /// The whole contig as a region.
    #[must_use]
    pub fn whole(&self, index: u32) -> Region {
        Region { contig: index, start: 0, end: self.contig(index).length }
    }

    /// Finds a contig by name: as spelled, else the one whose name differs by `chr` alone, else M for MT and back.
    /// For many names, [`ContigNames`] is faster.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<u32> {
        let ranked = self
            .contigs
            .iter()
            .zip(0..)
            .filter_map(|(contig, index)| likeness(&contig.name, name).map(|likeness| (likeness, index)));
        ranked.min().map(|(_, index)| index)
    }

    /// Up to three contig names that look like `name`, nearest first, for error messages.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<&str> {
        nearest(name, self.contigs.iter().map(|contig| contig.name.as_str()), bare)
    }
}

/// Up to three of `names` that look like `name`, nearest first, for error messages; `stem` is the part of a name that
/// is compared.
pub fn nearest<'a>(
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
    stem: impl Fn(&str) -> &str,
) -> Vec<&'a str> {
    let wanted = stem(name).to_ascii_lowercase();
    let mut ranked: Vec<(usize, &str)> =
        names.into_iter().map(|name| (distance(&stem(name).to_ascii_lowercase(), &wanted), name)).collect();
    ranked.sort_by_key(|(distance, _)| *distance);
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

/// The contigs of an assembly by name, for looking up many.
pub struct ContigNames<'a> {
    assembly: &'a Assembly,
    exact: HashMap<&'a str, u32>,
    /// By what naming styles have in common, in FASTA order.
    alike: HashMap<&'a str, Vec<u32>>,
}

impl<'a> ContigNames<'a> {
    /// The names of `assembly`.
    #[must_use]
    pub fn new(assembly: &'a Assembly) -> Self {
        let (mut exact, mut alike) = (HashMap::new(), HashMap::<_, Vec<u32>>::new());
        for (contig, index) in assembly.contigs.iter().zip(0..) {
            exact.entry(contig.name.as_str()).or_insert(index);
            alike.entry(bare(&contig.name)).or_default().push(index);
        }
        Self { assembly, exact, alike }
    }

    /// As [`Assembly::resolve`].
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<u32> {
        self.exact.get(name).copied().or_else(|| self.candidates(name).first().copied())
    }

    /// All contigs that `name` can mean, the likeliest first: as spelled, then with or without `chr`, then M for MT
    /// and back.
    #[must_use]
    pub fn candidates(&self, name: &str) -> Vec<u32> {
        let mut found = self.alike.get(bare(name)).cloned().unwrap_or_default();
        found.sort_by_key(|index| likeness(&self.assembly.contig(*index).name, name));
        found
    }
}

/// How much two contig names are alike, 0 for equal ones; `None` when they mean different contigs.
fn likeness(known: &str, name: &str) -> Option<u8> {
    if known == name {
        Some(0)
    } else if without_chr(known) == without_chr(name) {
        Some(1)
    } else {
        (bare(known) == bare(name)).then_some(2)
    }
}

/// A contig name without what differs between naming styles: no `chr`, and `MT` for `M`.
fn bare(name: &str) -> &str {
    let rest = without_chr(name);
    if rest.eq_ignore_ascii_case("M") || rest.eq_ignore_ascii_case("MT") { "MT" } else { rest }
}

fn without_chr(name: &str) -> &str {
    match name.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case("chr") && name.len() > 3 => &name[3..],
        _ => name,
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(names: &[&str]) -> Assembly {
        let contigs = names
            .iter()
            .map(|name| Contig { name: (*name).to_owned(), length: 1000, digest: String::new() })
            .collect();
        Assembly { name: None, contigs }
    }

    #[test]
    fn names_match_across_styles_and_exact_wins() {
        let grch38 = assembly(&["chr1", "chr17", "chrM", "HLA-A*01:01"]);
        assert_eq!(grch38.resolve("17"), Some(1));
        assert_eq!(grch38.resolve("chr17"), Some(1));
        assert_eq!(grch38.resolve("Chr17"), Some(1));
        assert_eq!(grch38.resolve("MT"), Some(2));
        assert_eq!(grch38.resolve("M"), Some(2));
        assert_eq!(grch38.resolve("HLA-A*01:01"), Some(3));
        assert_eq!(grch38.resolve("chr"), None);
        assert_eq!(grch38.resolve("2"), None);
        assert_eq!(assembly(&["MT", "1"]).resolve("chrM"), Some(0));
        assert_eq!(assembly(&["chr1", "1"]).resolve("1"), Some(1));
    }

    #[test]
    fn the_name_that_differs_by_chr_alone_comes_before_m_for_mt() {
        let hg19 = assembly(&["chr1", "chrM", "chrMT", "M"]);
        let names = ContigNames::new(&hg19);
        for (name, candidates) in
            [("MT", vec![2, 1, 3]), ("M", vec![3, 1, 2]), ("chrMT", vec![2, 1, 3]), ("CHRM", vec![1, 3, 2])]
        {
            assert_eq!(names.candidates(name), candidates, "{name}");
            assert_eq!(names.resolve(name), Some(candidates[0]), "{name}");
            assert_eq!(hg19.resolve(name), Some(candidates[0]), "{name}");
        }
        for name in ["mt", "chrm", "chrMt"] {
            assert_eq!(assembly(&["chr1", "chrM"]).resolve(name), Some(1), "{name}");
        }
        assert_eq!((names.resolve("1"), names.resolve("2"), names.candidates("2").len()), (Some(0), None, 0));
    }

    #[test]
    fn near_names_come_nearest_first() {
        assert_eq!(assembly(&["chr1", "chr17", "chrX"]).near("chr71")[0], "chr1");
        assert_eq!(assembly(&["chr1", "chr17", "chrX"]).near("117")[0], "chr17");
    }
}
