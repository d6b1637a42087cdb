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
    /// Scores that mean something within each group of the first column to group by alone, such as those of a probe
    /// that learned from a group: they stand for `scores`, which only say where there are any.
    pub within: BTreeMap<String, Vec<Option<f64>>>,
}

impl ScoredColumn {
    /// Those that mean something in a group of the first column to group by; elsewhere with `None`.
    fn scores_in(&self, group: Option<&str>) -> Option<&[Option<f64>]> {
        if self.within.is_empty() {
            return Some(&self.scores);
        }
        self.within.get(group?).map(Vec::as_slice)
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
    /// The table: all variants first, then group by group; where scores differ by group, also means over the groups.
    #[must_use]
    pub fn rows(&self) -> Vec<ComparisonRow> {
        let everything: Vec<usize> = (0..self.labels.labels.len()).collect();
        let mut rows = self.group("", "all", &everything, None);
        for (number, (by, groups)) in self.by.iter().zip(&self.labels.groups).enumerate() {
            let names: BTreeSet<&String> = groups.iter().flatten().collect();
            let mut places_of = BTreeMap::new();
            for name in names {
                let places: Vec<usize> = (0..groups.len()).filter(|at| groups[*at].contains(name)).collect();
                rows.extend(self.group(by, name, &places, (number == 0).then_some(name.as_str())));
                places_of.insert(name.as_str(), places);
            }
            if number == 0 && self.columns.iter().any(|column| !column.within.is_empty()) {
                rows.extend(self.means(by, &places_of));
            }
        }
        rows
    }

    /// Means over those groups in which all columns have a figure.
    fn means(&self, by: &str, groups: &BTreeMap<&str, Vec<usize>>) -> Vec<ComparisonRow> {
        let mut rows = Vec::new();
        for metric in self.metrics.iter().filter(|metric| !metric.is_count()) {
            let mut samples: Vec<Vec<Sample>> = self.columns.iter().map(|_| Vec::new()).collect();
            for (group, places) in groups {
                let scores = self.columns.iter().map(|column| column.scores_in(Some(group)));
                let found: Option<Vec<Sample>> = scores
                    .map(|scores| {
                        let [sample] = self.samples(places, [scores?]);
                        sample.measure(*metric, &vec![1; sample.rows()]).map(|_| sample)
                    })
                    .collect();
                for (samples, sample) in samples.iter_mut().zip(found.into_iter().flatten()) {
                    samples.push(sample);
                }
            }
            for (column, samples) in self.columns.iter().zip(&samples) {
                let figure = Sample::mean_figure(samples, *metric, self.bootstrap);
                rows.push(self.row((by, "mean of groups"), (column, None), samples, *metric, figure));
            }
        }
        rows
    }

    /// All rows that have scores in `column`; `None` where these mean something within groups alone.
    #[must_use]
    pub fn sample(&self, column: &ScoredColumn) -> Option<Sample> {
        let places: Vec<usize> = (0..self.labels.labels.len()).collect();
        let [sample] = self.samples(&places, [column.scores_in(None)?]);
        Some(sample)
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

    fn row(
        &self,
        (by, group): (&str, &str),
        (column, versus): (&ScoredColumn, Option<&ScoredColumn>),
        samples: &[Sample],
        metric: Metric,
        figure: Figure,
    ) -> ComparisonRow {
        ComparisonRow {
            by: by.to_owned(),
            group: group.to_owned(),
            track: column.name.clone(),
            versus: versus.map(|versus| versus.name.clone()),
            metric: metric.as_str(),
            n: samples.iter().map(Sample::rows).sum(),
            positives: self.classes.then(|| samples.iter().map(Sample::positives).sum()),
            estimate: figure.estimate.ok(),
            low: figure.bounds.map(|(low, _)| low),
            high: figure.bounds.map(|(_, high)| high),
            note: figure.estimate.err().unwrap_or_default(),
        }
    }

    fn group(&self, by: &str, group: &str, places: &[usize], within: Option<&str>) -> Vec<ComparisonRow> {
        let mut rows = Vec::new();
        for (number, column) in self.columns.iter().enumerate() {
            let Some(scores) = column.scores_in(within) else { continue };
            let alone = self.samples(places, [scores]);
            for metric in self.metrics {
                let figure = alone[0].figure(*metric, self.bootstrap);
                rows.push(self.row((by, group), (column, None), &alone, *metric, figure));
            }
            let first = self.columns.first().filter(|_| number > 0);
            let Some((first, firsts)) = first.and_then(|first| Some((first, first.scores_in(within)?)))
            else {
                continue;
            };
            let both = self.samples(places, [scores, firsts]);
            for metric in self.metrics {
                if let Some(figure) = both[0].difference(&both[1], *metric, self.bootstrap) {
                    rows.push(self.row((by, group), (column, Some(first)), &both[..1], *metric, figure));
                }
            }
        }
        rows
    }
}
