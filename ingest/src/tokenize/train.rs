//! Learns byte pairs from genomes in bounded memory.
//!
//! What is learned is what byte-pair encoding (Sennrich et al. 2016) means, exactly: the most frequent pair of
//! neighbouring tokens becomes a token, wherever it stands, over and over; of pairs as frequent as each other,
//! the one with the smaller ids. It is what a trainer that holds the whole corpus in memory learns, not an
//! approximation merged from parts: `--split` decides the memory, never the vocabulary.
//!
//! The corpus lies on disk as token ids and is streamed, a split at a time (`spill`, `pass`). Only the counts
//! of pairs are kept (`pairs`), and a pass changes them by what it changes in the sequence. One pass makes
//! several merges: those at the head of the ranking that can neither touch each other nor be overtaken by a
//! pair that one of them makes. Why that is exact stands at [`pairs::Pairs::next_batch`].
//!
//! Words are the longest stretches of A, C, G, T; whatever else ends a word, and so does the end of a contig.

mod corpus;
mod pairs;
mod pass;
mod spill;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;
use vestore::ReferenceError;

pub use self::corpus::CorpusCounts;
use self::pairs::{Pair, Pairs};
use self::pass::{Batch, Count, Pass};
use self::spill::Spill;
use super::layout::{BASES, BYTE_PAIR_FILES, SPECIAL, byte_pair_files};
use crate::convert::narrow;

/// A token's id. The id of `[UNK]`, which no base has, stands between two words.
type Token = u32;
/// What stands between two words.
const BREAK: Token = 0;
/// How to learn byte pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Tokens to end with, the five special ones and the four bases included.
    pub vocabulary: u32,
    /// Bases in memory at a time (8 bytes each).
    pub split: usize,
    /// The longest token in bases; no limit when missing.
    pub longest: Option<u32>,
    /// Whether lower-case bases are left out, as soft-masked repeats are marked; a contig without any
    /// upper-case base carries no mask and is taken whole.
    pub skip_soft_masked: bool,
    /// Counts of pairs in memory at a time (some 70 bytes each), the most frequent ones. It decides the memory
    /// and, should they run out, the time; not the result.
    pub kept_pairs: usize,
}

/// Byte pairs, and how they came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedTokenizer {
    /// Every token by id.
    pub tokens: Vec<String>,
    /// What is joined, in the order in which it is.
    pub merges: Vec<[String; 2]>,
    /// What was read.
    pub corpus: CorpusCounts,
    /// Tokens that the corpus takes, special tokens left out.
    pub encoded: u64,
    /// Passes over the corpus.
    pub passes: u64,
}

impl TrainedTokenizer {
    /// Names of its files, in DNABERT-2's layout.
    pub const FILES: [&str; 2] = BYTE_PAIR_FILES;

    /// The texts of its files.
    ///
    /// # Errors
    /// When a token cannot be written as JSON.
    pub fn files(&self) -> Result<[String; 2], serde_json::Error> {
        byte_pair_files(&self.tokens, &self.merges)
    }
}

/// Why no tokenizer was learned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainTokenizerError {
    /// An input cannot be read.
    #[error(transparent)]
    Fasta(#[from] ReferenceError),
    /// The token ids cannot be kept on disk.
    #[error("cannot keep the tokens in {}; it needs 4 bytes a base there", folder.display())]
    Spill {
        /// Where they are kept.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A vocabulary that cannot hold the special tokens and the bases.
    #[error(
        "a vocabulary of {asked} tokens has no room for the 5 special tokens and the 4 bases; ask for more"
    )]
    TooSmall {
        /// Tokens asked for.
        asked: u32,
    },
    /// The inputs hold nothing to learn from.
    #[error(
        "no A, C, G or T is left in the input: {masked} bases are soft-masked, {other} are none of these"
    )]
    NoBases {
        /// Lower-case bases left out.
        masked: u64,
        /// Other letters.
        other: u64,
    },
    /// Every pair is seen once at most, or is too long.
    #[error(
        "only {found} of {asked} tokens could be learned from {bases} bases: no other pair is seen twice{}; \
         ask for fewer or give more bases",
        longest.map_or(String::new(), |longest| format!(" and has at most {longest} bases"))
    )]
    TooFew {
        /// Tokens that could be learned.
        found: u32,
        /// Tokens asked for.
        asked: u32,
        /// Bases they were learned from.
        bases: u64,
        /// The longest token allowed.
        longest: Option<u32>,
    },
    /// Somebody asked to stop.
    #[error("stopped; nothing was written, and the same command starts again")]
    Stopped,
}

/// Learns byte pairs from the `inputs` (FASTA, plain, BGZF or gzip). Token ids are kept in a nameless file in
/// `scratch`, at most 4 bytes a base. `progress` hears how many tokens there are after every pass.
///
/// # Errors
/// See [`TrainTokenizerError`]; [`TrainTokenizerError::Stopped`] soon after `stop` is set.
pub fn train_tokenizer(
    inputs: &[PathBuf],
    options: &TokenizerOptions,
    scratch: &Path,
    stop: &AtomicBool,
    progress: impl Fn(u32),
) -> Result<TrainedTokenizer, TrainTokenizerError> {
    let mut tokens: Vec<String> = SPECIAL.into_iter().chain(BASES).map(str::to_owned).collect();
    let mut missing = (options.vocabulary as usize)
        .checked_sub(tokens.len())
        .ok_or(TrainTokenizerError::TooSmall { asked: options.vocabulary })?;
    let stopped = || if stop.load(Ordering::Relaxed) { Err(TrainTokenizerError::Stopped) } else { Ok(()) };
    let mut spill = Spill::new(scratch, options.split)?;
    let corpus = corpus::read(inputs, options.skip_soft_masked, &mut spill, stopped)?;
    if corpus.bases == 0 {
        return Err(TrainTokenizerError::NoBases { masked: corpus.masked, other: corpus.other });
    }
    let mut lengths = vec![1; tokens.len()];
    let mut merges = Vec::with_capacity(missing);
    let mut pairs = Pairs::new(options.kept_pairs, options.longest);
    let (mut passes, mut split) = (0, Vec::new());
    while missing > 0 {
        let taken = pairs.next_batch(missing);
        if taken.is_empty() && !pairs.needs_count() {
            let (found, asked) = (narrow(tokens.len()), options.vocabulary);
            let (bases, longest) = (corpus.bases, options.longest);
            return Err(TrainTokenizerError::TooFew { found, asked, bases, longest });
        }
        passes += 1;
        if taken.is_empty() {
            let mut count = Count::new();
            for number in 0..spill.splits() {
                spill.load(number, &mut split)?;
                count.stretch(&split);
                stopped()?;
            }
            pairs.recount(count.found, &lengths);
            continue;
        }
        for Pair(left, right) in &taken {
            let [left, right] = [*left as usize, *right as usize];
            merges.push([tokens[left].clone(), tokens[right].clone()]);
            tokens.push(format!("{}{}", tokens[left], tokens[right]));
            lengths.push(lengths[left] + lengths[right]);
        }
        missing -= taken.len();
        let batch = Batch::new(&taken, tokens.len());
        let mut pass = Pass::new(&batch);
        for number in 0..spill.splits() {
            spill.load(number, &mut split)?;
            pass.stretch(&mut split, number + 1 == spill.splits());
            spill.store(number, &split)?;
            stopped()?;
        }
        pairs.apply(pass.changes, &lengths);
        progress(narrow(tokens.len()));
    }
    Ok(TrainedTokenizer { tokens, merges, encoded: spill.tokens(), corpus, passes })
}
