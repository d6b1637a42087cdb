//! Where files of a model were fetched from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most letters of the id of a repository.
const MAX_ID: usize = 96;

/// A revision of a repository on the Hugging Face hub that files of a model were fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubOrigin {
    /// The repository: `ORG/MODEL`.
    pub repository: String,
    /// The commit, 40 hexadecimal digits.
    pub revision: String,
    /// Licence of the repository, as its card states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

impl fmt::Display for HubOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.revision)
    }
}

/// Whether `id` can be that of a repository: `ORG/MODEL`, or `MODEL` of the hub's first years.
#[must_use]
pub fn is_repository(id: &str) -> bool {
    let is_part = |part: &str| {
        let letters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        !part.is_empty() && letters && !part.starts_with(['.', '-']) && !part.ends_with(['.', '-'])
    };
    // `--` stands for `/` in the names of folders of the cache.
    let plain = id.len() <= MAX_ID && !id.contains("--") && !id.contains("..");
    plain && id.split('/').count() <= 2 && id.split('/').all(is_part)
}

/// Whether `revision` is a commit: 40 hexadecimal digits, in lower case.
#[must_use]
pub fn is_commit(revision: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    revision.len() == 40 && revision.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_repositories_cannot_leave_a_folder() {
        for id in ["InstaDeepAI/nucleotide-transformer-v2-50m", "gpt2", "a/b.c_d"] {
            assert!(is_repository(id), "{id}");
        }
        for id in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a--b/c", "a b/c", "a/.b", "a/b-", "a\0/b"] {
            assert!(!is_repository(id), "{id}");
        }
        assert!(!is_repository(&"a".repeat(97)));
        assert!(is_commit(&"0a".repeat(20)));
        for commit in ["main", &"0A".repeat(20), &"0a".repeat(21)] {
            assert!(!is_commit(commit), "{commit}");
        }
    }
}
