//! `vestore completions`

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;

use super::verbs;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Shell that reads the script
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut verbs::all()?, "vestore", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
