//! Parts of a plan that are scored apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most parts of a plan.
const MAX_PARTS: u32 = 1_000_000;

/// Part K of the N parts of a plan, written `K/N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 1.
    pub part: u32,
    /// How many parts there are.
    pub of: u32,
}

/// Not a part of something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid shard `{text}`; expected K/N with K from 1 to N, such as 3/8")]
pub struct ShardError {
    /// As typed.
    text: String,
}

impl Shard {
    /// Whether it is one of so many parts.
    #[must_use]
    pub fn is_valid(self) -> bool {
        (1..=self.of).contains(&self.part) && self.of <= MAX_PARTS
    }

    /// Every part of the plan, in order.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |part| Self { part, ..self })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let digits =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let parts = text.split_once('/').and_then(|(part, of)| Some((digits(part)?, digits(of)?)));
        parts
            .map(|(part, of)| Self { part, of })
            .filter(|shard| shard.is_valid())
            .ok_or_else(|| ShardError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_so_many_parts() {
        assert_eq!("3/8".parse(), Ok(Shard { part: 3, of: 8 }));
        assert_eq!("8/8".parse::<Shard>().unwrap().to_string(), "8/8");
        for text in ["", "3", "0/8", "9/8", "3/0", "-1/8", "+1/8", "1/8/2", "1/1000001", "a/b", "1 /2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
