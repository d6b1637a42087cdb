//! Which rows are for training, for validation and for testing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use vestore_schema::Assembly;

use super::DatasetError;
use crate::convert::{as_index, whole};
use crate::random::Random;

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// To learn from.
    Training,
    /// To decide when to stop, and between choices.
    Validation,
    /// To measure on, once.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Training, Self::Validation, Self::Test];

    /// Its word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Reads what `column` says in a line.
    pub(crate) fn read(path: &Path, line: u64, column: &str, text: &str) -> Result<Self, DatasetError> {
        match text.to_ascii_lowercase().as_str() {
            "train" | "training" => Ok(Self::Training),
            "val" | "valid" | "validation" | "dev" => Ok(Self::Validation),
            "test" | "testing" => Ok(Self::Test),
            _ => Err(DatasetError::UnknownSplit {
                path: path.into(),
                line,
                column: column.to_owned(),
                value: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// By what rows are split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitRule {
    /// By what a column says: train or training; val, valid, validation or dev; test; in any case.
    Column {
        /// The column, or INFO field.
        column: String,
    },
    /// By contig; what is on none of these is for training.
    Contigs {
        /// For validation.
        validation: Vec<String>,
        /// For testing.
        test: Vec<String>,
    },
    /// At random. Rows of one input stay together, and each class is divided alike.
    Random,
}

/// How rows are split.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitOptions {
    /// By what.
    pub rule: SplitRule,
    /// Share of the inputs for validation. Where a rule names none for it, this share of the training inputs is
    /// drawn at random, rows of one input together; 0 goes without.
    pub validation_share: f64,
    /// Share of the inputs for testing, when drawn at random; 0 allows that there is none, whatever the rule.
    pub test_share: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

/// Rows to be split; all lists have the same order.
pub(crate) struct SplitRows<'a, T> {
    pub(crate) path: &'a Path,
    pub(crate) inputs: &'a [T],
    /// None for what is on no contig.
    pub(crate) contigs: Vec<Option<u32>>,
    /// Where labels are classes.
    pub(crate) classes: Option<Vec<u32>>,
    /// What the column says, when there is one.
    pub(crate) told: Vec<Split>,
    pub(crate) assembly: &'a Assembly,
}

impl SplitOptions {
    /// The column that must be read.
    pub(crate) fn column(&self) -> Option<&str> {
        match &self.rule {
            SplitRule::Column { column } => Some(column),
            _ => None,
        }
    }

    /// The split of each row.
    pub(crate) fn assign<T: Ord>(&self, rows: &SplitRows<'_, T>) -> Result<Vec<Split>, DatasetError> {
        let (validation, test) = (self.validation_share, self.test_share);
        // Also false for NaN.
        let sane = validation >= 0.0 && test >= 0.0 && validation + test < 1.0;
        if !sane {
            return Err(DatasetError::Shares { validation, test });
        }
        let mut splits = match &self.rule {
            SplitRule::Column { .. } => rows.told.clone(),
            SplitRule::Contigs { validation, test } => rows.by_contig(validation, test)?,
            SplitRule::Random => vec![Split::Training; rows.inputs.len()],
        };
        if self.rule == SplitRule::Random {
            rows.draw(&mut splits, self.seed, [(Split::Test, test), (Split::Validation, validation)]);
        } else if !splits.contains(&Split::Validation) {
            rows.draw(&mut splits, self.seed, [(Split::Validation, validation)]);
        }
        for (split, wanted, remedy) in [
            (Split::Training, true, "give more rows, or smaller shares to the others"),
            (
                Split::Validation,
                validation > 0.0,
                "give more rows or a larger share, or the share 0 to go without",
            ),
            (Split::Test, test > 0.0, "name rows for it or give more, or the share 0 to go without"),
        ] {
            if wanted && !splits.contains(&split) {
                return Err(DatasetError::EmptySplit {
                    path: rows.path.into(),
                    split: split.as_str(),
                    remedy,
                });
            }
        }
        Ok(splits)
    }
}

impl<T: Ord> SplitRows<'_, T> {
    fn by_contig(&self, validation: &[String], test: &[String]) -> Result<Vec<Split>, DatasetError> {
        let present: BTreeSet<u32> = self.contigs.iter().copied().flatten().collect();
        if present.is_empty() {
            return Err(DatasetError::NoContigs { path: self.path.into() });
        }
        let mut of: BTreeMap<u32, Split> = BTreeMap::new();
        let named = [(validation, Split::Validation), (test, Split::Test)];
        for (name, split) in
            named.iter().flat_map(|(names, split)| names.iter().map(move |name| (name, *split)))
        {
            let found = self.assembly.resolve(name).filter(|contig| present.contains(contig));
            let Some(contig) = found else {
                let contigs = present.iter().map(|contig| self.assembly.contig(*contig).clone()).collect();
                let near = Assembly { contigs, ..Assembly::default() };
                return Err(DatasetError::NoSuchContig {
                    path: self.path.into(),
                    contig: name.clone(),
                    near: near.near(name).into_iter().map(str::to_owned).collect(),
                });
            };
            if of.insert(contig, split).is_some_and(|earlier| earlier != split) {
                return Err(DatasetError::ContigTwice { contig: name.clone() });
            }
        }
        let split = |contig: &Option<u32>| contig.and_then(|contig| of.get(&contig).copied());
        Ok(self.contigs.iter().map(|contig| split(contig).unwrap_or(Split::Training)).collect())
    }

    /// Moves shares of the training inputs to other splits: of each set of classes that an input has, the share,
    /// rounded. Depends on the inputs and the seed, not on the order of the rows.
    fn draw<const N: usize>(&self, splits: &mut [Split], seed: u64, shares: [(Split, f64); N]) {
        let mut groups: BTreeMap<&T, Vec<usize>> = BTreeMap::new();
        for (at, input) in self.inputs.iter().enumerate().filter(|(at, _)| splits[*at] == Split::Training) {
            groups.entry(input).or_default().push(at);
        }
        let mut strata: BTreeMap<BTreeSet<u32>, Vec<Vec<usize>>> = BTreeMap::new();
        for rows in groups.into_values() {
            let classes = self.classes.as_ref().map(|classes| rows.iter().map(|at| classes[*at]).collect());
            strata.entry(classes.unwrap_or_default()).or_default().push(rows);
        }
        for (number, mut groups) in strata.into_values().enumerate() {
            Random::of(&[seed, number as u64]).shuffle(&mut groups);
            let total = groups.len() as f64;
            let mut groups = groups.into_iter();
            for (split, share) in shares {
                for at in groups.by_ref().take(as_index(whole((share * total).round()))).flatten() {
                    splits[at] = split;
                }
            }
        }
    }
}
