//! What of a file is a label, on the command line.

use vestore::{KeyColumns, RefMismatch};
use vestore_ingest::{LabelRules, TaskKind};

use super::shared::{Usage, one_of};

/// Which column, and what it says.
#[derive(clap::Args)]
pub(super) struct LabelArguments {
    /// Read labels from this column or INFO field: class names, numbers, or the texts of --positive and --negative
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub(super) label: String,
    /// Read the variant from these columns, such as `position=hg19_pos,contig=…`; by default from the usual names
    #[arg(long = "columns", value_name = "KEY=COLUMN,…", value_delimiter = ',')]
    keys: Vec<String>,
    /// Count these labels as positive
    #[arg(long, value_name = "TEXT", value_delimiter = ',', requires = "negative")]
    positive: Vec<String>,
    /// Count these labels as negative; rows with other labels are skipped
    #[arg(long, value_name = "TEXT", value_delimiter = ',', requires = "positive")]
    negative: Vec<String>,
    /// Read labels as classes or as numbers; by default classes if all are 0 or 1, else numbers if all are numbers
    #[arg(long, value_parser = one_of(&[TaskKind::Classification, TaskKind::Regression], task_name))]
    pub(super) task: Option<TaskKind>,
}

fn task_name(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Classification => "classification",
        TaskKind::Regression => "regression",
    }
}

impl LabelArguments {
    /// What is read as which label.
    pub(super) fn rules(&self, ref_mismatch: RefMismatch) -> anyhow::Result<LabelRules> {
        let pair = |text: &String| {
            let (key, name) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), name.to_owned())
        };
        let mut pairs: Vec<_> = self.keys.iter().map(pair).collect();
        let keys = KeyColumns::take(&mut pairs)?;
        if let Some((unknown, _)) = pairs.first() {
            return Err(Usage(format!(
                "unknown key column `{unknown}`; expected contig=NAME, position=NAME, reference=NAME or alternate=NAME"
            ))
            .into());
        }
        Ok(LabelRules {
            keys,
            column: self.label.clone(),
            positive: self.positive.clone(),
            negative: self.negative.clone(),
            ref_mismatch,
        })
    }
}
