//! Where the engine's libtorch lies. The engine is linked to look beside itself alone (`$ORIGIN/lib`): whoever builds
//! it and whoever runs it may be two. So whoever starts it says where else the libraries are.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The release that the engine is linked against.
pub(super) const VERSION: &str = "2.11.0";

/// The library that shows that a folder is libtorch's.
const LIBRARY: &str = "libtorch_cpu.so";

/// The variable that the dynamic linker reads.
pub(super) const VARIABLE: &str = "LD_LIBRARY_PATH";

/// Where the engine's libtorch lies, and why there.
pub(super) struct Found {
    pub(super) folder: PathBuf,
    pub(super) rule: &'static str,
    /// Whether the dynamic linker looks there by itself.
    is_settled: bool,
}

impl Found {
    /// Whether the libraries for GPUs lie there too.
    pub(super) fn has_cuda(&self) -> bool {
        has_cuda(&self.folder)
    }
}

/// The first place that has libtorch for the engine in the folder `programs`. Libraries for GPUs come before those for
/// CPUs alone, which would hide them.
pub(super) fn find(programs: &Path) -> anyhow::Result<Found> {
    let place = |folder: PathBuf, rule| Found { folder, rule, is_settled: false };
    let beside = programs.join("lib");
    if holds(&beside) {
        return Ok(place(beside, "beside the programs"));
    }
    let cache = vestore::cache_folder();
    let cached = |view: &str| cache.as_ref().map(|cache| cache.join(format!("libtorch-{VERSION}-{view}")));
    let (for_gpus, for_cpus) =
        (cached("cuda").map(|it| it.join("torch/lib")), cached("cpu").map(|it| it.join("lib")));
    let mut remarks = String::new();
    let mut trusted = |folder: &Option<PathBuf>| {
        let folder = folder.clone().filter(|folder| holds(folder))?;
        match stranger(&folder, cache.as_deref()) {
            None => Some(folder),
            Some(reason) => {
                remarks = format!(" (passed over: {reason})");
                None
            }
        }
    };
    if let Some(folder) = trusted(&for_gpus) {
        return Ok(place(folder, "the cache of `make setup CUDA=1`"));
    }
    let wheels = wheels(programs);
    if let Some(folder) = wheels.iter().find(|folder| has_cuda(folder)) {
        return Ok(place(folder.clone(), "an installed Python package"));
    }
    if let Some(folder) = trusted(&for_cpus) {
        return Ok(place(folder, "the cache of `make setup`"));
    }
    if let Some(folder) = wheels.into_iter().next() {
        return Ok(place(folder, "an installed Python package"));
    }
    // Whoever sets the variable, or installs libtorch for the whole system, has settled it.
    let inherited = env::var_os(VARIABLE).unwrap_or_default();
    if let Some(folder) = env::split_paths(&inherited).find(|folder| holds(folder)) {
        return Ok(Found { folder, rule: VARIABLE, is_settled: true });
    }
    if let Some(folder) = SYSTEM.map(PathBuf::from).into_iter().find(|folder| holds(folder)) {
        return Ok(Found { folder, rule: "the libraries of the system", is_settled: true });
    }
    let cached =
        for_cpus.map_or_else(|| "no cache: HOME is not set".to_owned(), |it| it.display().to_string());
    bail!(
        "libtorch {VERSION} is missing; looked for {LIBRARY} in\n  \
         {} (beside the programs)\n  \
         {cached} (the cache of `make setup`){remarks}\n  \
         torch/lib of the Python packages of this user, environment and system (`pip install torch=={VERSION}`)\n\
         install it in one of the three",
        beside.display()
    );
}

/// The value of [`VARIABLE`] for the engine in the folder `programs`: where libtorch is, then what the variable holds
/// already.
pub(super) fn library_path(programs: &Path) -> anyhow::Result<OsString> {
    let found = find(programs)?;
    let inherited = env::var_os(VARIABLE).unwrap_or_default();
    if found.is_settled {
        return Ok(inherited);
    }
    let inherited = env::split_paths(&inherited).filter(|path| path != Path::new(""));
    Ok(env::join_paths(std::iter::once(found.folder).chain(inherited))?)
}

/// Folders that the dynamic linker searches by itself.
const SYSTEM: [&str; 5] = ["/lib", "/usr/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];

fn holds(folder: &Path) -> bool {
    folder.join(LIBRARY).is_file()
}

fn has_cuda(folder: &Path) -> bool {
    folder.join("libtorch_cuda.so").is_file()
}

/// Why the libraries in a folder of a cache are not to be trusted, if they are not: somebody else could have put them
/// there.
fn stranger(folder: &Path, cache: Option<&Path>) -> Option<String> {
    let user = Path::new("/proc/self").metadata().ok()?.uid();
    let library = folder.join(LIBRARY);
    library.ancestors().take_while(|path| Some(*path) != cache).find_map(|path| {
        let Ok(found) = path.metadata() else { return Some(format!("cannot read {}", path.display())) };
        if found.uid() != user && found.uid() != 0 {
            return Some(format!("{} belongs to another user", path.display()));
        }
        (found.mode() & 0o022 != 0).then(|| format!("{} can be written by others", path.display()))
    })
}

/// The libraries of installed torch wheels of the right release. Python is not started: that takes a second.
fn wheels(programs: &Path) -> Vec<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The environment that pip installed the programs into comes first, activated or not.
    let own =
        programs.parent().filter(|own| own.join("pyvenv.cfg").is_file() || own.join("conda-meta").is_dir());
    let mut roots: Vec<PathBuf> = own.map(Path::to_owned).into_iter().collect();
    roots.extend(["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set));
    // Python lies in `bin` of its environment.
    let python = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("python3"))
        .find(|python| python.is_file());
    let real = python.as_ref().and_then(|python| python.canonicalize().ok());
    roots.extend(python.iter().chain(&real).filter_map(|python| Some(python.parent()?.parent()?.to_owned())));
    roots.extend(set("HOME").map(|home| home.join(".local")));
    roots.extend(["/usr/local", "/usr"].map(PathBuf::from));
    let libraries = |packages: PathBuf| {
        let release = |name: &str| {
            name.strip_prefix("torch-").and_then(|name| name.strip_suffix(".dist-info")).is_some_and(
                |version| {
                    version.strip_prefix(VERSION).is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
                },
            )
        };
        let installed =
            packages.read_dir().ok()?.flatten().any(|entry| entry.file_name().to_str().is_some_and(release));
        Some(packages.join("torch/lib")).filter(|folder| installed && holds(folder))
    };
    roots.iter().flat_map(|root| packages(root)).filter_map(libraries).collect()
}

/// The folders of Python packages under `root`.
fn packages(root: &Path) -> Vec<PathBuf> {
    let versions = root.join("lib").read_dir().into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("python3")))
        .map(|entry| entry.path())
        .collect();
    versions.sort_unstable();
    let folders = |version: &PathBuf| ["site-packages", "dist-packages"].map(|name| version.join(name));
    versions.iter().rev().flat_map(folders).collect()
}
