//! Why files of a repository cannot be had.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore::CertificatesError;

use super::id::HubId;
use crate::checkpoint::CheckpointError;

/// Why files of a repository cannot be had.
#[derive(Debug, Error)]
pub enum HubError {
    /// No answer.
    #[error(
        "cannot reach {endpoint}; check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use what the cache holds"
    )]
    Unreachable {
        /// Address of the hub.
        endpoint: String,
        /// What happened.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Unknown to whoever asks.
    #[error(
        "no such repository: `{}`, or it is private or gated; check its name, or set HF_TOKEN to a token that may read it",
        id.repository
    )]
    Repository {
        /// What was asked for.
        id: HubId,
    },
    /// Terms that have to be accepted.
    #[error(
        "access to `{}` is restricted; accept its terms at {endpoint}/{}, then set HF_TOKEN to a token of your account",
        id.repository, id.repository
    )]
    Gated {
        /// What was asked for.
        id: HubId,
        /// Address of the hub.
        endpoint: String,
    },
    /// The token is wrong.
    #[error("the hub does not accept the token; renew HF_TOKEN, or the file that `hf auth login` writes")]
    Token,
    /// No such branch, tag or commit.
    #[error("`{}` has no revision `{}`; expected a branch, tag or commit", id.repository, id.revision)]
    Revision {
        /// What was asked for.
        id: HubId,
    },
    /// Any other refusal.
    #[error(
        "{endpoint} answers with status {status} for {what}; check HF_ENDPOINT, or rerun the same command later"
    )]
    Status {
        /// Address of the hub.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
    },
    /// Something that the hub does not say.
    #[error("unexpected {what} from the hub: `{}`; expected {expected}", value.escape_debug())]
    Answer {
        /// Which part of its answer.
        what: String,
        /// What it says.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// Not a model, or one in other formats.
    #[error("`{id}` lacks {expected}{hint}")]
    NoFiles {
        /// What was asked for.
        id: HubId,
        /// File names that would do.
        expected: String,
        /// What it holds instead.
        hint: &'static str,
    },
    /// Offline, and not fetched before.
    #[error(
        "`{id}` is not in the cache {}{missing}; unset {variable} to fetch it, or copy the cache of a machine that has it",
        cache.display()
    )]
    NotCached {
        /// What was asked for.
        id: HubId,
        /// The file that is missing, if the commit is there.
        missing: String,
        /// Folder of the cache.
        cache: PathBuf,
        /// Why it is not fetched.
        variable: String,
    },
    /// The connection was cut, and again without a byte.
    #[error(
        "the download of {name} ended after {received} of {size} bytes; rerun the same command to continue it"
    )]
    Cut {
        /// The file.
        name: String,
        /// Bytes that are kept.
        received: u64,
        /// Bytes of the whole.
        size: u64,
        /// What the system said, if anything.
        #[source]
        source: Option<io::Error>,
    },
    /// More or other bytes than announced.
    #[error(
        "{name} is not the file that the hub announces: {problem}; it was deleted: rerun the same command"
    )]
    Content {
        /// The file.
        name: String,
        /// How it differs.
        problem: String,
    },
    /// A cached file is damaged.
    #[error("damaged file in the cache: {}; remove it, then run the same command where the hub can be reached", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificates to trust cannot be read.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// A fetched file cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl HubError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// `file` is a blob, or leads to one.
    pub(super) fn damaged(file: &Path) -> Self {
        Self::Damaged { file: file.canonicalize().unwrap_or_else(|_| file.to_owned()) }
    }
}
