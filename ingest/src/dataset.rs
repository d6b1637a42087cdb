//! Labelled data to train and to measure on: variants or sequences, a label each, and which split each is in.

mod classes;
mod counts;
mod error;
mod examples;
mod labelled;
mod labels;
mod leakage;
mod sequences;
mod split;
#[cfg(test)]
mod tests;

use std::path::Path;

use sha2::{Digest as _, Sha256};
use vestore::Reference;
use vestore_schema::{Assembly, Variant};

use self::classes::{LARGEST, LabelTexts};
pub use self::counts::{DatasetCounts, LabelCounts};
pub use self::error::DatasetError;
pub use self::examples::{Example, LabelledWindows, TuningTask};
pub use self::labelled::LabelRules;
use self::labelled::{LabelText, LabelledVariants, number};
pub use self::labels::{GroupBy, Labels};
pub use self::leakage::{Leakage, SplitPair};
pub use self::sequences::SequenceColumns;
use self::split::SplitRows;
pub use self::split::{Split, SplitOptions, SplitRule};
use vestore_schema::hexadecimal;

use crate::convert::{class_number, narrow};

/// What a model is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

/// What a model is to tell, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A class.
    Classification {
        /// Names of the classes by index, sorted: as numbers when all are, else as text. `0` and `1` for labels 0
        /// and 1, `negative` and `positive` where rules say which text is which.
        classes: Vec<String>,
    },
    /// A number.
    Regression,
}

/// What is labelled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatasetInput {
    /// A variant in normal form, whose reference allele agrees with the reference.
    Variant(Variant),
    /// Bases: A, C, G, T, and N for any other letter.
    Sequence(Vec<u8>),
}

/// Labelled inputs; all lists have the same order, that of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What is labelled. A repeated input stands there once a row.
    pub inputs: Vec<DatasetInput>,
    /// The index of the class, or the number.
    pub labels: Vec<f64>,
    /// The split of each.
    pub splits: Vec<Split>,
    /// What the labels are.
    pub task: Task,
    /// What became of the rows of the file.
    pub counts: DatasetCounts,
    /// The contigs that variants are on; without any for sequences.
    pub assembly: Assembly,
}

impl Dataset {
    /// Reads labelled variants of TSV, CSV or VCF, plain or compressed, and normalizes them as those of a store
    /// are. Variants that no window can be cut for (another reference allele, symbolic alleles) are left out and
    /// counted. Without a `task`, labels are numbers when all are, two classes when all are 0 or 1, else names of
    /// classes.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, has mixed labels or one class alone, or leaves a split empty; the
    /// reference cannot be read.
    pub fn read_variants(
        path: &Path,
        rules: &LabelRules,
        task: Option<TaskKind>,
        split: &SplitOptions,
        assembly: &Assembly,
        reference: &mut Reference,
    ) -> Result<Self, DatasetError> {
        let column = split.column();
        let more: Vec<&str> = column.into_iter().collect();
        let mut rows = LabelledVariants::open(path, rules, &more, assembly, reference)?;
        let mut gathered = Gathered::default();
        while let Some(row) = rows.next()? {
            if let Some(status) = row.status {
                *gathered.counts.unscorable.entry(status).or_default() += 1;
                continue;
            }
            let split = column.map(|name| Split::read(path, row.line, name, &row.values[0])).transpose()?;
            gathered.labels.push(row.label, row.line);
            gathered.inputs.push(DatasetInput::Variant(row.variant));
            gathered.splits.extend(split);
        }
        gathered.counts.rows = rows.counts;
        gathered.counts.rows.taken = gathered.inputs.len() as u64;
        gathered.finish(path, task, split, assembly.clone())
    }

    /// Reads labelled sequences of a TSV or CSV with a header, plain or compressed.
    ///
    /// # Errors
    /// As for variants; a sequence is empty, too long, or holds something else than letters.
    pub fn read_sequences(
        path: &Path,
        columns: &SequenceColumns,
        task: Option<TaskKind>,
        split: &SplitOptions,
    ) -> Result<Self, DatasetError> {
        let mut gathered = Gathered::default();
        sequences::read(path, columns, split.column(), &mut gathered)?;
        gathered.counts.rows.taken = gathered.inputs.len() as u64;
        gathered.finish(path, task, split, Assembly::default())
    }

    /// SHA-256 over the task, the inputs, labels and splits in order, as 64 hexadecimal digits: what identifies
    /// the data in the record of a model.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut text = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        text(b"vestore dataset 1");
        match &self.task {
            Task::Regression => text(b"regression"),
            Task::Classification { classes } => {
                text(b"classification");
                text(&(classes.len() as u64).to_le_bytes());
                for class in classes {
                    text(class.as_bytes());
                }
            }
        }
        for ((input, label), split) in self.inputs.iter().zip(&self.labels).zip(&self.splits) {
            match input {
                DatasetInput::Variant(variant) => {
                    text(self.assembly.contig(variant.contig).name.as_bytes());
                    text(&variant.position.zero_based().to_le_bytes());
                    text(variant.reference.as_bytes());
                    text(variant.alternate.as_bytes());
                }
                DatasetInput::Sequence(bases) => text(bases),
            }
            text(&label.to_le_bytes());
            text(split.as_str().as_bytes());
        }
        hexadecimal(&hash.finalize())
    }

    /// What of one split a model has seen in another: the same inputs, and windows of `window` bases, as scoring
    /// cuts them, that overlap.
    #[must_use]
    pub fn leakage(&self, window: u32) -> Leakage {
        Leakage::find(&self.inputs, &self.splits, &self.assembly, window)
    }
}

/// Rows that are read, before their labels and splits are settled.
#[derive(Default)]
struct Gathered {
    inputs: Vec<DatasetInput>,
    labels: LabelTexts,
    /// What a column says; empty without one.
    splits: Vec<Split>,
    counts: DatasetCounts,
}

impl Gathered {
    fn finish(
        mut self,
        path: &Path,
        task: Option<TaskKind>,
        split: &SplitOptions,
        assembly: Assembly,
    ) -> Result<Dataset, DatasetError> {
        if self.inputs.is_empty() {
            return Err(DatasetError::NoRows { path: path.into(), counts: self.counts.to_string() });
        }
        let (task, labels) = self.labels.settle(path, task)?;
        let classes = matches!(task, Task::Classification { .. });
        let strata: Option<Vec<u32>> =
            classes.then(|| labels.iter().map(|label| narrow(class_number(*label))).collect());
        let contig = |input: &DatasetInput| match input {
            DatasetInput::Variant(variant) => Some(variant.contig),
            DatasetInput::Sequence(_) => None,
        };
        let rows = SplitRows {
            path,
            inputs: &self.inputs,
            contigs: self.inputs.iter().map(contig).collect(),
            classes: strata,
            told: self.splits,
            assembly: &assembly,
        };
        let splits = split.assign(&rows)?;
        self.counts.complete(&self.inputs, &labels, &splits, &task);
        self.counts.check(path)?;
        Ok(Dataset { inputs: self.inputs, labels, splits, task, counts: self.counts, assembly })
    }
}
