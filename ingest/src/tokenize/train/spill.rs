//! The corpus as token ids in a nameless file, split by split; one split at a time is in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{BREAK, Token, TrainTokenizerError};

/// Bytes of a token on disk.
const WIDTH: usize = size_of::<Token>();

/// A split's place: tokens leave it for the next split or are merged, so that it never outgrows the room it
/// had at first. The last one has all the room there is.
struct Split {
    offset: u64,
    tokens: usize,
}

/// The corpus on disk.
pub(super) struct Spill {
    file: File,
    folder: PathBuf,
    /// Tokens of a split when it is made.
    size: usize,
    splits: Vec<Split>,
    /// The split being filled.
    filling: Vec<Token>,
    bytes: Vec<u8>,
    last: Token,
    /// Ends of words.
    breaks: u64,
}

impl Spill {
    /// An empty corpus in a file that goes away with the process, however it ends.
    pub(super) fn new(folder: &Path, size: usize) -> Result<Self, TrainTokenizerError> {
        let file = tempfile::tempfile_in(folder).map_err(|source| failed(folder, source))?;
        Ok(Self {
            file,
            folder: folder.to_owned(),
            size: size.max(1),
            splits: Vec::new(),
            filling: Vec::new(),
            bytes: Vec::new(),
            last: BREAK,
            breaks: 0,
        })
    }

    /// Adds a token, or the end of a word.
    pub(super) fn push(&mut self, token: Token) -> Result<(), TrainTokenizerError> {
        if token == BREAK {
            if self.last == BREAK {
                return Ok(());
            }
            self.breaks += 1;
        }
        self.last = token;
        self.filling.push(token);
        if self.filling.len() == self.size { self.flush() } else { Ok(()) }
    }

    /// Puts what is left on disk; the corpus is complete.
    pub(super) fn flush(&mut self) -> Result<(), TrainTokenizerError> {
        let tokens = std::mem::take(&mut self.filling);
        let offset = (self.splits.len() * self.size * WIDTH) as u64;
        self.splits.push(Split { offset, tokens: 0 });
        self.store(self.splits.len() - 1, &tokens)?;
        self.filling = tokens;
        self.filling.clear();
        Ok(())
    }

    /// How many splits there are.
    pub(super) fn splits(&self) -> usize {
        self.splits.len()
    }

    /// Tokens of the corpus.
    pub(super) fn tokens(&self) -> u64 {
        self.splits.iter().map(|split| split.tokens as u64).sum::<u64>() - self.breaks
    }

    /// Reads a split into `tokens`.
    pub(super) fn load(&mut self, split: usize, tokens: &mut Vec<Token>) -> Result<(), TrainTokenizerError> {
        let Split { offset, tokens: count } = self.splits[split];
        self.bytes.resize(count * WIDTH, 0);
        self.file.read_exact_at(&mut self.bytes, offset).map_err(|source| failed(&self.folder, source))?;
        tokens.clear();
        tokens.extend(self.bytes.as_chunks::<WIDTH>().0.iter().map(|bytes| Token::from_le_bytes(*bytes)));
        Ok(())
    }

    /// Writes a split back.
    pub(super) fn store(&mut self, split: usize, tokens: &[Token]) -> Result<(), TrainTokenizerError> {
        self.bytes.clear();
        self.bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        let Split { offset, tokens: count } = &mut self.splits[split];
        *count = tokens.len();
        self.file.write_all_at(&self.bytes, *offset).map_err(|source| failed(&self.folder, source))
    }
}

fn failed(folder: &Path, source: io::Error) -> TrainTokenizerError {
    TrainTokenizerError::Spill { folder: folder.to_owned(), source }
}
