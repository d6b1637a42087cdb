//! The labelled variants of a file, one after the other, in normal form.

use std::collections::HashMap;
use std::path::Path;

use vestore::{Allele, KeyColumns, LabelledRow, LabelledRows, Normalized, Reference, Rejection, normalize};
use vestore_schema::{Assembly, Status, Variant};

use super::{DatasetError, LabelCounts};

/// What of a file is a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelRules {
    /// The column, or INFO field, of the label.
    pub column: String,
    /// Texts that mean 1. Without any, labels are what they say.
    pub positive: Vec<String>,
    /// Texts that mean 0.
    pub negative: Vec<String>,
    /// Columns that name the variant, where that is not left to their usual names.
    pub keys: KeyColumns,
}

/// A label as it stands, or as the rules read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelText {
    /// Positive or negative.
    Class(bool),
    /// What the file has.
    Text(String),
}

/// A variant of this reference with its label.
pub(crate) struct LabelledVariant {
    /// 1-based.
    pub(crate) line: u64,
    /// In normal form where it has one, as it is stored.
    pub(crate) variant: Variant,
    /// Why no window can be cut for it.
    pub(crate) status: Option<Status>,
    pub(crate) label: LabelText,
    /// The text of each further column.
    pub(crate) values: Vec<String>,
}

/// Texts that stand for no label.
const MISSING: [&str; 6] = ["", ".", "NA", "N/A", "NaN", "nan"];

/// Whether this text stands for no label.
pub(super) fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}

/// A label that is a number.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Reads labelled variants.
pub(crate) struct LabelledVariants<'a> {
    rows: LabelledRows,
    rules: &'a LabelRules,
    assembly: &'a Assembly,
    reference: &'a mut Reference,
    contigs: HashMap<String, Option<u32>>,
    row: LabelledRow,
    /// What became of the rows so far; repeats are not counted here.
    pub(crate) counts: LabelCounts,
}

impl<'a> LabelledVariants<'a> {
    /// Opens a file of which the label and `more` columns are wanted.
    pub(crate) fn open(
        path: &Path,
        rules: &'a LabelRules,
        more: &[&str],
        assembly: &'a Assembly,
        reference: &'a mut Reference,
    ) -> Result<Self, DatasetError> {
        let columns: Vec<&str> = std::iter::once(rules.column.as_str()).chain(more.iter().copied()).collect();
        let rows = LabelledRows::open(path, &rules.keys, &columns)?;
        let (contigs, row, counts) = (HashMap::new(), LabelledRow::default(), LabelCounts::default());
        Ok(Self { rows, rules, assembly, reference, contigs, row, counts })
    }

    /// The next one that has a label and is a variant of this reference; the others are counted.
    pub(crate) fn next(&mut self) -> Result<Option<LabelledVariant>, DatasetError> {
        while self.rows.read(&mut self.row)? {
            if let Some(found) = self.alternate()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn alternate(&mut self) -> Result<Option<LabelledVariant>, DatasetError> {
        self.counts.variants += 1;
        let row = &self.row;
        let text = row.values[0].as_str();
        if is_missing(text) {
            self.counts.unlabelled += 1;
            return Ok(None);
        }
        let label = if self.rules.positive.is_empty() && self.rules.negative.is_empty() {
            LabelText::Text(text.to_owned())
        } else if self.rules.positive.iter().any(|name| name == text) {
            LabelText::Class(true)
        } else if self.rules.negative.iter().any(|name| name == text) {
            LabelText::Class(false)
        } else {
            self.counts.other_labels += 1;
            return Ok(None);
        };
        let assembly = self.assembly;
        let contig =
            *self.contigs.entry(row.contig.clone()).or_insert_with_key(|name| assembly.resolve(name));
        let normalized = match contig {
            None => Normalized::Rejected(Rejection::UnknownContig),
            Some(contig) => {
                let (position, alternate) = (row.position, row.alternate.as_str());
                let allele = Allele { contig, position, reference: &row.reference, alternate };
                normalize(allele, self.reference)?
            }
        };
        match normalized {
            Normalized::Rejected(why) => {
                *self.counts.rejected.entry(why).or_default() += 1;
                Ok(None)
            }
            Normalized::Row { variant, status, .. } => {
                self.counts.taken += 1;
                let values = row.values[1..].to_vec();
                Ok(Some(LabelledVariant { line: row.line, variant, status, label, values }))
            }
        }
    }
}
