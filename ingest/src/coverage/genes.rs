//! How well the expression of genes is predicted, after Baskerville's `hound_eval_genes`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vestore::{Gene, GeneTable};
use vestore_schema::Region;

use super::moments::Moments;
use super::quantiles::normalize;
use super::resampled::{CoverageFigure, figures};
use super::targets::CoverageTargets;
use super::transform::Transform;
use super::values::BinLayout;
use crate::convert::as_index;
use crate::evaluate::Bootstrap;
use crate::evaluate::resample::interval;

/// Sums predicted and measured coverage over the exons of genes, a window at a time.
///
/// A gene counts in windows whose bins hold all of it: the sum over the bins that share a base with an exon, of coverage
/// whose transform is undone, except what was clipped. Bins that are left out count in neither sum. Of a gene in several
/// windows the mean is taken. Of strand pairs, the target on the gene's strand counts.
pub struct GeneExpression<'a> {
    genes: &'a GeneTable,
    layout: BinLayout,
    columns: Vec<Column>,
    transforms: Vec<Transform>,
    /// By contig, start and id.
    sums: BTreeMap<(u32, u32, String), Sums>,
}

/// A target, or the two of a strand pair.
struct Column {
    name: String,
    group: String,
    /// The targets of the reverse and the forward strand.
    targets: [usize; 2],
}

/// Predicted and measured sums of each column over windows.
struct Sums {
    windows: u32,
    values: Vec<[f64; 2]>,
}

/// Figures of a target, or their means. Expression is log2(sum + 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneTargetFigures {
    /// Identifier; of a strand pair, that of the forward strand. Empty for means.
    pub target: String,
    /// Pearson's correlation over genes.
    pub pearson: CoverageFigure,
    /// The same after quantile normalization within the target's group and without the gene's mean over that group: what
    /// is specific to a target. Resamples draw normalized genes.
    pub normalized_pearson: CoverageFigure,
}

/// Figures of targets of one group: those whose descriptions agree up to the first colon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneGroupFigures {
    /// What stands before the colon.
    pub group: String,
    /// Targets; strand pairs are one.
    pub targets: u64,
    /// Mean over genes of Pearson's correlation over the targets, after quantile normalization.
    pub pearson: CoverageFigure,
    /// Genes that have such a correlation: both sides vary over the targets.
    pub genes: u64,
}

/// How well the expression of genes is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneReport {
    /// Genes that lie wholly inside a window.
    pub genes: u64,
    /// In the order of the table.
    pub targets: Vec<GeneTargetFigures>,
    /// Over the targets that have a figure.
    pub mean: GeneTargetFigures,
    /// By name.
    pub groups: Vec<GeneGroupFigures>,
}

impl<'a> GeneExpression<'a> {
    /// Nothing summed yet.
    #[must_use]
    pub fn new(targets: &CoverageTargets, genes: &'a GeneTable, layout: BinLayout) -> Self {
        let table = &targets.table().targets;
        let mut columns = Vec::new();
        for (place, target) in table.iter().enumerate() {
            let pair = as_index(target.pair.into());
            if pair != place && target.identifier.ends_with('-') {
                continue;
            }
            let group = target.description.split(':').next().unwrap_or_default().to_owned();
            // Pairs that do not name their strands count as what they are.
            let named = table[pair].identifier.ends_with('-');
            let reverse = if named { pair } else { place };
            columns.push(Column { name: target.identifier.clone(), group, targets: [reverse, place] });
        }
        let transforms = targets.files.iter().map(|file| file.transform).collect();
        Self { genes, layout, columns, transforms, sums: BTreeMap::new() }
    }

    /// Adds a window: [targets, bins] each, row by target, as for [`super::CoverageFigures::add`].
    ///
    /// # Panics
    /// When the values have another shape, which is a bug.
    pub fn add(&mut self, window: Region, predicted: &[f32], measured: &[f32]) {
        let BinLayout { resolution, first, count } = self.layout;
        let bins = as_index(count.into());
        let shape = self.transforms.len() * bins;
        assert!(
            predicted.len() == shape && measured.len() == shape,
            "values of another shape; this is a bug"
        );
        let start = window.start + first * resolution;
        let end = start + count * resolution;
        for gene in self.genes.within(window.contig, start, end) {
            if gene.start < start || gene.end > end {
                continue;
            }
            let inside = bins_of(gene, start, resolution, bins);
            let mut values = Vec::with_capacity(self.columns.len());
            let mut known = false;
            for column in &self.columns {
                let target = column.targets[usize::from(gene.forward)];
                let mut sums = [0.0; 2];
                for place in inside.iter().map(|bin| target * bins + bin) {
                    if !measured[place].is_nan() {
                        known = true;
                        for (sum, value) in sums.iter_mut().zip([predicted[place], measured[place]]) {
                            *sum += self.transforms[target].undo(value.into());
                        }
                    }
                }
                values.push(sums);
            }
            if !known {
                continue;
            }
            let key = (gene.contig, gene.start, gene.id.clone());
            let sums = self.sums.entry(key);
            let sums = sums.or_insert_with(|| Sums { windows: 0, values: vec![[0.0; 2]; values.len()] });
            sums.windows += 1;
            for (sum, value) in sums.values.iter_mut().zip(values) {
                (0..2).for_each(|side| sum[side] += value[side]);
            }
        }
    }

    /// The figures, with intervals over resamples of the genes.
    #[must_use]
    pub fn finish(&self, bootstrap: Bootstrap) -> GeneReport {
        let genes = self.sums.len();
        // For each column, predicted and measured expression of each gene.
        let mut sides: [Vec<Vec<f64>>; 2] = [0, 1].map(|side| {
            let expression = |sums: &Sums, column: usize| {
                (sums.values[column][side] / f64::from(sums.windows) + 1.0).log2()
            };
            let column = |column| self.sums.values().map(|sums| expression(sums, column)).collect();
            (0..self.columns.len()).map(column).collect()
        });
        let plain = sides.clone();
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, column) in self.columns.iter().enumerate() {
            members.entry(&column.group).or_default().push(place);
        }
        let mut groups = Vec::new();
        for (group, members) in members {
            for side in &mut sides {
                let mut normalized: Vec<Vec<f64>> =
                    members.iter().map(|column| std::mem::take(&mut side[*column])).collect();
                normalize(&mut normalized);
                members.iter().zip(normalized).for_each(|(column, values)| side[*column] = values);
            }
            groups.push(self.group(group, &members, &sides, bootstrap));
            for side in &mut sides {
                let mut means = vec![0.0; genes];
                for column in &members {
                    means.iter_mut().zip(&side[*column]).for_each(|(mean, value)| *mean += value);
                }
                for column in &members {
                    let values = side[*column].iter_mut().zip(&means);
                    values.for_each(|(value, mean)| *value -= mean / members.len() as f64);
                }
            }
        }
        let pearson = |sides: &[Vec<Vec<f64>>; 2], column: usize, counts: &[u32]| {
            let pairs = sides[0][column].iter().zip(&sides[1][column]).zip(counts);
            Moments::pool(pairs.map(|((one, other), count)| (Moments::point([*one, *other]), *count)))
                .pearson()
        };
        let (targets, mean) = figures(self.columns.len(), genes, bootstrap, |column, counts| {
            [pearson(&plain, column, counts), pearson(&sides, column, counts)]
        });
        let named = |target: &str, [pearson, normalized_pearson]: [CoverageFigure; 2]| GeneTargetFigures {
            target: target.to_owned(),
            pearson,
            normalized_pearson,
        };
        let targets = self.columns.iter().zip(targets).map(|(column, found)| named(&column.name, found));
        GeneReport { genes: genes as u64, targets: targets.collect(), mean: named("", mean), groups }
    }

    /// The figures of a group of columns with normalized values.
    fn group(
        &self,
        group: &str,
        members: &[usize],
        sides: &[Vec<Vec<f64>>; 2],
        bootstrap: Bootstrap,
    ) -> GeneGroupFigures {
        let across = |gene: usize| {
            let pairs = members.iter().map(|column| [sides[0][*column][gene], sides[1][*column][gene]]);
            Moments::of(pairs).pearson()
        };
        let found: Vec<f64> = (0..self.sums.len()).filter_map(across).collect();
        let mean = |counts: &[u32]| {
            let sum: f64 = found.iter().zip(counts).map(|(value, count)| value * f64::from(*count)).sum();
            Some(sum / found.len() as f64)
        };
        let value = if found.is_empty() { None } else { mean(&vec![1; found.len()]) };
        let bounds = value.and_then(|_| interval(found.len(), bootstrap.resamples, bootstrap.seed, mean));
        GeneGroupFigures {
            group: group.to_owned(),
            targets: members.len() as u64,
            pearson: CoverageFigure::new(value, bounds),
            genes: found.len() as u64,
        }
    }
}

/// The bins that share a base with an exon; the first of `count` bins begins at `first`.
fn bins_of(gene: &Gene, first: u32, resolution: u32, count: usize) -> Vec<usize> {
    let mut inside = vec![false; count];
    for (start, end) in &gene.exons {
        // A table may state exons outside of their gene.
        let place = |base: u32| as_index(base.into()).min(count);
        let start = place(start.saturating_sub(first) / resolution);
        let end = place(end.saturating_sub(first).div_ceil(resolution));
        inside[start.min(end)..end].fill(true);
    }
    (0..count).filter(|bin| inside[*bin]).collect()
}
