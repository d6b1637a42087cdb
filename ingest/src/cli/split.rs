//! How labelled rows are split, on the command line.

use vestore_ingest::{SplitOptions, SplitRule};

/// By a column, by contigs, or else at random.
#[derive(clap::Args)]
pub(super) struct SplitArguments {
    /// Column, or INFO field, that says train, validation or test of each row; where no row is for validation,
    /// --validation-share of the training rows is drawn for it
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["validation", "test"])]
    split_column: Option<String>,
    /// Contigs whose rows are for validation
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    validation: Vec<String>,
    /// Test on the rows of these contigs; the rest is for training
    #[arg(long, value_name = "CONTIG", value_delimiter = ',')]
    test: Vec<String>,
    /// Fraction drawn at random for validation without --split-column and --validation, 0 for none; rows of one
    /// variant stay together [default: 0.1]
    #[arg(long, value_name = "FRACTION")]
    validation_share: Option<f64>,
    /// Fraction drawn at random for testing without --split-column and --test; 0 for none [default: 0.2]
    #[arg(long, value_name = "FRACTION")]
    test_share: Option<f64>,
    /// Random seed of the split [default: 24301]
    #[arg(long, value_name = "N")]
    split_seed: Option<u64>,
}

impl SplitArguments {
    /// Whether anything was said about splits.
    pub(super) fn are_given(&self) -> bool {
        let contigs = self.validation.len() + self.test.len();
        let numbers =
            self.validation_share.is_some() || self.test_share.is_some() || self.split_seed.is_some();
        self.split_column.is_some() || contigs > 0 || numbers
    }

    /// What they mean.
    pub(super) fn options(&self) -> SplitOptions {
        let rule = match &self.split_column {
            Some(column) => SplitRule::Column { column: column.clone() },
            None if self.validation.is_empty() && self.test.is_empty() => SplitRule::Random,
            None => SplitRule::Contigs { validation: self.validation.clone(), test: self.test.clone() },
        };
        SplitOptions {
            rule,
            validation_share: self.validation_share.unwrap_or(0.1),
            test_share: self.test_share.unwrap_or(0.2),
            seed: self.split_seed.unwrap_or(0x5eed),
        }
    }
}
