//! Where the engine's libtorch lies. The engine is linked to look beside itself alone (`$ORIGIN/lib`): whoever builds
//! it and whoever runs it may be two. So whoever starts it says where else the libraries are.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::installation::{Installation, LIBRARIES, python_packages};

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

/// The place whose libtorch the engine in the folder `programs` gets: the first with libraries for GPUs, else the first.
/// Libraries for CPUs alone would hide those for GPUs.
pub(super) fn find(programs: &Path) -> anyhow::Result<Found> {
    let beside = programs.join("lib");
    if holds(&beside) {
        return Ok(Found { folder: beside, rule: "beside the programs", is_settled: false });
    }
    let installation = Installation::of(programs);
    let cache = vestore::cache_folder();
    let cached = |view: &str| Some(cache.as_ref()?.join(format!("libtorch-{VERSION}-{view}")));
    let for_cpus = cached("cpu").map(|view| view.join("lib"));
    let mut places = own(programs, installation);
    let mut remarks = String::new();
    let caches = [
        (cached("cuda").map(|view| view.join("torch/lib")), "the cache of `make setup CUDA=1`"),
        (for_cpus.clone(), "the cache of `make setup`"),
    ];
    for (folder, rule) in caches {
        let Some(folder) = folder.filter(|folder| holds(folder)) else { continue };
        match stranger(&folder, cache.as_deref()) {
            None => places.push((folder, rule)),
            Some(reason) => remarks = format!(" (passed over: {reason})"),
        }
    }
    let roots = python_roots();
    places.extend(roots.iter().flat_map(|root| wheels(root)).map(|it| (it, "an installed Python package")));
    let best = places.iter().position(|(folder, _)| has_cuda(folder)).unwrap_or(0);
    if let Some((folder, rule)) = places.into_iter().nth(best) {
        return Ok(Found { folder, rule, is_settled: false });
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
    let below = programs.parent().unwrap_or(programs);
    bail!(
        "libtorch {VERSION} is missing; looked for {LIBRARY} in\n  \
         {} (beside the programs)\n  \
         {} (`make install`)\n  \
         {cached} (the cache of `make setup`){remarks}\n  \
         torch/lib of the Python packages of this user, environment and system (`pip install torch=={VERSION}`)\n\
         {}",
        beside.display(),
        below.join(LIBRARIES).display(),
        installation.libtorch()
    );
}

/// The places that go with the programs: those of `make install`, and those of the environment that they were installed
/// into, activated or not.
fn own(programs: &Path, installation: Installation) -> Vec<(PathBuf, &'static str)> {
    let Some(root) = programs.parent() else { return Vec::new() };
    let mut places = vec![
        (root.join(LIBRARIES).join("torch/lib"), "`make install CUDA=1`"),
        (root.join(LIBRARIES), "`make install`"),
    ];
    if installation == Installation::Conda {
        places.push((root.join("lib"), "the same conda environment"));
    }
    places.retain(|(folder, _)| holds(folder));
    if matches!(installation, Installation::Conda | Installation::Python) {
        places.extend(wheels(root).map(|folder| (folder, "the Python package of the same environment")));
    }
    places
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

/// Where Python packages may be installed: the active environment, the user's and the system's. Python is not started:
/// that takes a second.
fn python_roots() -> Vec<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut roots: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set).collect();
    // Python lies in `bin` of its environment.
    let python = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("python3"))
        .find(|python| python.is_file());
    let real = python.as_ref().and_then(|python| python.canonicalize().ok());
    roots.extend(python.iter().chain(&real).filter_map(|python| Some(python.parent()?.parent()?.to_owned())));
    roots.extend(set("HOME").map(|home| home.join(".local")));
    roots.extend(["/usr/local", "/usr"].map(PathBuf::from));
    roots
}

/// The libraries of the torch wheels of the right release below `root`.
fn wheels(root: &Path) -> impl Iterator<Item = PathBuf> {
    let is_release = |name: &str| {
        let version = name.strip_prefix("torch-").and_then(|name| name.strip_suffix(".dist-info"));
        let rest = version.and_then(|version| version.strip_prefix(VERSION));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    };
    python_packages(root).into_iter().filter_map(move |packages| {
        let mut entries = packages.read_dir().ok()?.flatten();
        let installed = entries.any(|entry| entry.file_name().to_str().is_some_and(is_release));
        Some(packages.join("torch/lib")).filter(|folder| installed && holds(folder))
    })
}
