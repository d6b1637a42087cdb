//! From the texts of labels to classes or numbers.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::{DatasetError, LabelText, Task, TaskKind, number};

/// The most classes; a column of more is rather no label.
const MOST_CLASSES: usize = 1000;

/// The largest number that is learnt. A head that gives it multiplies weights with the spread of the labels and sums
/// up, which must stay within float32 (3.4e38).
pub(crate) const LARGEST: f64 = 1e30;

/// Labels as they stand, each text once.
#[derive(Default)]
pub(super) struct LabelTexts {
    /// For each row, the place of its text.
    rows: Vec<usize>,
    /// Each text, and the first line that has it.
    texts: Vec<(String, u64)>,
    places: HashMap<String, usize>,
    /// Whether rules say which text is positive.
    named: bool,
}

const NAMED: [&str; 2] = ["negative", "positive"];

impl LabelTexts {
    pub(super) fn push(&mut self, label: LabelText, line: u64) {
        let text = match label {
            LabelText::Text(text) => text,
            LabelText::Class(positive) => {
                self.named = true;
                NAMED[usize::from(positive)].to_owned()
            }
        };
        let place = *self.places.entry(text).or_insert_with_key(|text| {
            self.texts.push((text.clone(), line));
            self.texts.len() - 1
        });
        self.rows.push(place);
    }

    /// The task, and for each row the index of its class or its number.
    pub(super) fn settle(
        &self,
        path: &Path,
        task: Option<TaskKind>,
    ) -> Result<(Task, Vec<f64>), DatasetError> {
        let numbers: Vec<Option<f64>> = self.texts.iter().map(|(text, _)| number(text)).collect();
        let first_text = numbers.iter().position(Option::is_none);
        let not_a_number = |at: usize| {
            let (value, line) = self.texts[at].clone();
            DatasetError::NotANumber {
                path: path.into(),
                line,
                value,
                remedy: "labels are all numbers, or all names of classes; when numbers are names too, make the \
                         task a classification",
            }
        };
        let zero_or_one = numbers.iter().all(|number| matches!(number, Some(0.0 | 1.0)));
        let regression = match task {
            Some(TaskKind::Regression) if self.named => {
                return Err(DatasetError::ClassesAreNoNumbers { path: path.into() });
            }
            Some(TaskKind::Regression) => match first_text {
                Some(at) => return Err(not_a_number(at)),
                None => true,
            },
            Some(TaskKind::Classification) => false,
            None => match first_text {
                // Some numbers and some texts: neither can be meant.
                Some(at) if numbers.iter().any(Option::is_some) => return Err(not_a_number(at)),
                Some(_) => false,
                None => !zero_or_one,
            },
        };
        if regression {
            let large = |number: &Option<f64>| number.is_some_and(|number| number.abs() > LARGEST);
            if let Some(at) = numbers.iter().position(large) {
                let (value, line) = self.texts[at].clone();
                return Err(DatasetError::TooLarge { path: path.into(), line, value });
            }
            let number = |place: &usize| numbers[*place].unwrap_or_default();
            return Ok((Task::Regression, self.rows.iter().map(number).collect()));
        }
        let (classes, class_of) = if zero_or_one { zero_and_one(&numbers) } else { self.names(&numbers) };
        if classes.len() > MOST_CLASSES {
            return Err(DatasetError::TooManyClasses { path: path.into(), classes: classes.len() });
        }
        let distinct = class_of.iter().collect::<BTreeSet<_>>().len();
        if distinct < 2 {
            let class = self.texts[0].0.clone();
            return Err(DatasetError::OneClass { path: path.into(), split: String::new(), class });
        }
        let labels = self.rows.iter().map(|place| class_of[*place] as f64).collect();
        Ok((Task::Classification { classes }, labels))
    }

    fn names(&self, numbers: &[Option<f64>]) -> (Vec<String>, Vec<usize>) {
        let by_number = numbers.iter().all(Option::is_some);
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by(|a, b| {
            let numeric = match (numbers[*a], numbers[*b]) {
                (Some(a), Some(b)) if by_number => a.total_cmp(&b),
                _ => Ordering::Equal,
            };
            numeric.then_with(|| self.texts[*a].0.cmp(&self.texts[*b].0))
        });
        let mut class_of = vec![0; order.len()];
        for (class, place) in order.iter().enumerate() {
            class_of[*place] = class;
        }
        (order.iter().map(|place| self.texts[*place].0.clone()).collect(), class_of)
    }
}

fn zero_and_one(numbers: &[Option<f64>]) -> (Vec<String>, Vec<usize>) {
    let class = |number: &Option<f64>| usize::from(*number == Some(1.0));
    (vec!["0".to_owned(), "1".to_owned()], numbers.iter().map(class).collect())
}
