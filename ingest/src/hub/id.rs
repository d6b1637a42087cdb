//! `ORG/MODEL[@REVISION]`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use vestore_schema::is_repository;

/// A repository of the hub at a branch, tag or commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubId {
    /// `ORG/MODEL`.
    pub repository: String,
    /// A branch, tag or commit; `main` where none is named.
    pub revision: String,
}

/// Why a text does not name a repository.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a repository of the hub: `{text}`; expected ORG/MODEL or ORG/MODEL@REVISION")]
pub struct HubIdError {
    text: String,
}

impl FromStr for HubId {
    type Err = HubIdError;

    fn from_str(text: &str) -> Result<Self, HubIdError> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        if is_repository(repository) && is_revision(revision) {
            return Ok(Self { repository: repository.to_owned(), revision: revision.to_owned() });
        }
        Err(HubIdError { text: text.to_owned() })
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.revision)
    }
}

/// Whether a revision can be the name of a file in `refs/`, as branches such as `refs/pr/1` are.
fn is_revision(revision: &str) -> bool {
    let is_part = |part: &str| {
        let letters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
        letters && !part.is_empty() && !part.starts_with('.')
    };
    revision.len() <= 200 && revision.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_follows_the_repository() {
        let id: HubId = "lab/nt@refs/pr/1".parse().expect("an id");
        assert_eq!((id.repository.as_str(), id.revision.as_str()), ("lab/nt", "refs/pr/1"));
        assert_eq!("lab/nt".parse::<HubId>().expect("an id").to_string(), "lab/nt@main");
        for text in ["", "@main", "lab/nt@", "lab/nt@../x", "lab/nt@/x", "lab/nt@a b", "a/b/c", "lab/nt@a@b"]
        {
            assert!(text.parse::<HubId>().is_err(), "{text}");
        }
    }
}
