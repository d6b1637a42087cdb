//! What became of the rows of a file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use vestore::Rejection;
use vestore_schema::Status;

use super::{DatasetError, DatasetInput, Split, Task};
use crate::convert::class_number;

/// What became of labelled variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Variants read; a row of several alternate alleles has several. Of sequences, rows.
    pub variants: u64,
    /// Taken.
    pub taken: u64,
    /// Without a label.
    pub unlabelled: u64,
    /// With a label that is neither positive nor negative.
    pub other_labels: u64,
    /// No variants of this reference.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Taken ones that repeat an earlier one.
    pub repeated: u64,
    /// Of the repeated ones, those whose label is not that of the first row of the input.
    pub relabelled: u64,
    /// What people should know even where it is not an error, such as reference alleles that differ.
    pub warnings: Vec<String>,
}

impl LabelCounts {
    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, what) in [(self.unlabelled, "without a label"), (self.other_labels, "with other labels")]
        {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        self.rejected.iter().try_for_each(|(rejection, count)| write!(f, ", {count} {rejection}"))
    }

    /// How many rows repeat an `earlier` one.
    fn repeats(&self, f: &mut fmt::Formatter<'_>, earlier: &str) -> fmt::Result {
        if self.repeated > 0 {
            let verb = if self.repeated == 1 { "repeats" } else { "repeat" };
            write!(f, "; {} {verb} an earlier {earlier}", self.repeated)?;
        }
        if self.relabelled > 0 {
            write!(f, ", {} of them with another label", self.relabelled)?;
        }
        Ok(())
    }
}

impl fmt::Display for LabelCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.taken == 1 { "variant" } else { "variants" };
        write!(f, "{} labelled {noun} of {}", self.taken, self.variants)?;
        self.left_out(f)?;
        self.repeats(f, "one")
    }
}

/// What became of the rows of a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetCounts {
    /// Read, taken, left out.
    pub rows: LabelCounts,
    /// Left out because no window can be cut for them.
    pub unscorable: BTreeMap<Status, u64>,
    /// Names of the classes; without any for numbers.
    pub classes: Vec<String>,
    /// For training, validation and test in this order, the rows of each class; of numbers, one count.
    pub by_split: [Vec<u64>; 3],
}

impl DatasetCounts {
    /// Rows of a split.
    #[must_use]
    pub fn of(&self, split: Split) -> u64 {
        self.by_split[split as usize].iter().sum()
    }

    pub(super) fn complete(
        &mut self,
        inputs: &[DatasetInput],
        labels: &[f64],
        splits: &[Split],
        task: &Task,
    ) {
        let classes = match task {
            Task::Classification { classes } => classes.clone(),
            Task::Regression => Vec::new(),
        };
        self.by_split = std::array::from_fn(|_| vec![0; classes.len().max(1)]);
        let mut first: HashMap<&DatasetInput, f64> = HashMap::with_capacity(inputs.len());
        for ((input, label), split) in inputs.iter().zip(labels).zip(splits) {
            let class = if classes.is_empty() { 0 } else { class_number(*label) };
            self.by_split[*split as usize][class] += 1;
            match first.get(input) {
                None => {
                    first.insert(input, *label);
                }
                Some(earlier) => {
                    self.rows.repeated += 1;
                    self.rows.relabelled += u64::from(earlier != label);
                }
            }
        }
        self.classes = classes;
    }

    /// Whether a model can learn from the training split.
    pub(super) fn check(&self, path: &Path) -> Result<(), DatasetError> {
        let training = &self.by_split[Split::Training as usize];
        let mut present = (0..self.classes.len()).filter(|class| training[*class] > 0);
        match (present.next(), present.next()) {
            (Some(class), None) => Err(DatasetError::OneClass {
                path: path.into(),
                split: " in the training split".to_owned(),
                class: self.classes[class].clone(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for DatasetCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.rows.taken == 1 { "row" } else { "rows" };
        write!(f, "{} labelled {noun} of {}", self.rows.taken, self.rows.variants)?;
        self.rows.left_out(f)?;
        for (status, count) in &self.unscorable {
            write!(f, ", {count} {}", status.as_str())?;
        }
        self.rows.repeats(f, "input and stay")?;
        for split in Split::ALL {
            let counts = &self.by_split[split as usize];
            if counts.is_empty() {
                continue;
            }
            write!(f, "; {split} {}", self.of(split))?;
            let classes: Vec<String> =
                self.classes.iter().zip(counts).map(|(class, count)| format!("{class}: {count}")).collect();
            if !classes.is_empty() {
                write!(f, " ({})", classes.join(", "))?;
            }
        }
        Ok(())
    }
}
