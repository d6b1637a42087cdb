//! Measures large matrix products, loading, and forward passes of a checkpoint over windows of given lengths; a JSON
//! object a line. A forward pass computes all final hidden states, so that other programs can be compared with it.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use serde_json::json;
use tch::{Cuda, Device, Kind, Tensor};
use vestore_ingest::{Model, ModelSource, devices, set_tf32, set_threads};

/// Measure products, loading and forward passes of a model
#[derive(Parser)]
struct Arguments {
    /// Folder of the checkpoint
    checkpoint: PathBuf,
    /// Tokens per window; may be repeated
    #[arg(long, value_delimiter = ',')]
    tokens: Vec<i64>,
    /// Tokens per batch; a batch has at least one window
    #[arg(long, default_value_t = 65_536)]
    batch_tokens: i64,
    /// Run on this device
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Compute in this precision: f32, tf32 or bf16
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Threads on a CPU
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Measured rounds after one that warms up; 0 measures the first
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Also measure the product of two matrices of this size
    #[arg(long)]
    product: Option<i64>,
}

/// A line of this process's memory, in bytes.
fn memory(line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = found.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("/proc/self/status has no {line}"))? * 1024)
}

/// The least seconds of the rounds of `run`, each until the device has done it.
fn fastest(device: Device, rounds: u32, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut once = || -> anyhow::Result<f64> {
        let started = Instant::now();
        run()?;
        if let Device::Cuda(index) = device {
            Cuda::synchronize(i64::try_from(index)?);
        }
        Ok(started.elapsed().as_secs_f64())
    };
    let mut least = once()?;
    for round in 0..rounds {
        let seconds = once()?;
        least = if round == 0 { seconds } else { least.min(seconds) };
    }
    Ok(least)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let found = devices(&arguments.device)?;
    set_tf32(arguments.dtype == "tf32", &found)?;
    set_threads(arguments.threads);
    let device = found[0];
    let kind = if arguments.dtype == "bf16" { Kind::BFloat16 } else { Kind::Float };
    if let Some(size) = arguments.product {
        let [left, right] = [(); 2].map(|()| Tensor::randn([size, size], (kind, device)));
        let seconds = fastest(device, arguments.rounds.max(1) * 2, || {
            drop(left.f_matmul(&right)?);
            Ok(())
        })?;
        let rate = 2.0 * (size as f64).powi(3) / seconds;
        println!("{}", json!({ "step": "product", "size": size, "operations_per_second": rate }));
    }
    let before = memory("VmRSS")?;
    let started = Instant::now();
    let model = Model::load(&ModelSource::new(&arguments.checkpoint), device, kind)?;
    let (seconds, peak) = (started.elapsed().as_secs_f64(), memory("VmHWM")?);
    let description = model.description();
    println!(
        "{}",
        json!({ "step": "load", "parameters": description.parameters, "weight_bytes": description.weight_bytes,
                "seconds": seconds, "peak_bytes": peak.saturating_sub(before) })
    );
    for tokens in arguments.tokens {
        let batch = (arguments.batch_tokens / tokens).max(1);
        let numbers = Tensor::f_arange(batch * tokens, (Kind::Int64, device))?.f_remainder(61)?;
        let ids = numbers.f_add_scalar(5)?.f_view([batch, tokens])?;
        let mut hidden = Tensor::new();
        let seconds = fastest(device, arguments.rounds, || {
            hidden = Tensor::new();
            hidden = tch::no_grad(|| model.hidden(&ids))?;
            Ok(())
        })?;
        // Of the first window alone: a whole batch in float32 might not fit.
        let sum = hidden.f_get(0)?.f_to_kind(Kind::Float)?.f_abs()?.f_mean(Kind::Float)?.double_value(&[]);
        println!(
            "{}",
            json!({ "step": "forward", "tokens": tokens, "batch": batch, "seconds": seconds,
                    "mean_magnitude": sum, "peak_bytes": memory("VmHWM")? })
        );
    }
    Ok(())
}
