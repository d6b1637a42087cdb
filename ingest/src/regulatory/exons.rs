//! The bins of a gene's exons in a window.

use vestore::{Gene, GeneTable};

use super::options::RegulatoryOptions;
use crate::convert::{dimension, from_dimension};

/// A gene in a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GeneBins {
    /// The gene's id.
    pub(crate) gene: String,
    pub(crate) forward: bool,
    /// Ascending, among the bins that predictions have; at least one.
    pub(crate) bins: Vec<i64>,
}

/// The genes with exons among the bins of a window that begins at `start`.
pub(crate) fn genes_of(
    table: &GeneTable,
    contig: u32,
    start: i64,
    options: &RegulatoryOptions,
) -> Vec<GeneBins> {
    let (bin, count) = (i64::from(options.bin), i64::from(options.bins_read));
    let first = start + i64::from(options.cropped) * bin;
    let place = |at: i64| u32::try_from(at.max(0)).unwrap_or(u32::MAX);
    let within = table.within(contig, place(first), place(first + count * bin));
    let found = within.into_iter().map(|gene| GeneBins {
        gene: gene.id.clone(),
        forward: gene.forward,
        bins: bins_of(gene, first, bin, count),
    });
    found.filter(|gene| !gene.bins.is_empty()).collect()
}

/// The bins of a gene's exons: from the border between bins nearest to an exon's start to that nearest to its end, the
/// even one of two (Baskerville, `borzoi_sed`). The first of `count` bins begins at `first`.
fn bins_of(gene: &Gene, first: i64, bin: i64, count: i64) -> Vec<i64> {
    let mut inside = vec![false; from_dimension(count)];
    for (start, end) in &gene.exons {
        let border = |at: u32| from_dimension(nearest(i64::from(at) - first, bin).clamp(0, count));
        let (start, end) = (border(*start), border(*end));
        if start < end {
            inside[start..end].fill(true);
        }
    }
    inside.iter().enumerate().filter(|(_, inside)| **inside).map(|(bin, _)| dimension(bin)).collect()
}

/// `at` in `bin`s, rounded to the nearest whole number, the even one of two.
fn nearest(at: i64, bin: i64) -> i64 {
    let (below, rest) = (at.div_euclid(bin), at.rem_euclid(bin));
    let up = match (2 * rest).cmp(&bin) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => below % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    below + i64::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_rounded_to_even() {
        for (at, expected) in
            [(0, 0), (15, 0), (16, 0), (17, 1), (48, 2), (80, 2), (81, 3), (-16, 0), (-17, -1), (-48, -2)]
        {
            assert_eq!(nearest(at, 32), expected, "{at}");
        }
    }

    #[test]
    fn bins_of_exons_are_a_union_within_the_window() {
        let gene = |exons: &[(u32, u32)]| Gene {
            id: "g".to_owned(),
            name: None,
            contig: 0,
            forward: true,
            start: 0,
            end: 10_000,
            exon_starts: Vec::new(),
            exon_ends: Vec::new(),
            borders: Vec::new(),
            exons: exons.to_vec(),
        };
        let bins = |exons: &[(u32, u32)]| bins_of(&gene(exons), 1000, 32, 10);
        assert_eq!(bins(&[(1000, 1032), (1010, 1100)]), [0, 1, 2]);
        assert_eq!(bins(&[(1017, 1047)]), [0; 0]);
        assert_eq!(bins(&[(500, 1040), (1300, 5000)]), [0, 9]);
        assert_eq!(bins(&[(500, 900), (1320, 5000)]), [0; 0]);
    }
}
