//! How the programs were installed. That decides where their libraries may lie, and how to get what is missing.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::libtorch::VERSION;

/// A way to install the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Installation {
    /// A conda package.
    Conda,
    /// A Python package.
    Python,
    /// `make install`.
    Prefix,
    /// They are where cargo built them.
    Checkout,
    /// None of these: somebody copied them.
    Copied,
}

/// Where `make install` puts libtorch, below its prefix.
pub(super) const LIBRARIES: &str = "lib/vestore";

impl Installation {
    /// That of the programs in a folder.
    pub(super) fn of(programs: &Path) -> Self {
        let Some(root) = programs.parent() else { return Self::Copied };
        let has = |folder: PathBuf, end: &str| {
            let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
            names
                .filter_map(|name| name.into_string().ok())
                .any(|name| name.starts_with("vestore-") && name.ends_with(end))
        };
        if has(root.join("conda-meta"), ".json") {
            return Self::Conda;
        }
        if python_packages(root).into_iter().any(|folder| has(folder, ".dist-info")) {
            return Self::Python;
        }
        if root.join(LIBRARIES).is_dir() {
            return Self::Prefix;
        }
        let is_checkout = root.parent().is_some_and(|above| above.join("scripts/libtorch.py").is_file());
        if is_checkout { Self::Checkout } else { Self::Copied }
    }

    /// How to get the engine of this version.
    pub(super) fn engine(self) -> &'static str {
        match self {
            Self::Conda => "reinstall the conda package `vestore`",
            Self::Python => {
                concat!("install the Python package `vestore-engine` ", env!("CARGO_PKG_VERSION"))
            }
            Self::Prefix => "run `make build` and `make install` in the checkout",
            Self::Checkout => "run `make build`",
            Self::Copied => "copy `vestore` and `vestore-ingest` of one build into one folder",
        }
    }

    /// How to get libtorch.
    pub(super) fn libtorch(self) -> String {
        match self {
            Self::Conda => format!("run `conda install libtorch={VERSION}`"),
            Self::Python => format!("run `pip install torch=={VERSION}` in the same environment"),
            Self::Prefix => "run `make install` in the checkout".to_owned(),
            Self::Checkout => "run `make setup`".to_owned(),
            Self::Copied => {
                format!("put its libraries into `lib` beside the programs, or `pip install torch=={VERSION}`")
            }
        }
    }

    /// How to get libtorch's libraries for GPUs.
    pub(super) fn cuda(self) -> String {
        match self {
            Self::Prefix => "run `make setup CUDA=1` and `make install CUDA=1` in the checkout".to_owned(),
            Self::Checkout => {
                format!("run `make setup CUDA=1` in the checkout, or `pip install torch=={VERSION}`")
            }
            Self::Conda | Self::Python | Self::Copied => {
                format!("run `pip install torch=={VERSION}` in the same environment")
            }
        }
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conda => "as a conda package",
            Self::Python => "as a Python package",
            Self::Prefix => "with `make install`",
            Self::Checkout => "in a checkout",
            Self::Copied => "by copying the programs",
        })
    }
}

/// The folders of Python packages under `root`, those of newer versions first.
pub(super) fn python_packages(root: &Path) -> Vec<PathBuf> {
    let entries = ["lib", "lib64"].map(|name| root.join(name).read_dir());
    let versions = entries.into_iter().flatten().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("python3")))
        .map(|entry| entry.path())
        .collect();
    versions.sort_unstable();
    let folders = |version: &PathBuf| ["site-packages", "dist-packages"].map(|name| version.join(name));
    versions.iter().rev().flat_map(folders).collect()
}
