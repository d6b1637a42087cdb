//! Cuts windows of DNA into the tokens that a model was trained on, exactly as its reference
//! tokenizer does, and knows which bases each token covers.

mod base;
mod bounds;
mod bpe;
mod guard;
mod kmer;
mod layout;
mod train;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;
use vestore_schema::TokenizerKind;

use crate::checkpoint::{self, read_text};

pub use base::BaseTokenizer;
pub use bpe::BpeTokenizer;
pub use kmer::{KmerTokenizer, SpecialOrder};
pub(crate) use layout::{BASES, BYTE_PAIR_FILES, SPECIAL, byte_pair_files};
pub use train::{CorpusCounts, TokenizerOptions, TrainTokenizerError, TrainedTokenizer, train_tokenizer};

/// One window as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// The bases of the window that each token covers, 0-based half-open; empty for special tokens.
    pub spans: Vec<Range<u32>>,
}

impl Tokens {
    /// Index of the token that covers the 0-based `base` of the window.
    #[must_use]
    pub fn token_at(&self, base: u32) -> Option<usize> {
        let content = self.content();
        let offset = self.spans[content.clone()].partition_point(|span| span.end <= base);
        let index = content.start + offset;
        (index < content.end && self.spans[index].contains(&base)).then_some(index)
    }

    /// The tokens that are not special: those that cover bases.
    #[must_use]
    pub fn content(&self) -> Range<usize> {
        let first = self.spans.iter().position(|span| !span.is_empty()).unwrap_or(0);
        let last = self.spans.iter().rposition(|span| !span.is_empty()).map_or(first, |last| last + 1);
        first..last
    }
}

/// Why a tokenizer cannot be read or a window not be cut.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// The file is missing or unreadable.
    #[error("cannot read the tokenizer file `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not of its format.
    #[error("`{}` is not a tokenizer of this family: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// Tokenizer and embedding table do not belong together.
    #[error(
        "the tokenizer of `{}` has {found} tokens, the embeddings have {expected} rows; \
         use the tokenizer files of this very checkpoint", file.display()
    )]
    WrongSize {
        /// The tokenizer's file, or the configuration when there is none.
        file: PathBuf,
        /// Rows of the embedding table.
        expected: u32,
        /// Tokens of the tokenizer.
        found: u32,
    },
    /// A window with something else than upper-case A, C, G, T, N.
    #[error("base {index} of the window is byte {byte:#04x}; windows hold upper-case ACGTN only")]
    Base {
        /// 0-based place in the window.
        index: usize,
        /// The byte.
        byte: u8,
    },
    /// The byte-pair encoder gave tokens that do not cover the window.
    #[error("the tokenizer left base {base} of the window without a token")]
    Uncovered {
        /// 0-based place in the window.
        base: u32,
    },
    /// The byte-pair encoder failed.
    #[error("the tokenizer `{}` failed on a window: {reason}", file.display())]
    Encode {
        /// The tokenizer's file.
        file: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// A tokenizer of one of the known kinds.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Fixed-length words.
    Kmer(KmerTokenizer),
    /// Byte-pair encoding.
    Bpe(Box<BpeTokenizer>),
    /// One token a base.
    Base(BaseTokenizer),
}

impl Tokenizer {
    /// Cuts `window` (upper-case ACGTN) into tokens.
    ///
    /// # Errors
    /// When the window holds another byte, or a byte-pair encoder fails.
    pub fn encode(&self, window: &[u8]) -> Result<Tokens, TokenizerError> {
        if let Some(index) = window.iter().position(|byte| !b"ACGTN".contains(byte)) {
            return Err(TokenizerError::Base { index, byte: window[index] });
        }
        match self {
            Self::Kmer(tokenizer) => Ok(tokenizer.encode(window)),
            Self::Bpe(tokenizer) => tokenizer.encode(window),
            Self::Base(tokenizer) => Ok(tokenizer.encode(window)),
        }
    }

    /// The token that hides another one, for masked language models.
    #[must_use]
    pub fn mask_id(&self) -> Option<i64> {
        match self {
            Self::Kmer(tokenizer) => Some(tokenizer.mask_id()),
            Self::Bpe(tokenizer) => tokenizer.mask_id(),
            Self::Base(tokenizer) => tokenizer.mask_id(),
        }
    }

    /// The token that `token` becomes when its base at `offset` is replaced by `base`; `None` when
    /// that is not a token of the same length (N, byte pairs, an offset beyond the token).
    #[must_use]
    pub fn replaced(&self, token: i64, offset: u32, base: u8) -> Option<i64> {
        match self {
            Self::Kmer(tokenizer) => tokenizer.replaced(token, offset, base),
            Self::Bpe(_) => None,
            Self::Base(tokenizer) => tokenizer.replaced(token, offset, base),
        }
    }

    /// The tokens that stand for known bases, in ascending order.
    #[must_use]
    pub fn words(&self) -> Vec<i64> {
        match self {
            Self::Kmer(tokenizer) => tokenizer.words(),
            Self::Bpe(tokenizer) => tokenizer.words(),
            Self::Base(tokenizer) => tokenizer.words(),
        }
    }

    /// What kind of tokens it makes.
    #[must_use]
    pub fn kind(&self) -> TokenizerKind {
        match self {
            Self::Kmer(words) => TokenizerKind::Kmer(words.word_length()),
            Self::Bpe(_) => TokenizerKind::Bpe,
            Self::Base(_) => TokenizerKind::Base,
        }
    }

    /// Length in bases of a k-mer model's words.
    #[must_use]
    pub fn word_length(&self) -> Option<u32> {
        match self {
            Self::Kmer(tokenizer) => Some(tokenizer.word_length()),
            Self::Bpe(_) | Self::Base(_) => None,
        }
    }

    /// How many tokens it knows.
    #[must_use]
    pub fn vocabulary_size(&self) -> u32 {
        match self {
            Self::Kmer(tokenizer) => tokenizer.vocabulary_size(),
            Self::Bpe(tokenizer) => tokenizer.vocabulary_size(),
            Self::Base(tokenizer) => tokenizer.vocabulary_size(),
        }
    }

    /// The effective vocabulary and rules in a form that does not depend on how a file spells them.
    pub(crate) fn identity(&self) -> Value {
        match self {
            Self::Kmer(tokenizer) => tokenizer.identity(),
            Self::Bpe(tokenizer) => tokenizer.identity().clone(),
            Self::Base(tokenizer) => tokenizer.identity(),
        }
    }
}

/// Whether a checkpoint has a file of a tokenizer.
pub(crate) fn has_file(file: &Path) -> Result<bool, TokenizerError> {
    checkpoint::has_file(file).map_err(|source| TokenizerError::Io { file: file.to_owned(), source })
}

/// The lines of a `vocab.txt`: one token a line, its id the line's number from 0.
fn read_vocabulary(file: &Path) -> Result<Vec<String>, TokenizerError> {
    let io = |source| TokenizerError::Io { file: file.to_owned(), source };
    let text = read_text(file, bounds::MOST_BYTES).map_err(io)?;
    let text = String::from_utf8(text)
        .map_err(|error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// The reverse complement of a window of upper-case ACGTN.
#[must_use]
pub fn reverse_complement(window: &[u8]) -> Vec<u8> {
    window.iter().rev().map(|base| complement(*base)).collect()
}

/// The base that pairs with `base`; N, and anything else, is its own.
#[must_use]
pub fn complement(base: u8) -> u8 {
    match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        other => other,
    }
}
