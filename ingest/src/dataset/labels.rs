//! Labelled variants of a file, in normal form.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use vestore::Reference;
use vestore_schema::{Assembly, Variant};

use super::{
    DatasetError, LARGEST, LabelCounts, LabelRules, LabelText, LabelledVariants, Split, SplitOptions,
    SplitRows, number,
};
use crate::convert::{class_number, narrow};

/// A column by whose values rows are grouped.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBy {
    /// The column, or INFO field.
    pub column: String,
    /// Borders of bins, rising, where the column holds numbers; a bin holds its lower border.
    pub edges: Vec<f64>,
}

impl GroupBy {
    /// The groups of a row with this text. Of several values (`a,b`) each is one; of `SO:1|name` the name.
    fn groups(&self, text: &str) -> Vec<String> {
        const MISSING: &str = "missing";
        if self.edges.is_empty() {
            let names = text.split(',').map(|value| value.rsplit('|').next().unwrap_or(value));
            let mut names: Vec<String> =
                names.map(|name| if name.is_empty() { MISSING } else { name }.to_owned()).collect();
            names.sort_unstable();
            names.dedup();
            return names;
        }
        let Ok(number) = text.parse::<f64>() else { return vec![MISSING.to_owned()] };
        let bin = self.edges.partition_point(|edge| *edge <= number);
        let name = match (bin.checked_sub(1).map(|at| self.edges[at]), self.edges.get(bin)) {
            (None, Some(high)) => format!("below {high}"),
            (Some(low), None) => format!("from {low}"),
            (Some(low), Some(high)) => format!("{low} to {high}"),
            (None, None) => MISSING.to_owned(),
        };
        vec![name]
    }
}

/// Labelled variants; all lists have the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// In normal form where they have one, as they are stored.
    pub variants: Vec<Variant>,
    /// A number each; 0 and 1 where they are classes.
    pub labels: Vec<f64>,
    /// For each column to group by, the groups of each variant.
    pub groups: Vec<Vec<Vec<String>>>,
    /// The split of each; empty when nothing was split.
    pub splits: Vec<Split>,
    /// What became of the rows.
    pub counts: LabelCounts,
}

impl Labels {
    /// Reads labels, normalizes their variants as those of a store are, groups them, and splits them when asked to.
    /// What cannot be scored stays: a store has rows for it.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, holds a label that is not a number of at most 1e30 (when classes have no names), nothing
    /// of it is a labelled variant of this reference, or a split is empty.
    pub fn read(
        path: &Path,
        rules: &LabelRules,
        by: &[GroupBy],
        split: Option<&SplitOptions>,
        assembly: &Assembly,
        reference: &mut Reference,
    ) -> Result<Self, DatasetError> {
        let split_column = split.and_then(SplitOptions::column);
        let more: Vec<&str> = by.iter().map(|by| by.column.as_str()).chain(split_column).collect();
        let mut rows = LabelledVariants::open(path, rules, &more, assembly, reference)?;
        let mut found = Self { groups: vec![Vec::new(); by.len()], ..Self::default() };
        let mut first: HashMap<Variant, f64> = HashMap::new();
        let mut told = Vec::new();
        let (mut repeated, mut relabelled) = (0, 0);
        while let Some(row) = rows.next()? {
            let label = match row.label {
                LabelText::Class(positive) => f64::from(u8::from(positive)),
                LabelText::Text(text) => match number(&text) {
                    Some(number) if number.abs() > LARGEST => {
                        return Err(DatasetError::TooLarge {
                            path: path.into(),
                            line: row.line,
                            value: text,
                        });
                    }
                    Some(number) => number,
                    None => {
                        return Err(DatasetError::NotANumber {
                            path: path.into(),
                            line: row.line,
                            value: text,
                            remedy: "name the values of both classes with --positive and --negative",
                        });
                    }
                },
            };
            if let (Some(column), Some(text)) = (split_column, row.values.last()) {
                told.push(Split::read(path, row.line, column, text)?);
            }
            match first.entry(row.variant.clone()) {
                Entry::Vacant(place) => {
                    place.insert(label);
                }
                Entry::Occupied(earlier) => {
                    repeated += 1;
                    relabelled += u64::from(*earlier.get() != label);
                }
            }
            found.variants.push(row.variant);
            found.labels.push(label);
            for ((groups, by), text) in found.groups.iter_mut().zip(by).zip(&row.values) {
                groups.push(by.groups(text));
            }
        }
        found.counts = LabelCounts { repeated, relabelled, ..rows.counts };
        if found.variants.is_empty() {
            return Err(DatasetError::NoRows { path: path.into(), counts: found.counts.to_string() });
        }
        if let Some(split) = split {
            let classes = found
                .are_classes()
                .then(|| found.labels.iter().map(|label| narrow(class_number(*label))).collect());
            let contigs = found.variants.iter().map(|variant| Some(variant.contig)).collect();
            let rows = SplitRows { path, inputs: &found.variants, contigs, classes, told, assembly };
            found.splits = split.assign(&rows)?;
        }
        Ok(found)
    }

    /// Whether every label is 0 or 1.
    #[must_use]
    pub fn are_classes(&self) -> bool {
        self.labels.iter().all(|label| *label == 0.0 || *label == 1.0)
    }

    /// The rows of some splits; the counts stay those of the file.
    #[must_use]
    pub fn of(&self, splits: &[Split]) -> Self {
        fn kept<T: Clone>(values: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|at| values[*at].clone()).collect()
        }
        let places: Vec<usize> =
            (0..self.splits.len()).filter(|at| splits.contains(&self.splits[*at])).collect();
        Self {
            variants: kept(&self.variants, &places),
            labels: kept(&self.labels, &places),
            groups: self.groups.iter().map(|groups| kept(groups, &places)).collect(),
            splits: kept(&self.splits, &places),
            counts: self.counts.clone(),
        }
    }
}
