//! Hands a verb over to the engine. The catalog is closed by then: this process becomes the engine's.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use super::libtorch;

/// The engine's program, found beside this one.
const ENGINE: &str = "vestore-ingest";

/// What the engine reads by itself.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// `--help` says what it takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(super) rest: Vec<OsString>,
}

pub(super) fn run(verb: &[OsString], rest: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find out where this program lies")?;
    let engine = program.with_file_name(ENGINE);
    if !engine.is_file() {
        bail!(
            "`{}` needs the engine, which is missing: {}; build both programs with `make build`",
            verb.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            engine.display()
        );
    }
    let libraries = libtorch::library_path(program.parent().unwrap_or(&program))?;
    let error = Command::new(&engine).args(verb).args(rest).env(libtorch::VARIABLE, libraries).exec();
    Err(error).with_context(|| format!("cannot start {}", engine.display()))
}
