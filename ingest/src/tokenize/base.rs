//! One token a base, for models whose `vocab.txt` lists A, C, G, T, N and special tokens.

use std::path::Path;

use serde_json::{Value, json};

use super::{TokenizerError, Tokens, has_file, read_vocabulary};
use crate::convert::{dimension, narrow};

const SPECIAL: [(&str, &str); 3] = [("<cls>", "[CLS]"), ("<sep>", "[SEP]"), ("<mask>", "[MASK]")];

/// Gives every base its own token, between the start and end tokens that the vocabulary has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTokenizer {
    /// Ids of A, C, G, T, N.
    bases: [i64; 5],
    start: Option<i64>,
    end: Option<i64>,
    mask: Option<i64>,
    size: u32,
}

impl BaseTokenizer {
    /// The tokenizer that `vocab.txt` describes: one token a line.
    ///
    /// # Errors
    /// When the file is unreadable, lacks one of A, C, G, T, N or lists one twice.
    pub fn from_vocabulary(file: &Path) -> Result<Self, TokenizerError> {
        let lines = read_vocabulary(file)?;
        let malformed = |reason: String| TokenizerError::Malformed { file: file.to_owned(), reason };
        let find = |name: &str| lines.iter().position(|line| line == name).map(dimension);
        let mut bases = [0; 5];
        for (id, base) in bases.iter_mut().zip(["A", "C", "G", "T", "N"]) {
            *id = find(base).ok_or_else(|| malformed(format!("it has no token `{base}`")))?;
            if lines.iter().filter(|line| *line == base).count() > 1 {
                return Err(malformed(format!("it lists `{base}` twice")));
            }
        }
        let [start, end, mask] = SPECIAL.map(|(angled, square)| find(angled).or_else(|| find(square)));
        Ok(Self { bases, start, end, mask, size: narrow(lines.len()) })
    }

    /// The tokenizer of a `vocab.txt` that lists one token a base and no longer words; `None` when there is no such
    /// file or it lists words.
    ///
    /// # Errors
    /// As for [`BaseTokenizer::from_vocabulary`].
    pub(crate) fn of_vocabulary(file: &Path) -> Result<Option<Self>, TokenizerError> {
        if !has_file(file)? {
            return Ok(None);
        }
        let is_word = |line: &String| line.len() > 1 && line.bytes().all(|base| b"ACGTN".contains(&base));
        // A rule's vocabulary of words lists the bases once more, after the words.
        let lines = read_vocabulary(file)?;
        if lines.iter().any(is_word) || lines.iter().filter(|line| *line == "A").count() != 1 {
            return Ok(None);
        }
        Self::from_vocabulary(file).map(Some)
    }

    fn id(&self, base: u8) -> i64 {
        let place = b"ACGT".iter().position(|known| *known == base).unwrap_or(4);
        self.bases[place]
    }

    pub(super) fn encode(&self, window: &[u8]) -> Tokens {
        let mut tokens = Tokens { ids: Vec::with_capacity(window.len() + 2), spans: Vec::new() };
        tokens.ids.extend(self.start);
        tokens.spans.extend(self.start.map(|_| 0..0));
        tokens.ids.extend(window.iter().map(|base| self.id(*base)));
        tokens.spans.extend((0..narrow(window.len())).map(|base| base..base + 1));
        tokens.ids.extend(self.end);
        tokens.spans.extend(self.end.map(|_| 0..0));
        tokens
    }

    pub(super) fn mask_id(&self) -> Option<i64> {
        self.mask
    }

    pub(super) fn replaced(&self, token: i64, offset: u32, base: u8) -> Option<i64> {
        let known = self.bases[..4].contains(&token) && b"ACGT".contains(&base);
        (offset == 0 && known).then(|| self.id(base))
    }

    pub(super) fn words(&self) -> Vec<i64> {
        let mut words = self.bases[..4].to_vec();
        words.sort_unstable();
        words
    }

    pub(super) fn vocabulary_size(&self) -> u32 {
        self.size
    }

    pub(super) fn identity(&self) -> Value {
        json!({ "kind": "base", "ACGTN": self.bases, "start": self.start, "end": self.end, "mask": self.mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_stand_between_the_special_tokens() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("vocab.txt");
        std::fs::write(&file, "[PAD]\n[CLS]\n[SEP]\n[MASK]\nA\nC\nG\nT\nN\n").expect("written");
        let tokenizer = BaseTokenizer::from_vocabulary(&file).expect("a vocabulary");
        let tokens = tokenizer.encode(b"TNA");
        assert_eq!(tokens.ids, [1, 7, 8, 4, 2]);
        assert_eq!((tokens.content(), tokens.token_at(2)), (1..4, Some(3)));
        assert_eq!(tokenizer.replaced(7, 0, b'A'), Some(4));
        assert_eq!(tokenizer.replaced(8, 0, b'A'), None);
        std::fs::write(&file, "A\nC\nG\nT\n").expect("written");
        assert!(BaseTokenizer::from_vocabulary(&file).is_err());
    }
}
