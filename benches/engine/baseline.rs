//! The Python process that is compared with.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A running baseline with its model loaded.
pub(crate) struct Baseline {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Windows as token ids. Of masked ones, what is read at the masked token.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Task {
    pub(crate) ids: Vec<Vec<i64>>,
    pub(crate) mask: Vec<usize>,
    pub(crate) reference: Vec<i64>,
    pub(crate) alternate: Vec<i64>,
    /// Whether batches are made of windows of like length.
    pub(crate) sort: bool,
}

/// What it answered.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) seconds: f64,
    pub(crate) values: Vec<f32>,
    /// The batch size that was fastest.
    pub(crate) batch: usize,
    /// Bytes of memory, at most.
    pub(crate) peak: u64,
}

impl Baseline {
    pub(crate) fn start(
        python: &Path,
        checkpoint: &Path,
        family: &str,
        dtype: &str,
        threads: u32,
    ) -> anyhow::Result<Self> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/engine/baseline.py");
        let mut child = Command::new(python)
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let stdin = child.stdin.take().context("no way in")?;
        let stdout = BufReader::new(child.stdout.take().context("no way out")?);
        let mut baseline = Self { child, stdin, stdout };
        let start = json!({ "checkpoint": checkpoint, "family": family, "dtype": dtype, "threads": threads });
        baseline.ask(&start)?;
        Ok(baseline)
    }

    pub(crate) fn run(&mut self, task: &Task) -> anyhow::Result<Answer> {
        Ok(serde_json::from_str(&self.ask(task)?)?)
    }

    fn ask(&mut self, what: &impl Serialize) -> anyhow::Result<String> {
        writeln!(self.stdin, "{}", serde_json::to_string(what)?)?;
        self.stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the baseline died");
        Ok(line)
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
