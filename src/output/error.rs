//! Why an output cannot be written.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why an output cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// An address such as `s3://…`.
    #[error("not a local path: `{address}`; write to a local file, then copy it there")]
    Scheme {
        /// As given.
        address: String,
    },
    /// The output is a file that the command reads.
    #[error(
        "the output would overwrite an input: `{}` is `{}`; choose another path for the output",
        path.display(), input.display()
    )]
    Input {
        /// The output.
        path: PathBuf,
        /// The input, as given.
        input: PathBuf,
    },
    /// The output lies in a store.
    #[error(
        "the output lies in a vestore store: `{}` in `{}`; choose a path outside",
        path.display(), store.display()
    )]
    InStore {
        /// The output.
        path: PathBuf,
        /// Folder of the store.
        store: PathBuf,
    },
    /// Something is there already.
    #[error("the output exists: `{}`; choose another path, or replace it with --force", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// Two outputs of one command are one file.
    #[error("two outputs have the same path: `{}`; choose a path for each", path.display())]
    Twice {
        /// The output.
        path: PathBuf,
    },
    /// A folder where a file is expected.
    #[error("the output is a folder: `{}`; expected the path of a file", path.display())]
    Folder {
        /// The output.
        path: PathBuf,
    },
    /// Not a folder where one is expected.
    #[error("the output is not a folder: `{}`; choose another path", path.display())]
    NotAFolder {
        /// The output.
        path: PathBuf,
    },
    /// A folder that holds what no export wrote.
    #[error(
        "the output folder holds files that no export wrote: `{}`; choose another folder, or empty it",
        path.display()
    )]
    Foreign {
        /// The first such file.
        path: PathBuf,
    },
    /// The earlier export could be neither put back nor removed.
    #[error(
        "the earlier export of `{}` is now in `{}`; move it back, or remove it",
        path.display(), aside.display()
    )]
    Aside {
        /// The output.
        path: PathBuf,
        /// Where the earlier export is.
        aside: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new export stands, and what was there before could not be removed.
    #[error("`{}` is written; the earlier export is left in `{}`; remove that", path.display(), aside.display())]
    NotRemoved {
        /// The output.
        path: PathBuf,
        /// Where the earlier export is.
        aside: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that a terminal cannot show.
    #[error(
        "{what} is not text and is not written to a terminal; name a file with -o, or pipe it to a program"
    )]
    Terminal {
        /// The format.
        what: &'static str,
    },
    /// The name of a compressed file, for a report.
    #[error("reports are plain text: `{}`; leave out the last extension", path.display())]
    CompressedReport {
        /// The output.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// The output.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Stdout cannot be written.
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
}

impl OutputError {
    /// Wraps a system error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the path makes no sense as an output, whatever is there.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Scheme { .. } | Self::CompressedReport { .. } | Self::Terminal { .. } | Self::Twice { .. }
        )
    }
}
