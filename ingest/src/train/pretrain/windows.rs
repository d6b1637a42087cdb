//! Windows of DNA as tokens, drawn at random for training: all of one token count, so that a batch has no
//! padding.

use thiserror::Error;
use vestore_schema::{Region, TokenizerKind};

use super::alleles::Alleles;
use crate::genome::{Genome, KnownRegions, WindowStarts};
use crate::random::Random;
use crate::tokenize::{Tokenizer, TokenizerError, reverse_complement};

/// Bases that a byte-pair token is taken to cover when windows are cut; what is too much is left off.
const BASES_PER_PAIR_TOKEN: u32 = 8;

/// How often a window is drawn again before the data are blamed.
const ATTEMPTS: usize = 64;

/// Why no window can be drawn.
#[derive(Debug, Error)]
pub enum WindowsError {
    /// No region is so long.
    #[error(
        "no region of known bases to train on is {bases} bases long, which windows of {tokens} tokens need; \
         use shorter windows, or more of the genome"
    )]
    NoPlace {
        /// Bases of a window.
        bases: u32,
        /// Its tokens.
        tokens: u32,
    },
    /// The drawn windows never gave enough tokens.
    #[error("{attempts} windows in a row gave fewer than {tokens} tokens; use shorter windows")]
    TooFewTokens {
        /// How often a window was drawn.
        attempts: usize,
        /// How many tokens were wanted.
        tokens: u32,
    },
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// A window as tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// Token ids, special ones included.
    pub(crate) ids: Vec<i64>,
    /// What a token counts for in the loss: 0 for special ones, less than 1 in repeats where they weigh less.
    pub(crate) weights: Vec<f32>,
}

/// Draws windows of one token count.
pub(crate) struct Windows<'a> {
    genome: &'a Genome,
    regions: &'a KnownRegions,
    starts: WindowStarts<'a>,
    alleles: Option<&'a Alleles>,
    tokenizer: &'a Tokenizer,
    tokens: u32,
    repeat_weight: f32,
}

impl<'a> Windows<'a> {
    /// Windows of `tokens` tokens, special ones not counted. A soft-masked base counts `repeat_weight`, and a
    /// token the mean of its bases.
    pub(crate) fn new(
        genome: &'a Genome,
        regions: &'a KnownRegions,
        alleles: Option<&'a Alleles>,
        tokenizer: &'a Tokenizer,
        tokens: u32,
        repeat_weight: f32,
    ) -> Result<Self, WindowsError> {
        let bases = tokens * bases_per_token(tokenizer);
        let starts = regions.starts(bases).ok_or(WindowsError::NoPlace { bases, tokens })?;
        Ok(Self { genome, regions, starts, alleles, tokenizer, tokens, repeat_weight })
    }

    /// A window from either strand, with alleles of the population where there are some.
    pub(crate) fn draw(&self, random: &mut Random) -> Result<Window, WindowsError> {
        for _ in 0..ATTEMPTS {
            let region = self.starts.draw(random);
            let letters = match self.alleles {
                None => Some(self.genome.letters(region).to_vec()),
                Some(alleles) => alleles.haplotype(self.genome, region, self.limit(region), random),
            };
            let reverse = random.below(2) == 1;
            let Some(letters) = letters else { continue };
            if let Some(window) = self.cut(&letters, reverse)? {
                return Ok(window);
            }
        }
        Err(WindowsError::TooFewTokens { attempts: ATTEMPTS, tokens: self.tokens })
    }

    /// The end of the region of known bases that `window` lies in.
    fn limit(&self, window: Region) -> u32 {
        let regions = self.regions.regions();
        let after =
            regions.partition_point(|region| (region.contig, region.start) <= (window.contig, window.start));
        regions[after - 1].end
    }

    fn cut(&self, letters: &[u8], reverse: bool) -> Result<Option<Window>, TokenizerError> {
        let mut bases = letters.to_ascii_uppercase();
        let mut masked: Vec<bool> = letters.iter().map(u8::is_ascii_lowercase).collect();
        if reverse {
            bases = reverse_complement(&bases);
            masked.reverse();
        }
        let all = self.tokenizer.encode(&bases)?;
        let content = all.content();
        if content.len() < self.tokens as usize {
            return Ok(None);
        }
        let kept = content.start..content.start + self.tokens as usize;
        let mut window = Window { ids: all.ids[..kept.end].to_vec(), weights: vec![0.0; kept.start] };
        for span in &all.spans[kept] {
            let repeats = masked[span.start as usize..span.end as usize].iter().filter(|masked| **masked);
            let share = repeats.count() as f32 / span.len() as f32;
            window.weights.push(1.0 - share * (1.0 - self.repeat_weight));
        }
        window.ids.extend_from_slice(&all.ids[content.end..]);
        window.weights.resize(window.ids.len(), 0.0);
        Ok(Some(window))
    }
}

/// Bases that are cut for each token of a window.
fn bases_per_token(tokenizer: &Tokenizer) -> u32 {
    match tokenizer.kind() {
        TokenizerKind::Kmer(length) => length,
        TokenizerKind::Base => 1,
        TokenizerKind::Bpe => BASES_PER_PAIR_TOKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::{KmerTokenizer, SpecialOrder};

    #[test]
    fn windows_are_of_one_length_and_repeats_weigh_less() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.fa");
        std::fs::write(&file, ">a\nACGTACacgtNACG\n").expect("written");
        let genome = Genome::read(&[file]).expect("a genome");
        let regions = KnownRegions::new(&genome, &[], &[]);
        let tokenizer = Tokenizer::Kmer(KmerTokenizer::new(2, SpecialOrder::First).expect("two"));
        let windows = Windows::new(&genome, &regions, None, &tokenizer, 5, 0.25).expect("windows");
        let (mut seen, mut random) = (Vec::new(), Random::new(9));
        for _ in 0..50 {
            let window = windows.draw(&mut random).expect("a window");
            assert_eq!((window.ids.len(), window.weights[0]), (6, 0.0));
            seen.push(window.weights[1..].to_vec());
        }
        seen.sort_by(|left, right| left.partial_cmp(right).expect("numbers"));
        seen.dedup();
        assert_eq!(seen, [[0.25, 0.25, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.25, 0.25]]);
        assert!(Windows::new(&genome, &regions, None, &tokenizer, 6, 1.0).is_err());
    }
}
