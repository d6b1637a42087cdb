//! What of a file is a label, on the command line.

use vestore::{KeyColumns, RefMismatch};
use vestore_ingest::{LabelRules, TaskKind};

use super::Usage;

/// Which column, and what it says.
#[derive(clap::Args)]
pub(super) struct LabelArguments {
    /// Column, or INFO field, of the label: names of classes, numbers, or the texts of --positive and --negative
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub(super) label: String,
    /// Columns of the variant, as `position=hg19_pos,contig=…,reference=…,alternate=…`; by their usual names without it
    #[arg(long = "columns", value_name = "KEY=COLUMN,…", value_delimiter = ',')]
    keys: Vec<String>,
    /// Labels that count as positive
    #[arg(long, value_name = "TEXT", value_delimiter = ',', requires = "negative")]
    positive: Vec<String>,
    /// Labels that count as negative; rows with others are left out
    #[arg(long, value_name = "TEXT", value_delimiter = ',', requires = "positive")]
    negative: Vec<String>,
    /// What labels are; by default classes when all are 0 or 1, and numbers otherwise where they are such
    #[arg(long, value_enum)]
    task: Option<TaskArgument>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TaskArgument {
    Classification,
    Regression,
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

    /// What labels are, where that was said.
    pub(super) fn task(&self) -> Option<TaskKind> {
        self.task.map(|task| match task {
            TaskArgument::Classification => TaskKind::Classification,
            TaskArgument::Regression => TaskKind::Regression,
        })
    }
}
