//! The version of the on-disk format, and the refusal of what this program does not know.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the format that this program writes. See FORMAT.md, version history.
pub const FORMAT_VERSION: u32 = 3;

/// Oldest version that this program reads; stores of every later one stay readable.
pub const OLDEST_VERSION: u32 = 1;

/// The version from which on long lists of effects are cut into columns.
pub const GROUPED_VERSION: u32 = 3;

/// Feature flags that this program knows. A store with another flag is refused.
pub const KNOWN_FEATURES: [&str; 0] = [];

/// What a store or a segment says about its own format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// Version of the format.
    pub version: u32,
    /// Features that a reader must know to read it rightly.
    #[serde(default)]
    pub features: Vec<String>,
}

impl Default for Format {
    fn default() -> Self {
        Self { version: FORMAT_VERSION, features: Vec::new() }
    }
}

/// A format that this program must not touch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VersionError {
    /// Written in another version.
    #[error(
        "{what} has format version {found}; this vestore reads versions {OLDEST_VERSION} to {FORMAT_VERSION}: use the \
         vestore that wrote it, or score into a new store"
    )]
    Version {
        /// Store or segment.
        what: String,
        /// Version that it says.
        found: u32,
    },
    /// Written with a feature of a later program.
    #[error(
        "{what} uses the feature `{feature}` (format version {found}), which this vestore (format version \
         {FORMAT_VERSION}) does not know; use a newer vestore"
    )]
    Feature {
        /// Store or segment.
        what: String,
        /// The unknown flag.
        feature: String,
        /// Version that it says.
        found: u32,
    },
}

impl Format {
    /// Refuses what this program does not know.
    ///
    /// # Errors
    /// When the version or a feature is unknown.
    pub fn check(&self, what: &str) -> Result<(), VersionError> {
        let (what, found) = (what.to_owned(), self.version);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&found) {
            return Err(VersionError::Version { what, found });
        }
        match self.features.iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())) {
            Some(feature) => Err(VersionError::Feature { what, feature: feature.clone(), found }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_versions_and_unknown_features_are_refused_with_both_versions() {
        assert!((1..=3).all(|version| Format { version, features: vec![] }.check("store").is_ok()));
        for version in [0, 4] {
            let other = Format { version, features: vec![] }.check("store x").unwrap_err().to_string();
            let known = "this vestore reads versions 1 to 3";
            assert!(other.contains(&format!("version {version};")) && other.contains(known), "{other}");
        }
        let flagged = Format { version: FORMAT_VERSION, features: vec!["zones".into()] }
            .check("s")
            .unwrap_err()
            .to_string();
        assert!(flagged.contains("`zones`") && flagged.contains("version 3"), "{flagged}");
    }
}
