//! What the cards of trained models have in common.

use std::fmt::Write as _;

use crate::checkpoint::{ModelSource, card_field};
use crate::error::ModelError;

/// The front matter: whose weights these were, under which licence.
pub(super) fn front(source: &ModelSource) -> Result<String, ModelError> {
    let mut front = String::from("---\n");
    for field in ["license", "note"] {
        if let Some(text) = card_field(&source.checkpoint, field)? {
            // Writing to a string cannot fail.
            let _ = writeln!(front, "{field}: {text}");
        }
    }
    front.push_str("---\n");
    Ok(front)
}

/// Which of `count` layers of the parent a model has, which its family calls `layers`; nothing where it has all.
pub(super) fn kept(layers: &str, kept: &[u32], count: u32, adapted: bool) -> String {
    if kept.len() == count as usize {
        return String::new();
    }
    if adapted {
        return format!(
            "\nIt stands on a pruned model: {layers} {kept:?} of the base, counted from 0. Loaded on the whole base it \
             would change other {layers}.\n"
        );
    }
    let mut title = layers.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("\n{title} of the parent, in order: {kept:?}.\n")
}
