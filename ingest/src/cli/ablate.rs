//! `vestore ablate`

use std::path::PathBuf;
use std::process::ExitCode;

use vestore_schema::AblatedPart;

use super::Usage;
use super::score::execute;
use super::scoring::{Scoring, Task};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Model of the store
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    scoring: Scoring,
    /// What of each layer is left out
    #[arg(long, value_enum, default_value_t = PartArgument::Block)]
    part: PartArgument,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PartArgument {
    Block,
    Attention,
    Mlp,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some(model) = arguments.model.as_deref().filter(|_| arguments.scoring.names_variants()) else {
        let needed = "ablate needs --model and one of --variants, --region, --bed";
        return Err(Usage(needed.to_owned()).into());
    };
    let part = match arguments.part {
        PartArgument::Block => AblatedPart::Block,
        PartArgument::Attention => AblatedPart::Attention,
        PartArgument::Mlp => AblatedPart::Mlp,
    };
    execute(&arguments.store, model, &arguments.scoring, Task::Ablate { part })
}
