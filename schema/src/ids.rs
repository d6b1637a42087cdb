//! Tables of rsIDs that a store keeps.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::record::RecordError;

/// Folder of id tables in a store.
pub const IDS_FOLDER: &str = "ids";
/// What follows the digest in the name of an id table's file.
pub const IDS_ENDING: &str = ".ids";

/// A table of rsIDs and their variants that a store keeps as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTableRecord {
    /// SHA-256 of the store's file.
    pub digest: Digest,
    /// Name of the file that it was added from.
    pub name: String,
    /// SHA-256 of that file.
    pub source: Digest,
    /// Ids in it.
    pub ids: u64,
    /// Pairs of an id and a variant in it.
    pub variants: u64,
    /// Length of the store's file.
    pub bytes: u64,
}

impl IdTableRecord {
    /// The file, relative to the store.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{IDS_FOLDER}/{}{IDS_ENDING}", self.digest)
    }

    /// Checks that the record can stand under `key`.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: &str) -> Result<(), RecordError> {
        let error = |field, value: String, problem| Err(RecordError { field, value, problem });
        if self.digest.to_string() != key {
            return error("digest", self.digest.to_string(), "not that of its key");
        }
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return error("name", self.name.clone(), "not a name: empty, or with control characters");
        }
        if self.ids > self.variants {
            return error("ids", self.ids.to_string(), "more than there are variants");
        }
        Ok(())
    }
}
