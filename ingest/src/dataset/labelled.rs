//! The labelled variants of a file, one after the other, in normal form.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use vestore::{
    Contigs, HELD_RECORDS, KeyColumns, LabelledRow, LabelledRows, Normalized, RecordSite, RefCheck,
    RefMismatch, Reference, normalize_sites,
};
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
    /// What to do when reference alleles differ.
    pub ref_mismatch: RefMismatch,
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
    path: PathBuf,
    rows: LabelledRows,
    rules: &'a LabelRules,
    reference: &'a mut Reference,
    contigs: Contigs<'a>,
    check: RefCheck,
    /// Line of the record that was compared last.
    compared: u64,
    /// Rows that were read together, of which the first `held` count.
    read: Vec<LabelledRow>,
    held: usize,
    /// Those of them that are labelled variants, in the order of the file.
    found: VecDeque<LabelledVariant>,
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
        let mut contigs = Contigs::new(assembly);
        let warnings = rows.declare(&mut contigs, reference)?;
        Ok(Self {
            path: path.to_owned(),
            rows,
            rules,
            reference,
            contigs,
            check: RefCheck::new(rules.ref_mismatch, path),
            compared: 0,
            read: Vec::new(),
            held: 0,
            found: VecDeque::new(),
            counts: LabelCounts { warnings, ..LabelCounts::default() },
        })
    }

    /// The next one that has a label and is a variant of this reference; the others are counted.
    pub(crate) fn next(&mut self) -> Result<Option<LabelledVariant>, DatasetError> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            self.hold()?;
            if self.held == 0 {
                self.check.finish()?;
                self.counts.warnings.extend(self.check.warning());
                self.counts.warnings.extend(self.check.beyond_warning());
                self.check = RefCheck::new(self.rules.ref_mismatch, &self.path);
                return Ok(None);
            }
            self.normalize()?;
        }
    }

    /// Reads the next rows, so many that the reference can be read in its own order.
    fn hold(&mut self) -> Result<(), DatasetError> {
        self.held = 0;
        let mut bytes = 0;
        while bytes < HELD_RECORDS {
            if self.held == self.read.len() {
                self.read.push(LabelledRow::default());
            }
            let row = &mut self.read[self.held];
            if !self.rows.read(row)? {
                break;
            }
            let texts = row.values.iter().map(|text| text.len() + size_of::<String>());
            bytes +=
                size_of::<LabelledRow>() + row.reference.len() + row.alternate.len() + texts.sum::<usize>();
            self.held += 1;
        }
        Ok(())
    }

    /// Takes the labelled alleles of the rows in hand to the reference.
    fn normalize(&mut self) -> Result<(), DatasetError> {
        let mut labels = Vec::with_capacity(self.held);
        for row in &self.read[..self.held] {
            labels.push(row_label(row, self.rules, &mut self.counts));
        }
        let mut sites = Vec::with_capacity(self.held);
        for (row, label) in self.read.iter().zip(&labels) {
            sites.push(RecordSite {
                contig: self.contigs.resolve(&row.contig),
                one_based: row.one_based,
                reference: &row.reference,
                alternates: label.iter().map(|_| row.alternate.as_str()).collect(),
            });
        }
        let normalized = normalize_sites(&sites, self.reference)?;
        for ((row, label), site) in self.read.iter().zip(labels).zip(normalized) {
            // A record of several alternates is one.
            let is_next = std::mem::replace(&mut self.compared, row.line) != row.line;
            match site.comparison() {
                Some(comparison) if is_next => {
                    self.check.count(comparison, row.line, &row.contig, row.one_based, &row.reference)?;
                }
                None if is_next && self.contigs.resolve(&row.contig).is_some() => {
                    self.check.beyond(row.one_based);
                }
                _ => {}
            }
            let Some((label, allele)) = label.zip(site.alleles.into_iter().next()) else { continue };
            match allele {
                Normalized::Rejected(why) => *self.counts.rejected.entry(why).or_default() += 1,
                Normalized::Row { variant, status, .. } => {
                    self.counts.taken += 1;
                    let (line, values) = (row.line, row.values[1..].to_vec());
                    self.found.push_back(LabelledVariant { line, variant, status, label, values });
                }
            }
        }
        Ok(())
    }
}

/// The label of a row; one without any that can be used is counted.
fn row_label(row: &LabelledRow, rules: &LabelRules, counts: &mut LabelCounts) -> Option<LabelText> {
    counts.variants += 1;
    let text = row.values[0].as_str();
    if is_missing(text) {
        counts.unlabelled += 1;
        return None;
    }
    if rules.positive.is_empty() && rules.negative.is_empty() {
        Some(LabelText::Text(text.to_owned()))
    } else if rules.positive.iter().any(|name| name == text) {
        Some(LabelText::Class(true))
    } else if rules.negative.iter().any(|name| name == text) {
        Some(LabelText::Class(false))
    } else {
        counts.other_labels += 1;
        None
    }
}
