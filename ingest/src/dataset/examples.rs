//! Labelled windows of DNA, by split: what a fine-tuning sees of a dataset.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vestore::{Reference, ReferenceError};

use super::{Dataset, DatasetInput, Split, Task};
use crate::convert::narrow;
use crate::window::{ContigEnd, WindowCutter};

/// A labelled input: windows of upper-case ACGTN.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The reference window, where the input is the difference of both.
    pub reference: Option<Arc<[u8]>>,
    /// The alternate window, or the whole sequence.
    pub alternate: Arc<[u8]>,
    /// Index of the class, or the number.
    pub label: f64,
}

/// What the labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningTask {
    /// One of so many classes, two or more.
    Classes(u32),
    /// A number.
    Number,
}

impl TuningTask {
    /// Numbers that the head returns.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Self::Classes(classes) => classes as usize,
            Self::Number => 1,
        }
    }
}

/// Labelled windows, by split.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledWindows {
    /// What the labels are.
    pub task: TuningTask,
    /// Names of the classes; none for numbers.
    pub classes: Vec<String>,
    /// What the weights are fitted to.
    pub training: Vec<Example>,
    /// What decides when a training stops.
    pub validation: Vec<Example>,
    /// What nothing is chosen by.
    pub test: Vec<Example>,
    /// Variants without a window on their contig, which are left out.
    pub skipped: u64,
    /// What identifies them: the digest of the data, and the window.
    pub identity: Value,
}

impl LabelledWindows {
    /// Cuts windows of `window` bases around the variants of `data`; a variant too near the end of a contig that is
    /// shorter than a window is left out.
    ///
    /// # Errors
    /// When the reference cannot be read.
    pub fn of_variants(
        data: &Dataset,
        window: u32,
        reference: &mut Reference,
    ) -> Result<Self, ReferenceError> {
        let cutter = WindowCutter { length: window, end: ContigEnd::Shift };
        let mut found = Self::new(data, Some(window));
        for (at, input) in data.inputs.iter().enumerate() {
            let DatasetInput::Variant(variant) = input else { continue };
            match cutter.cut(variant, reference, &data.assembly)? {
                Ok(pair) => found.push(data, at, Some(pair.reference), pair.alternate),
                Err(_) => found.skipped += 1,
            }
        }
        Ok(found)
    }

    /// The sequences of `data`, whole.
    #[must_use]
    pub fn of_sequences(data: &Dataset) -> Self {
        let mut found = Self::new(data, None);
        for (at, input) in data.inputs.iter().enumerate() {
            if let DatasetInput::Sequence(bases) = input {
                found.push(data, at, None, Arc::from(bases.as_slice()));
            }
        }
        found
    }

    /// Rows for training, validation and test.
    #[must_use]
    pub fn rows(&self) -> [u64; 3] {
        [&self.training, &self.validation, &self.test].map(|rows| rows.len() as u64)
    }

    fn new(data: &Dataset, window: Option<u32>) -> Self {
        let (task, classes) = match &data.task {
            Task::Classification { classes } => (TuningTask::Classes(narrow(classes.len())), classes.clone()),
            Task::Regression => (TuningTask::Number, Vec::new()),
        };
        Self {
            task,
            classes,
            training: Vec::new(),
            validation: Vec::new(),
            test: Vec::new(),
            skipped: 0,
            identity: json!({ "digest": data.digest(), "window": window }),
        }
    }

    fn push(&mut self, data: &Dataset, at: usize, reference: Option<Arc<[u8]>>, alternate: Arc<[u8]>) {
        let example = Example { reference, alternate, label: data.labels[at] };
        match data.splits[at] {
            Split::Training => self.training.push(example),
            Split::Validation => self.validation.push(example),
            Split::Test => self.test.push(example),
        }
    }
}
