//! Loads a checkpoint, says how long that took and how much memory, and runs one window of so many tokens:
//! the figures of true shapes, and of long input.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use tch::Tensor;
use vestore_ingest::{Model, ModelSource, devices, set_threads};

/// Measure loading and one forward pass
#[derive(Parser)]
struct Arguments {
    /// Folder of the checkpoint
    checkpoint: PathBuf,
    /// Tokens of one window to run after loading; may be repeated
    #[arg(long)]
    tokens: Vec<i64>,
    /// Where to run
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: u32,
}

/// A line of this process's memory, in bytes.
fn memory(line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = found.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("/proc/self/status has no {line}"))? * 1024)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    set_threads(arguments.threads);
    let device = devices(&arguments.device)?[0];
    let before = memory("VmRSS")?;
    let started = Instant::now();
    let model = Model::load(&ModelSource::new(&arguments.checkpoint), device, tch::Kind::Float)?;
    let (seconds, peak) = (started.elapsed().as_secs_f64(), memory("VmHWM")?);
    let weights = model.description().weight_bytes;
    println!(
        "{} parameters, {weights} bytes of weights: loaded in {seconds:.2} s, peak {} bytes more, {:.3} of the weights",
        model.description().parameters,
        peak - before,
        (peak - before) as f64 / weights as f64
    );
    for tokens in arguments.tokens {
        let ids: Vec<i64> = (0..tokens).map(|place| 5 + place % 60).collect();
        let started = Instant::now();
        let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, tokens]))?;
        let sum = hidden.sum(tch::Kind::Double).double_value(&[]);
        println!(
            "{tokens} tokens in {:.2} s, peak {} bytes in all (sum {sum:.3})",
            started.elapsed().as_secs_f64(),
            memory("VmHWM")?
        );
    }
    Ok(())
}
