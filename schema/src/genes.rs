//! Gene tables that a store keeps.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::record::RecordError;

/// Folder of gene tables in a store.
pub const GENES_FOLDER: &str = "genes";
/// What follows the digest in the name of a gene table's file.
pub const GENES_ENDING: &str = ".tsv";
/// What follows the digest in the name of the file of the names of a gene table.
pub const GENE_NAMES_ENDING: &str = ".names.tsv";
/// Longer files are not read into memory; the largest annotations of a genome have a tenth of it.
const LONGEST: u64 = 1 << 30;
/// The same of the names of a table's genes.
const LONGEST_NAMES: u64 = 128 << 20;

/// A gene table that a store keeps as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneTableRecord {
    /// SHA-256 of the store's file, which is the same for every format that the table can be added in.
    pub digest: Digest,
    /// Name of the file that it was added from.
    pub name: String,
    /// Genes in it.
    pub genes: u64,
    /// Length of the store's file.
    pub bytes: u64,
    /// The file of the names of its genes; tables that older programs added have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<GeneNamesRecord>,
}

/// The file of the names of the genes of a table, which are not part of the digest of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneNamesRecord {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file.
    pub bytes: u64,
}

impl GeneNamesRecord {
    /// The file, relative to the store.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{GENES_FOLDER}/{}{GENE_NAMES_ENDING}", self.digest)
    }
}

impl GeneTableRecord {
    /// The file, relative to the store.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{GENES_FOLDER}/{}{GENES_ENDING}", self.digest)
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
        if self.bytes > LONGEST {
            return error("bytes", self.bytes.to_string(), "longer than a gene table can be");
        }
        if let Some(names) = self.names.as_ref().filter(|names| names.bytes > LONGEST_NAMES) {
            return error("names", names.bytes.to_string(), "longer than the names of a gene table can be");
        }
        Ok(())
    }
}
