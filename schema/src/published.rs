//! The head of a published store: the small file that names its catalog.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The head's file in a published store. It is written, and to be uploaded, last.
pub const PUBLISHED_FILE: &str = "vestore.json";
/// Version of published stores that this program writes and reads. See FORMAT.md.
pub const PUBLISHED_VERSION: u32 = 1;
/// Most bytes of a catalog that is read from elsewhere.
const MOST_BYTES: u64 = 4 << 30;

/// What `vestore.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// [`PUBLISHED_VERSION`].
    pub version: u32,
    /// Name of the catalog's file beside it.
    pub catalog: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the catalog's file.
    pub sha256: Digest,
}

impl Published {
    /// The head of a store with this catalog.
    #[must_use]
    pub fn of(catalog: &[u8]) -> Self {
        let sha256 = Digest::of(catalog);
        let bytes = catalog.len() as u64;
        Self { version: PUBLISHED_VERSION, catalog: Self::name(sha256), bytes, sha256 }
    }

    /// The name of the file of a catalog.
    fn name(sha256: Digest) -> String {
        format!("catalog-{sha256}.redb")
    }

    /// The text of the file.
    ///
    /// # Panics
    /// Never: its fields are plain.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("plain fields become JSON; this is a bug") + "\n"
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        // Whatever else a later version says, it says which it is.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(PUBLISHED_VERSION) => {}
            Some(version) => {
                return Err(format!(
                    "unknown version {version} of published stores; expected {PUBLISHED_VERSION}: use a newer vestore"
                ));
            }
            None => return Err("it has no `version`".to_owned()),
        }
        let head: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if head.catalog != Self::name(head.sha256) {
            return Err(format!(
                "invalid `catalog`: `{}`; expected `{}`",
                head.catalog,
                Self::name(head.sha256)
            ));
        }
        if head.bytes > MOST_BYTES {
            return Err(format!("a catalog of {} bytes; expected at most {MOST_BYTES}", head.bytes));
        }
        Ok(head)
    }
}

/// Whether a file is named as catalogs of published stores are.
#[must_use]
pub fn is_published_catalog(name: &str) -> bool {
    let digest = name.strip_prefix("catalog-").and_then(|name| name.strip_suffix(".redb"));
    digest.and_then(Digest::parse).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_names_no_other_file() {
        let head = Published::of(b"catalog");
        let text = head.to_text();
        assert_eq!(Published::parse(text.as_bytes()), Ok(head.clone()));
        assert!(is_published_catalog(&head.catalog) && !is_published_catalog("catalog-.redb"));
        let refusals = [
            (head.catalog.as_str(), "../catalog.redb", "invalid `catalog`"),
            ("\"version\": 1", "\"version\": 2", "use a newer vestore"),
            ("\"version\"", "\"other\"", "no `version`"),
            ("\"bytes\": 7", "\"bytes\": 99999999999", "expected at most"),
            ("{", "[", "expected"),
        ];
        for (from, to, told) in refusals {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            let refusal = Published::parse(changed.as_bytes()).unwrap_err();
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}
