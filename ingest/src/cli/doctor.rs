//! What `vestore doctor` asks the engine: that it starts, and what libtorch says of GPUs.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;
use vestore_ingest::{device_name, devices, no_gpu, threads};

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let no_gpu = no_gpu();
    let gpus: Vec<String> =
        if no_gpu.is_none() { devices("auto")?.into_iter().map(device_name).collect() } else { Vec::new() };
    let found = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "gpus": gpus.len(),
        "no_gpu": no_gpu,
        "threads": threads(),
    });
    writeln!(io::stdout().lock(), "{found}")?;
    Ok(ExitCode::SUCCESS)
}
