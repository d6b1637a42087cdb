//! Reports: documents that studies leave in a store. The store keeps them and knows nothing of what is in them.

use serde::{Deserialize, Serialize};

use crate::record::RecordError;
use crate::track::check_name;

/// A document of a report: its head, or one of its parts, such as a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// What kind of report, `layer-study` for example. Names are unique within a kind.
    pub kind: String,
    /// Version of the kind's documents.
    pub version: u32,
    /// What people call the report in this store.
    pub name: String,
    /// Which part; empty for the head.
    pub part: String,
    /// Models of the store that it is about. They follow when a model is renamed, and keep it from being removed.
    pub models: Vec<String>,
    /// The document: a JSON object.
    pub document: serde_json::Value,
}

impl ReportRecord {
    /// Kind, name and part: what it is kept under.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.kind, &self.name, &self.part)
    }

    /// Checks that the record can stand under `key`.
    ///
    /// # Errors
    /// The first part that cannot be.
    pub fn check(&self, key: (&str, &str, &str)) -> Result<(), RecordError> {
        let error = |field, value: &str, problem| RecordError { field, value: value.to_owned(), problem };
        if self.key() != key {
            return Err(error("key", &format!("{}/{}/{}", self.kind, self.name, self.part), "not its key"));
        }
        let names = [("kind", &self.kind), ("name", &self.name)].into_iter();
        for (field, name) in names.chain(self.models.iter().map(|model| ("models", model))) {
            check_name(name).map_err(|_| error(field, name, "not a name that a store can have"))?;
        }
        if self.part.chars().any(char::is_control) {
            return Err(error("part", &self.part, "with control characters"));
        }
        if !self.document.is_object() {
            return Err(error("document", &self.document.to_string(), "not a JSON object"));
        }
        Ok(())
    }
}
