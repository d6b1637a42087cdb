//! The table of an evaluation: every column of scores, by group and metric, and its difference to the first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::metric::{Bootstrap, Figure, Metric, Sample};
use crate::dataset::Labels;

/// Scores of the labelled variants, under the name they have in the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredColumn {
    /// Track and column.
    pub name: String,
    /// One for each labelled variant; `None` where there is none.
    pub scores: Vec<Option<f64>>,
    /// What stands for them in groups of the first column to group by: what a probe says that learned from a group.
    pub within: BTreeMap<String, Vec<Option<f64>>>,
}

impl ScoredColumn {
    fn scores_in(&self, group: Option<&str>) -> &[Option<f64>] {
        group.and_then(|group| self.within.get(group)).unwrap_or(&self.scores)
    }

    /// Takes away the scores of variants that not all `columns` score, and tells how many are left in each.
    pub fn keep_common(columns: &mut [Self]) -> usize {
        let length = columns.iter().map(|column| column.scores.len()).min().unwrap_or(0);
        let mut left = 0;
        for at in 0..length {
            if columns.iter().all(|column| column.scores[at].is_some()) {
                left += 1;
            } else {
                for column in columns.iter_mut() {
                    column.scores[at] = None;
                    column.within.values_mut().for_each(|scores| scores[at] = None);
                }
            }
        }
        left
    }
}

/// One figure of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// The column that the group is of; empty for all variants.
    pub by: String,
    /// The group; `all` for all variants.
    pub group: String,
    /// The scores.
    pub track: String,
    /// The scores that they are compared with: the figure is a difference, on the rows that have both.
    pub versus: Option<String>,
    /// The metric.
    pub metric: &'static str,
    /// Rows.
    pub n: usize,
    /// Positive rows, where labels are classes.
    pub positives: Option<usize>,
    /// The figure; missing where it is undefined.
    pub estimate: Option<f64>,
    /// Lower bound of its 95 % interval.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// Why it is undefined.
    pub note: &'static str,
}

/// What is compared, and how.
pub struct Comparison<'a> {
    /// The labelled variants.
    pub labels: &'a Labels,
    /// Names of the columns to group by, in the order of the labels' groups.
    pub by: Vec<String>,
    /// The scores; differences are to the first.
    pub columns: &'a [ScoredColumn],
    /// The figures wanted.
    pub metrics: &'a [Metric],
    /// Scores from here on are calls.
    pub threshold: Option<f64>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// Whether labels are classes.
    pub classes: bool,
}

impl Comparison<'_> {
    /// The table: all variants first, then group by group.
    #[must_use]
    pub fn rows(&self) -> Vec<ComparisonRow> {
        let everything: Vec<usize> = (0..self.labels.labels.len()).collect();
        let mut rows = self.group("", "all", &everything, None);
        for (number, (by, groups)) in self.by.iter().zip(&self.labels.groups).enumerate() {
            let names: BTreeSet<&String> = groups.iter().flatten().collect();
            for name in names {
                let places: Vec<usize> = (0..groups.len()).filter(|at| groups[*at].contains(name)).collect();
                rows.extend(self.group(by, name, &places, (number == 0).then_some(name.as_str())));
            }
        }
        rows
    }

    /// All rows that have scores in `column`.
    #[must_use]
    pub fn sample(&self, column: &ScoredColumn) -> Sample {
        let places: Vec<usize> = (0..self.labels.labels.len()).collect();
        let [sample] = self.samples(&places, [&column.scores]);
        sample
    }

    /// The rows of `places` that have all of these scores, as a sample of each.
    fn samples<const N: usize>(&self, places: &[usize], columns: [&[Option<f64>]; N]) -> [Sample; N] {
        let scored = |at: &usize| columns.iter().all(|scores| scores[*at].is_some());
        let kept: Vec<usize> = places.iter().copied().filter(scored).collect();
        columns.map(|scores| {
            let scores = kept.iter().filter_map(|at| scores[*at]).collect();
            let labels = kept.iter().map(|at| self.labels.labels[*at]).collect();
            Sample::new(scores, labels, self.threshold)
        })
    }

    fn group(&self, by: &str, group: &str, places: &[usize], within: Option<&str>) -> Vec<ComparisonRow> {
        let mut rows = Vec::new();
        for (number, column) in self.columns.iter().enumerate() {
            let scores = column.scores_in(within);
            let [alone] = self.samples(places, [scores]);
            let row = |sample: &Sample, metric: Metric, versus: Option<&ScoredColumn>, figure: Figure| {
                ComparisonRow {
                    by: by.to_owned(),
                    group: group.to_owned(),
                    track: column.name.clone(),
                    versus: versus.map(|versus| versus.name.clone()),
                    metric: metric.as_str(),
                    n: sample.rows(),
                    positives: self.classes.then(|| sample.positives()),
                    estimate: figure.estimate.ok(),
                    low: figure.bounds.map(|(low, _)| low),
                    high: figure.bounds.map(|(_, high)| high),
                    note: figure.estimate.err().unwrap_or_default(),
                }
            };
            for metric in self.metrics {
                rows.push(row(&alone, *metric, None, alone.figure(*metric, self.bootstrap)));
            }
            if number > 0 {
                let first = &self.columns[0];
                let [ours, firsts] = self.samples(places, [scores, first.scores_in(within)]);
                for metric in self.metrics {
                    if let Some(figure) = ours.difference(&firsts, *metric, self.bootstrap) {
                        rows.push(row(&ours, *metric, Some(first), figure));
                    }
                }
            }
        }
        rows
    }
}
