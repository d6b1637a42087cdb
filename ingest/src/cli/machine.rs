//! Where a training runs, on the command line.

use anyhow::{Context, ensure};
use vestore_ingest::{Device, device_name, devices, no_gpu, set_tf32, set_threads};

use super::{Usage, say};

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
        tell_auto(&self.device, &[device], self.quiet);
        if let Some(threads) = self.threads {
            ensure!(threads > 0, Usage("--threads is 1 or more".to_owned()));
            set_threads(threads);
        }
        Ok(device)
    }
}

/// Says which devices `auto` took, and why not a GPU.
pub(super) fn tell_auto(text: &str, taken: &[Device], quiet: bool) {
    if quiet || text != "auto" {
        return;
    }
    let names: Vec<String> = taken.iter().map(|device| device_name(*device)).collect();
    let reason = no_gpu().map(|reason| format!("; no GPU: {reason}")).unwrap_or_default();
    say(format_args!("device: {}{reason}", names.join(", ")));
}

/// The device that a text names: one alone, in exact float32.
pub(super) fn one_device(text: &str) -> anyhow::Result<Device> {
    let devices = devices(text)?;
    set_tf32(false, &devices)?;
    devices.first().copied().context("no device was named; this is a bug")
}
