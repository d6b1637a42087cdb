//! A `config.json` or `adapter_config.json` while it is read.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::CheckpointError;
use super::text::read_json;

/// A `config.json` while it is read, so that messages name file and key.
pub(crate) struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> Result<Self, CheckpointError> {
        match read_json(path)? {
            Value::Object(fields) => Ok(Self { path: path.to_owned(), fields }),
            _ => Err(CheckpointError::Json { file: path.to_owned(), reason: "no object".to_owned() }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// An error about `key` as it stands.
    pub(crate) fn unsupported(&self, key: &str, expected: impl Into<String>) -> CheckpointError {
        let found = self.fields.get(key).map_or("missing".to_owned(), Value::to_string);
        CheckpointError::Config {
            file: self.path.clone(),
            key: key.to_owned(),
            found,
            expected: expected.into(),
        }
    }

    /// All keys with their values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }

    /// A count from 1 to `most`.
    pub(crate) fn count(&self, key: &'static str, most: u32) -> Result<u32, CheckpointError> {
        let value = self.get(key).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
        value
            .filter(|value| (1..=most).contains(value))
            .ok_or_else(|| self.unsupported(key, format!("a whole number from 1 to {most}")))
    }

    pub(crate) fn flag(&self, key: &'static str, default: bool) -> Result<bool, CheckpointError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.unsupported(key, "true or false")),
        }
    }

    /// Refuses another value of `key` than `only`; a missing key is as good as `only`.
    pub(crate) fn only(&self, key: &'static str, only: &Value) -> Result<(), CheckpointError> {
        match self.get(key) {
            Some(value) if value != only => Err(self.unsupported(key, only.to_string())),
            _ => Ok(()),
        }
    }
}
