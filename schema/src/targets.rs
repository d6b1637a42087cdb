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

    /// Checks that these are the names.
    ///
    /// # Errors
    /// The first that a target cannot have, or that they are others.
    pub fn check(&self, names: &[String]) -> Result<(), String> {
        if let Some(name) = names.iter().find(|name| !is_target_name(name)) {
            return Err(format!("not a name of a target: `{}`", name.escape_debug()));
        }
        if Self::of(names) == *self { Ok(()) } else { Err("the names of other targets".to_owned()) }
    }
}

/// Whether a target can have this name: not empty, at most [`MAX_TARGET_NAME`] bytes, without control characters.
#[must_use]
pub fn is_target_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_TARGET_NAME && !name.chars().any(char::is_control)
}

/// Whether `name` is as `pattern` says, in which `*` stands for any letters and `?` for one.
#[must_use]
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last star was, and how far the name is taken by it.
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[of] => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, of) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name) in
            [("*", ""), ("*", "a"), ("a?c", "abc"), ("*b*d", "abcbd"), ("x*", "x"), ("", "")]
        {
            assert!(matches_glob(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("?", ""), ("a", "ab"), ("b", "ab"), ("*b*d", "abdc"), ("A", "a"), ("", "a")]
        {
            assert!(!matches_glob(pattern, name), "{pattern} {name}");
        }
        assert!(!matches_glob(&"*a".repeat(200), &"a".repeat(150)), "in time that is not exponential");
    }

    #[test]
    fn names_are_known_by_their_digest() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let targets = Targets::of(&names(&["a", "b"]));
        assert_eq!(targets.check(&names(&["a", "b"])), Ok(()));
        for others in [&["b", "a"][..], &["a"], &["a", "b", "c"], &["a", "b\u{1b}"]] {
            assert!(targets.check(&names(others)).is_err(), "{others:?}");
        }
    }
}
