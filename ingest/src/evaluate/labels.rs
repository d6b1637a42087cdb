//! Labelled variants of a file, in normal form.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use vestore::{Allele, LabelledRow, LabelledRows, Normalized, Reference, Rejection, normalize};
use vestore_schema::{Assembly, Variant};

use super::EvaluateError;

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

/// What of a file is a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelRules {
    /// The column, or INFO field, of the label.
    pub column: String,
    /// Texts that mean 1. Without any, labels are numbers.
    pub positive: Vec<String>,
    /// Texts that mean 0.
    pub negative: Vec<String>,
    /// Further columns to group by.
    pub by: Vec<GroupBy>,
}

/// What became of the rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Variants read; a row of several alternate alleles has several.
    pub variants: u64,
    /// Variants taken.
    pub taken: u64,
    /// Without a label.
    pub unlabelled: u64,
    /// With a label that is neither positive nor negative.
    pub other_labels: u64,
    /// No variants of this reference.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Taken ones that repeat an earlier one.
    pub repeated: u64,
}

impl fmt::Display for LabelCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} labelled variants of {}", self.taken, self.variants)?;
        for (count, what) in [(self.unlabelled, "without a label"), (self.other_labels, "with other labels")]
        {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for (rejection, count) in &self.rejected {
            write!(f, ", {count} {rejection}")?;
        }
        if self.repeated > 0 {
            write!(f, "; {} repeat an earlier one", self.repeated)?;
        }
        Ok(())
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
    /// What became of the rows.
    pub counts: LabelCounts,
}

/// Texts that stand for no label.
const MISSING: [&str; 6] = ["", ".", "NA", "N/A", "NaN", "nan"];

impl Labels {
    /// Reads labels and normalizes their variants as those of a store are.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, holds a label that is no number (when classes have no names), or
    /// nothing of it is a labelled variant of this reference.
    pub fn read(
        path: &Path,
        rules: &LabelRules,
        assembly: &Assembly,
        reference: &mut Reference,
    ) -> Result<Self, EvaluateError> {
        let columns: Vec<&str> = std::iter::once(rules.column.as_str())
            .chain(rules.by.iter().map(|by| by.column.as_str()))
            .collect();
        let mut rows = LabelledRows::open(path, &columns)?;
        let mut found = Self { groups: vec![Vec::new(); rules.by.len()], ..Self::default() };
        let mut contigs: HashMap<String, Option<u32>> = HashMap::new();
        let mut seen = HashSet::new();
        let mut row = LabelledRow::default();
        while rows.read(&mut row)? {
            let contig = *contigs.entry(row.contig.clone()).or_insert_with_key(|name| assembly.resolve(name));
            let several: Vec<&str> = row.values[0].split(',').collect();
            for (number, alternate) in row.alternates.iter().enumerate() {
                found.counts.variants += 1;
                // A field may have a value for each alternate.
                let each = row.alternates.len() > 1 && several.len() == row.alternates.len();
                let text = if each { several[number] } else { row.values[0].as_str() };
                let Some(label) = found.label(text, rules, path, row.line)? else { continue };
                let reject = |counts: &mut LabelCounts, why| *counts.rejected.entry(why).or_default() += 1;
                let Some(contig) = contig else {
                    reject(&mut found.counts, Rejection::UnknownContig);
                    continue;
                };
                let (position, reference_allele) = (row.position, row.reference.as_str());
                let allele = Allele { contig, position, reference: reference_allele, alternate };
                match normalize(allele, reference)? {
                    Normalized::Rejected(why) => reject(&mut found.counts, why),
                    Normalized::Row { variant, .. } => {
                        found.counts.taken += 1;
                        found.counts.repeated += u64::from(!seen.insert(variant.clone()));
                        found.variants.push(variant);
                        found.labels.push(label);
                        for ((groups, by), text) in
                            found.groups.iter_mut().zip(&rules.by).zip(&row.values[1..])
                        {
                            groups.push(by.groups(text));
                        }
                    }
                }
            }
        }
        if found.variants.is_empty() {
            return Err(EvaluateError::NoLabels { path: path.into(), counts: found.counts });
        }
        Ok(found)
    }

    fn label(
        &mut self,
        text: &str,
        rules: &LabelRules,
        path: &Path,
        line: u64,
    ) -> Result<Option<f64>, EvaluateError> {
        if MISSING.contains(&text) {
            self.counts.unlabelled += 1;
            return Ok(None);
        }
        if rules.positive.is_empty() && rules.negative.is_empty() {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let value = || text.to_owned();
            return number.map(Some).ok_or_else(|| EvaluateError::NotANumber {
                path: path.into(),
                line,
                value: value(),
            });
        }
        let label = if rules.positive.iter().any(|name| name == text) {
            Some(1.0)
        } else {
            rules.negative.iter().any(|name| name == text).then_some(0.0)
        };
        self.counts.other_labels += u64::from(label.is_none());
        Ok(label)
    }

    /// Whether every label is 0 or 1.
    #[must_use]
    pub fn are_classes(&self) -> bool {
        self.labels.iter().all(|label| *label == 0.0 || *label == 1.0)
    }
}
