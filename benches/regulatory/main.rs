//! One forward pass of a regulatory model in the published shape, beside the published Python code on the same weights
//! (seeded random numbers) and the same window, in float32. Answers are compared before anything is timed; then the two
//! take turns, and the best of their runs counts.
//!
//! `make bench-regulatory`, or `cargo bench -p vestore-ingest --bench regulatory -- [FAMILY …] [RUNS] [bases=N]`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a bench converts small numbers of its own"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use tch::Tensor;
use vestore_ingest::synthetic::{RegulatoryShape, write_regulatory_checkpoint};
use vestore_ingest::{Device, Kind, ModelSource, Random, RegulatoryFamily, Trunk, set_threads, threads};
use vestore_schema::{Bins, Head};

/// Largest difference of two profiles that count as the same, as a fraction of the largest value.
const TOLERANCE: f64 = 1e-4;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let runs = words.iter().find_map(|word| word.parse().ok()).unwrap_or(3);
    let bases = words.iter().find_map(|word| word.strip_prefix("bases=")?.parse().ok());
    let python = std::env::var_os("BASELINE_PYTHON").map(PathBuf::from);
    set_threads(threads());
    let families = [
        ("borzoi", RegulatoryFamily::Borzoi, 524_288),
        ("flashzoi", RegulatoryFamily::Flashzoi, 524_288),
        ("enformer", RegulatoryFamily::Enformer, 196_608),
    ];
    let named = |name: &str| words.iter().any(|word| word == name);
    let all = !families.iter().any(|(name, ..)| named(name));
    for (name, family, length) in families {
        if all || named(name) {
            measure(name, family, bases.unwrap_or(length), runs, python.as_deref())?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn measure(
    name: &str,
    family: RegulatoryFamily,
    bases: usize,
    runs: usize,
    python: Option<&Path>,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let shape = RegulatoryShape::published(family);
    let token = bases.div_ceil(128);
    let bins = if family == RegulatoryFamily::Enformer { token } else { 4 * token } as u32;
    let shape = RegulatoryShape { bins: shape.bins.min(bins), ..shape };
    write_regulatory_checkpoint(folder.path(), &shape, 1)?;
    if family == RegulatoryFamily::Enformer {
        // The Python code has TensorFlow's table for one length.
        let file = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        config["use_tf_gamma"] = json!(bases == 196_608);
        std::fs::write(file, config.to_string())?;
    }
    let start = Instant::now();
    let source = ModelSource::new(folder.path());
    let trunk = Trunk::load(&source, Head::Human, None, Kind::Float, Device::Cpu)?;
    let loaded = start.elapsed().as_secs_f64();
    let mut random = Random::new(5);
    let window: String = (0..bases).map(|_| char::from(b"ACGT"[(random.uniform() * 4.0) as usize])).collect();
    let one_hot: Vec<f32> = b"ACGT"
        .iter()
        .flat_map(|base| window.bytes().map(move |letter| f32::from(u8::from(letter == *base))))
        .collect();
    let one_hot = Tensor::f_from_slice(&one_hot)?.f_view([1, 4, bases as i64])?;
    let forward = || -> anyhow::Result<(f64, Tensor)> {
        let start = Instant::now();
        let mut state = trunk.begin(&one_hot)?;
        for index in 0..trunk.depth() {
            state = trunk.block(index, &state, None)?;
        }
        let profile = trunk.profile(&state, Bins::Center)?;
        Ok((start.elapsed().as_secs_f64(), profile))
    };
    let (mut best, profile) = forward()?;
    println!(
        "{name}, {bases} bases: loaded in {loaded:.1} s, a forward pass in {best:.1} s, {:.2} GB at most",
        peak()?
    );
    let Some(python) = python else { return Ok(()) };
    let mut baseline = Baseline::start(python, folder.path(), name)?;
    let answer = folder.path().join("profile");
    let task = json!({ "bases": window, "answer": answer });
    let mut other = baseline.forward(&task)?;
    let bytes = std::fs::read(&answer)?;
    let expected = Tensor::f_from_data_size(&bytes, &profile.size(), Kind::Float)?;
    let most = expected.abs().max().double_value(&[]);
    let difference = (&profile - expected).abs().max().double_value(&[]);
    anyhow::ensure!(difference < TOLERANCE * most, "{name}: profiles up to {most} differ by {difference}");
    println!("{name}: profiles up to {most:.2} agree within {difference:.1e}");
    for _ in 1..runs {
        best = best.min(forward()?.0);
        other = other.min(baseline.forward(&task)?);
    }
    let theirs = baseline.peak;
    println!("{name}: vestore {best:.1} s, Python {other:.1} s ({theirs:.2} GB): {:.2} x", other / best);
    Ok(())
}

/// Gigabytes that this process held at most.
fn peak() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1e6)
}

/// The Python process that is compared with.
struct Baseline {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Gigabytes that it held at most.
    peak: f64,
}

impl Baseline {
    fn start(python: &Path, checkpoint: &Path, family: &str) -> anyhow::Result<Self> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/regulatory/baseline.py");
        let mut child = Command::new(python)
            .args([program, family])
            .arg(checkpoint)
            .arg(threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let stdin = child.stdin.take().context("no way in")?;
        let stdout = BufReader::new(child.stdout.take().context("no way out")?);
        Ok(Self { child, stdin, stdout, peak: 0.0 })
    }

    /// Seconds of one forward pass.
    fn forward(&mut self, task: &Value) -> anyhow::Result<f64> {
        writeln!(self.stdin, "{task}")?;
        self.stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the baseline died");
        let answer: Value = serde_json::from_str(&line)?;
        self.peak = answer["peak"].as_f64().unwrap_or(0.0) / 1e9;
        answer["seconds"].as_f64().context("no seconds")
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
