//! Where a model runs. libtorch's CUDA half is a library of its own, loaded only when asked for, so
//! that the same program runs on machines without a GPU.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tch::{Cuda, Device};
use thiserror::Error;

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// No device is spelled so.
    #[error("`{text}` is not a device; write auto, cpu, cuda or cuda:N")]
    Unknown {
        /// As typed.
        text: String,
    },
    /// The GPU cannot be used.
    #[error("no CUDA device {index}: {reason}; use --device cpu")]
    NoCuda {
        /// Number of the GPU.
        index: usize,
        /// What is missing.
        reason: String,
    },
    /// TF32 is arithmetic of GPUs.
    #[error("--dtype tf32 is arithmetic of NVIDIA GPUs; use --dtype f32 or bf16 on the CPU")]
    NoTf32,
    /// The program could not start itself again.
    #[error(
        "cannot start this program again with {TF32} and {NVIDIA_TF32} set as --dtype asks: {reason}; set both by hand \
         (to 0 without TF32)"
    )]
    NoRestart {
        /// What the system said.
        reason: String,
    },
}

/// The one switch of TF32 in matrix products that tch leaves: libtorch reads it when it starts.
const TF32: &str = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE";

/// With 0 no library of NVIDIA uses TF32, which libtorch allows in convolutions by default.
const NVIDIA_TF32: &str = "NVIDIA_TF32_OVERRIDE";

/// How a device is called in records and on the command line: `cpu`, `cuda:0`.
#[must_use]
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// The devices that `text` names: `cpu`, `cuda` for every GPU that the driver shows, `cuda:1` for one, or
/// `auto` for every GPU if there is one and the CPU otherwise. Never none.
///
/// # Errors
/// When the text names no device or the machine does not have the GPU.
pub fn devices(text: &str) -> Result<Vec<Device>, DeviceError> {
    let unknown = || DeviceError::Unknown { text: text.to_owned() };
    let every = |count: usize| (0..count).map(Device::Cuda).collect();
    match text {
        "cpu" => Ok(vec![Device::Cpu]),
        "auto" => Ok(cuda(0).map_or_else(|_| vec![Device::Cpu], every)),
        "cuda" => Ok(every(cuda(0)?)),
        _ => match text.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(index)) => cuda(index).map(|_| vec![Device::Cuda(index)]),
            _ => Err(unknown()),
        },
    }
}

/// Why `auto` takes the CPU, in a short phrase; `None` where there is a GPU.
#[must_use]
pub fn no_gpu() -> Option<String> {
    match cuda(0) {
        Err(DeviceError::NoCuda { reason, .. }) => Some(reason),
        _ => None,
    }
}

/// Sees to it that float32 products are rounded to TF32 on GPUs when `wanted`, and never otherwise: where the
/// environment says something else, the program starts itself again in its own place, with the same
/// arguments. To be called before anything is read or locked.
///
/// # Errors
/// When TF32 is asked of a CPU, or the program cannot be started again.
pub fn set_tf32(wanted: bool, devices: &[Device]) -> Result<(), DeviceError> {
    if !devices.iter().all(|device| device.is_cuda()) {
        return if wanted { Err(DeviceError::NoTf32) } else { Ok(()) };
    }
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|found| found == value);
    if is(TF32, "1") == wanted && is(NVIDIA_TF32, "0") != wanted {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string());
    let reason = match program {
        Ok(program) => {
            let arguments = std::env::args_os().skip(1);
            let mut again = Command::new(program);
            if wanted {
                again.env(TF32, "1").env_remove(NVIDIA_TF32);
            } else {
                again.env(TF32, "0").env(NVIDIA_TF32, "0");
            }
            again.args(arguments).exec().to_string()
        }
        Err(reason) => reason,
    };
    Err(DeviceError::NoRestart { reason })
}

/// How many threads the model's arithmetic takes on a CPU.
#[must_use]
pub fn threads() -> u32 {
    tch::get_num_threads().try_into().unwrap_or(1)
}

/// Sets how many threads the model's arithmetic takes on a CPU.
pub fn set_threads(threads: u32) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

/// How many GPUs there are, when number `index` is one of them.
fn cuda(index: usize) -> Result<usize, DeviceError> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(load).clone().map_err(|reason| DeviceError::NoCuda { index, reason })?;
    let count = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
    if index < count {
        return Ok(count);
    }
    Err(DeviceError::NoCuda { index, reason: format!("the driver shows {count} GPUs") })
}

/// Directory of the libtorch that this process runs with, from the list of its mapped files.
fn library_directory() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let path = line.split_once('/').map(|(_, rest)| format!("/{rest}"))?;
        path.ends_with("libtorch_cpu.so").then_some(path)
    })?;
    Some(PathBuf::from(path).parent()?.to_owned())
}

fn load() -> Result<(), String> {
    let directory = library_directory().ok_or("libtorch_cpu.so is not among this process's libraries")?;
    let library = directory.join("libtorch_cuda.so");
    if !library.is_file() {
        return Err(format!("libtorch in `{}` is for CPUs alone", directory.display()));
    }
    let path = CString::new(library.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    #[expect(unsafe_code, reason = "libtorch finds its CUDA half only among loaded libraries")]
    // SAFETY: the path is a C string that outlives the calls; the library is libtorch's own, whose
    // start-up registers its kernels and is meant to run in any thread; dlerror is read at once.
    let error = unsafe {
        if libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let message = libc::dlerror();
            (!message.is_null()).then(|| std::ffi::CStr::from_ptr(message).to_string_lossy().into_owned())
        } else {
            return Ok(());
        }
    };
    Err(error.unwrap_or_else(|| "the dynamic linker gave no reason".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_devices_are_taken() {
        assert_eq!(devices("cpu"), Ok(vec![Device::Cpu]));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert_eq!(devices(text), Err(DeviceError::Unknown { text: text.to_owned() }));
        }
    }

    #[test]
    fn tf32_is_for_gpus() {
        assert_eq!(set_tf32(true, &[Device::Cpu]), Err(DeviceError::NoTf32));
        assert_eq!(set_tf32(false, &[Device::Cpu]), Ok(()));
    }

    #[test]
    fn auto_takes_the_cpu_exactly_when_there_is_a_reason() {
        let chosen = devices("auto").expect("there is always a CPU");
        assert_eq!(no_gpu().is_some(), chosen == [Device::Cpu], "{chosen:?}: {:?}", no_gpu());
    }

    #[test]
    fn the_directory_of_libtorch_is_found() {
        let _ = tch::get_num_threads();
        assert!(library_directory().expect("libtorch is mapped").join("libtorch_cpu.so").exists());
    }
}
