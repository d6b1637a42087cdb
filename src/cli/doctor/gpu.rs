//! The NVIDIA driver and its GPUs, as far as they can be seen without libtorch.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use super::super::installation::Installation;
use super::super::libtorch::VERSION;

/// Where distributions, containers and WSL put the driver's library.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/compat",
    "/usr/lib/wsl/lib",
];

/// What shows a driver.
#[derive(Serialize)]
pub(super) struct Driver {
    /// Its version.
    version: Option<String>,
    /// Its library, libcuda.
    library: Option<PathBuf>,
    /// Its devices, such as `/dev/nvidia0`.
    devices: Vec<PathBuf>,
    /// What `nvidia-smi` lists.
    pub(super) gpus: Vec<Gpu>,
}

/// A GPU as `nvidia-smi` describes it.
#[derive(Serialize)]
pub(super) struct Gpu {
    index: String,
    name: String,
    /// In MiB.
    memory: String,
    /// In MiB.
    free: String,
}

impl Driver {
    pub(super) fn find() -> Self {
        let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = std::env::split_paths(&inherited).chain(FOLDERS.map(PathBuf::from));
        let library = folders.map(|folder| folder.join("libcuda.so.1")).find(|library| library.is_file());
        let mut devices: Vec<PathBuf> = fs::read_dir("/dev")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_gpu(path))
            .collect();
        devices.sort_unstable();
        let (version, gpus) = listed();
        Self { version, library, devices, gpus }
    }

    /// Why no GPU can be used and what to do, given whether libtorch has its libraries for GPUs (none without
    /// libtorch), how many GPUs the engine can use, and what it said.
    pub(super) fn remedy(
        &self,
        cuda: Option<bool>,
        usable: u64,
        reported: &Value,
        installation: Installation,
    ) -> Option<String> {
        let reason = reported["no_gpu"].as_str().unwrap_or("it gave no reason");
        match (cuda?, self.library.is_some(), self.devices.is_empty()) {
            _ if usable > 0 => None,
            (_, false, true) => Some(
                "no GPU: scoring runs on the CPU; on a machine with an NVIDIA GPU, install its driver".to_owned(),
            ),
            (_, true, true) => Some(
                "no GPU: there is a driver but no /dev/nvidia0; start the container with GPUs (`--gpus all`, `--nv`), or \
                 ask the scheduler for one"
                    .to_owned(),
            ),
            (_, false, false) => Some(
                "no GPU: there is /dev/nvidia0 but no libcuda.so.1; install the driver, or start the container with \
                 the NVIDIA runtime"
                    .to_owned(),
            ),
            (false, ..) => {
                Some(format!("no GPU: libtorch has no libraries for GPUs; {}", installation.cuda()))
            }
            (true, ..) => Some(format!(
                "no GPU: {reason}; libtorch {VERSION} needs a driver for CUDA 13 (580 or newer), and \
                 CUDA_VISIBLE_DEVICES must not hide the GPUs"
            )),
        }
    }
}

fn is_gpu(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix("nvidia");
    // WSL has one device for all GPUs.
    number.is_some_and(|number| number.parse::<u32>().is_ok()) || name == "dxg"
}

/// The driver's version and the GPUs that `nvidia-smi` lists; nothing where it is not installed or fails.
fn listed() -> (Option<String>, Vec<Gpu>) {
    let fields = "--query-gpu=index,name,memory.total,memory.free,driver_version";
    let output = Command::new("nvidia-smi").args([fields, "--format=csv,noheader,nounits"]).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return (None, Vec::new());
    };
    let mut version = None;
    let mut gpus = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let cells: Vec<String> = line.split(',').map(|cell| cell.trim().to_owned()).collect();
        if let Ok([index, name, memory, free, driver]) = <[String; 5]>::try_from(cells) {
            version = Some(driver);
            gpus.push(Gpu { index, name, memory, free });
        }
    }
    (version, gpus)
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, library, devices, .. } = self;
        if library.is_none() && devices.is_empty() {
            return f.write_str("missing: no libcuda.so.1, no /dev/nvidia0");
        }
        f.write_str(version.as_deref().unwrap_or("unknown version"))?;
        match library {
            Some(library) => write!(f, ", {}", library.display())?,
            None => f.write_str(", no libcuda.so.1")?,
        }
        if devices.is_empty() {
            return f.write_str(", no /dev/nvidia0");
        }
        devices.iter().try_for_each(|device| write!(f, ", {}", device.display()))
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} MiB, {} MiB free", self.index, self.name, self.memory, self.free)
    }
}
