//! Hands a verb over to the engine. The catalog is closed by then: this process becomes the engine's.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use serde_json::Value;

use super::installation::Installation;
use super::{libtorch, openmp};

/// The engine's program, found beside this one.
const ENGINE: &str = "vestore-ingest";

/// What the engine reads by itself.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Arguments of the engine; see `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(super) rest: Vec<OsString>,
}

pub(super) fn run(verb: &[OsString], rest: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let engine = place()?;
    if !engine.is_file() {
        bail!(
            "`{}` needs the engine, which is missing: {}; {}",
            verb.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            engine.display(),
            Installation::of(folder(&engine)).engine()
        );
    }
    let error = command(&engine)?.args(verb).args(rest).exec();
    Err(error).with_context(|| format!("cannot start {}", engine.display()))
}

pub(super) fn is_installed() -> anyhow::Result<bool> {
    Ok(place()?.is_file())
}

/// The JSON that a hidden verb of the engine prints: `verbs` (its command line) or `doctor` (what it finds).
pub(super) fn asked(verb: &str) -> anyhow::Result<Value> {
    let engine = place()?;
    let output = command(&engine)?.arg(verb).output();
    let output = output.with_context(|| format!("cannot start {}", engine.display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", engine.display(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} is of another version than this program", engine.display()))
}

/// Where the engine's program is expected.
pub(super) fn place() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find out where this program lies")?;
    Ok(program.with_file_name(ENGINE))
}

/// The folder that a program lies in.
pub(super) fn folder(program: &Path) -> &Path {
    program.parent().unwrap_or(program)
}

fn command(engine: &Path) -> anyhow::Result<Command> {
    let libraries = libtorch::library_path(folder(engine))?;
    let mut command = Command::new(engine);
    command.env(libtorch::VARIABLE, libraries).envs(openmp::settings());
    Ok(command)
}
