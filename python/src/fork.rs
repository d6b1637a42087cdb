//! Reading in a process that was forked, as `multiprocessing` and data loaders do: the threads that decode are not
//! copied with it.

use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::{num::NonZero, process};

use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

static IMPORTED: OnceLock<u32> = OnceLock::new();

/// Remembers which process imported the module.
pub(crate) fn remember() {
    IMPORTED.get_or_init(process::id);
}

/// Runs `work`, in a fork with threads of its own.
pub(crate) fn with_threads<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, ThreadPoolBuildError> {
    if IMPORTED.get().is_none_or(|importer| *importer == process::id()) {
        return Ok(work());
    }
    // One thread more than cores: `work` waits on one of them for what the others do.
    let cores = available_parallelism().map_or(1, NonZero::get);
    Ok(ThreadPoolBuilder::new().num_threads(cores + 1).build()?.install(work))
}
