//! What of a file is a label, on the command line.

use vestore_ingest::{LabelRules, TaskKind};

/// Which column, and what it says.
#[derive(clap::Args)]
pub(super) struct LabelArguments {
    /// Column, or INFO field, of the label: names of classes, numbers, or the texts of --positive and --negative
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub(super) label: String,
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
    pub(super) fn rules(&self) -> LabelRules {
        LabelRules {
            column: self.label.clone(),
            positive: self.positive.clone(),
            negative: self.negative.clone(),
        }
    }

    /// What labels are, where that was said.
    pub(super) fn task(&self) -> Option<TaskKind> {
        self.task.map(|task| match task {
            TaskArgument::Classification => TaskKind::Classification,
            TaskArgument::Regression => TaskKind::Regression,
        })
    }
}
