//! Where a training runs, on the command line.

use anyhow::{Context, ensure};
use vestore_ingest::{Device, devices, set_tf32, set_threads};

use super::Usage;

/// One device, and how loud it is.
#[derive(clap::Args)]
pub(super) struct MachineArguments {
    /// Where it runs: cpu, cuda:N, or auto
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on a CPU; all cores by default
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Hide the progress bar
    #[arg(long)]
    pub(super) quiet: bool,
}

impl MachineArguments {
    /// The device, set up.
    pub(super) fn device(&self) -> anyhow::Result<Device> {
        let device = one_device(&self.device)?;
        if let Some(threads) = self.threads {
            ensure!(threads > 0, Usage("--threads is 1 or more".to_owned()));
            set_threads(threads);
        }
        Ok(device)
    }
}

/// The device that a text names: one alone, in exact float32.
pub(super) fn one_device(text: &str) -> anyhow::Result<Device> {
    let devices = devices(text)?;
    set_tf32(false, &devices)?;
    devices.first().copied().context("no device was named; this is a bug")
}
