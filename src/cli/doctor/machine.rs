//! Cores, threads and caches.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use serde::Serialize;

use super::super::openmp;

/// How many threads the engine gets, and how they behave.
#[derive(Serialize)]
pub(super) struct Threads {
    /// Cores that this process may use: its affinity and the limits of its control groups.
    usable: usize,
    /// Cores of the machine.
    machine: usize,
    /// OpenMP's variables that the user has set.
    given: Vec<(&'static str, String)>,
    /// Those that the engine is started with on top.
    added: Vec<(&'static str, String)>,
}

impl Threads {
    pub(super) fn find() -> Self {
        let usable = available_parallelism().map_or(1, usize::from);
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let machine = processors.lines().filter(|line| line.starts_with("processor")).count();
        Self { usable, machine: machine.max(usable), given: openmp::given(), added: openmp::settings() }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} cores", self.usable, self.machine)?;
        if self.usable < self.machine {
            f.write_str(" (limited by affinity or a control group)")?;
        }
        for (name, value) in &self.given {
            write!(f, "; {name}={value} as set")?;
        }
        self.added.iter().try_for_each(|(name, value)| write!(f, "; {name}={value}"))
    }
}

/// What a folder of the user's cache takes.
#[derive(Serialize)]
pub(super) struct Cache {
    folder: PathBuf,
    bytes: u64,
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:.1} MB", self.folder.display(), self.bytes as f64 / 1e6)
    }
}

/// The folders of the user's cache; none without one.
pub(super) fn caches() -> Vec<Cache> {
    let entries = vestore::cache_folder().and_then(|cache| cache.read_dir().ok()).into_iter().flatten();
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut caches: Vec<Cache> = folders.map(|folder| Cache { bytes: size(&folder), folder }).collect();
    caches.sort_unstable_by(|a, b| a.folder.cmp(&b.folder));
    caches
}

/// Bytes of all files below a folder; links are not followed.
fn size(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    };
    entries.map(bytes).sum()
}

/// The release of the libtorch in a folder: as the set-up, `make install` or the Python package wrote it down.
pub(super) fn libtorch_version(folder: &Path) -> Option<String> {
    let above = folder.parent()?;
    let written = [above, folder].map(|place| fs::read_to_string(place.join("build-version")));
    if let Some(version) = written.into_iter().flatten().next() {
        return Some(version.trim().to_owned());
    }
    let text = fs::read_to_string(above.join("version.py")).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim().trim_matches('\'').to_owned())
}
