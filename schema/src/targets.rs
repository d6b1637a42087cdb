//! The targets of a regulatory model: what each of its outputs predicts.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Digest;

/// Most targets of a track: their lists are still lists that Arrow can hold.
pub const MAX_TARGETS: u32 = 1 << 20;
/// Longest name of a target in bytes.
pub const MAX_TARGET_NAME: usize = 256;

/// The targets of a track's effects. Their names are kept once per store, by this digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Targets {
    /// SHA-256 of the names as a JSON array.
    pub names: Digest,
    /// How many there are.
    pub count: u32,
}

impl Targets {
    /// Targets of these names, in this order.
    #[must_use]
    pub fn of(names: &[String]) -> Self {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        Self { names: Digest::of_json(&json!(names)), count }
    }
}

/// Whether a target can have this name: not empty, at most [`MAX_TARGET_NAME`] bytes, without control characters.
#[must_use]
pub fn is_target_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_TARGET_NAME && !name.chars().any(char::is_control)
}
