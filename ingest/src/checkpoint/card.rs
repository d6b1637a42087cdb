//! What a model card says.

use std::path::Path;

use super::error::CheckpointError;
use super::text::read_text;

/// The licence that a model card states; by its own name where it is none of the hub's list.
pub(crate) fn card_license(directory: &Path) -> Result<Option<String>, CheckpointError> {
    match card_field(directory, "license")? {
        Some(other) if other == "other" => Ok(card_field(directory, "license_name")?.or(Some(other))),
        license => Ok(license),
    }
}

/// A line such as `license:` of a model card's front matter, if the directory has a README.md with one. A card that
/// cannot be read is an error: the licence of its weights would be lost.
pub(crate) fn card_field(directory: &Path, field: &str) -> Result<Option<String>, CheckpointError> {
    use std::io::ErrorKind::{InvalidData, InvalidInput, NotFound};
    let file = directory.join("README.md");
    let card = match read_text(&file, 1 << 20) {
        Ok(card) => card,
        // Absent, or not a card: too large, or not a plain file.
        Err(error) if matches!(error.kind(), NotFound | InvalidData | InvalidInput) => return Ok(None),
        Err(source) => return Err(CheckpointError::Io { file, source }),
    };
    let find = |card: &str| {
        let front = card.strip_prefix("---")?.split("\n---").next()?;
        let line = front.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        let name = line.trim().trim_matches(['"', '\'']);
        (!name.is_empty()).then(|| name.to_owned())
    };
    Ok(String::from_utf8(card).ok().and_then(|card| find(&card)))
}
