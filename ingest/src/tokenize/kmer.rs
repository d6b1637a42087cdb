//! Fixed-length words, as Nucleotide Transformer reads DNA: `<cls>`, then every N-free stretch in
//! words of k bases from its left end and single bases for the rest; every N is a token of its own.
//!
//! The vocabulary is a rule, not data: the words are the product of A, T, C, G in this order.

use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use super::{TokenizerError, Tokens, read_vocabulary};
use crate::convert::{from_dimension, narrow};

/// The bases in the order in which the vocabulary counts them.
const ORDER: [u8; 4] = *b"ATCG";
const CLASS: i64 = 3;
const MASK: i64 = 2;

/// Where `<eos>` and `<bos>` stand in the vocabulary; it shifts the ids of all words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialOrder {
    /// Last, beyond the model's embedding rows (Nucleotide Transformer v1).
    Last,
    /// Before the words (Nucleotide Transformer v2).
    First,
}

impl SpecialOrder {
    fn first_word(self) -> i64 {
        match self {
            Self::Last => 4,
            Self::First => 6,
        }
    }
}

/// Cuts DNA into words of k bases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmerTokenizer {
    word_length: u32,
    words: i64,
    order: SpecialOrder,
    /// Rank of a byte in [`ORDER`]; 4 for N, 255 for anything else.
    rank: [u8; 256],
}

impl KmerTokenizer {
    /// The tokenizer of words of `word_length` bases (1 to 10).
    #[must_use]
    pub fn new(word_length: u32, order: SpecialOrder) -> Option<Self> {
        if !(1..=10).contains(&word_length) {
            return None;
        }
        let mut rank = [u8::MAX; 256];
        for (place, base) in (0..).zip(ORDER) {
            rank[usize::from(base)] = place;
        }
        rank[usize::from(b'N')] = 4;
        Some(Self { word_length, words: 4_i64.pow(word_length), order, rank })
    }

    /// The tokenizer of an embedding table of `rows` rows: the word length follows from the count.
    #[must_use]
    pub fn of_rows(rows: u32, order: SpecialOrder) -> Option<Self> {
        (1..=10).filter_map(|length| Self::new(length, order)).find(|made| made.embedded() == i64::from(rows))
    }

    /// The tokenizer that `vocab.txt` describes. The file must spell the rule's vocabulary.
    ///
    /// # Errors
    /// When the file is unreadable or any line differs from the rule.
    pub fn from_vocabulary(file: &Path) -> Result<Self, TokenizerError> {
        let lines = read_vocabulary(file)?;
        let malformed = |reason: String| TokenizerError::Malformed { file: file.to_owned(), reason };
        let order = if lines.get(4).is_some_and(|line| line == "<eos>") {
            SpecialOrder::First
        } else {
            SpecialOrder::Last
        };
        let length = lines.get(from_dimension(order.first_word())).map_or(0, String::len);
        let made = u32::try_from(length).ok().and_then(|length| Self::new(length, order));
        let made =
            made.ok_or_else(|| malformed("no words of 1 to 10 bases after the special tokens".to_owned()))?;
        let expected = made.vocabulary();
        let differs = |id: &usize| lines.get(*id) != expected.get(*id);
        // The two trailing tokens have no embedding row and may be left out.
        let kept = lines.len().max(from_dimension(made.embedded())).min(expected.len().max(lines.len()));
        match (0..kept).find(differs) {
            None => Ok(made),
            Some(id) => {
                let shown =
                    |list: &[String]| list.get(id).map_or("nothing".to_owned(), |text| format!("`{text}`"));
                let (found, wanted) = (shown(&lines), shown(&expected));
                Err(malformed(format!("line {} is {found} where {wanted} belongs", id + 1)))
            }
        }
    }

    fn embedded(&self) -> i64 {
        self.order.first_word() + self.words + 5
    }

    fn vocabulary(&self) -> Vec<String> {
        let ends = ["<eos>".to_owned(), "<bos>".to_owned()];
        let mut tokens: Vec<String> = ["<unk>", "<pad>", "<mask>", "<cls>"].map(str::to_owned).to_vec();
        if self.order == SpecialOrder::First {
            tokens.extend(ends.clone());
        }
        tokens.extend((0..self.words).map(|word| {
            let digit = |place| ORDER[from_dimension(word / 4_i64.pow(place) % 4)] as char;
            (0..self.word_length).rev().map(digit).collect()
        }));
        tokens.extend(["A", "T", "C", "G", "N"].map(str::to_owned));
        if self.order == SpecialOrder::Last {
            tokens.extend(ends);
        }
        tokens
    }

    /// `window` as tokens; bytes other than ACGTN count as N.
    #[must_use]
    pub fn encode(&self, window: &[u8]) -> Tokens {
        let k = self.word_length as usize;
        let (first, single) = (self.order.first_word(), self.order.first_word() + self.words);
        let mut tokens = Tokens { ids: vec![CLASS], spans: Vec::with_capacity(window.len() / k + k + 1) };
        tokens.spans.push(0..0);
        let mut push = |id, span: Range<usize>| {
            tokens.ids.push(id);
            tokens.spans.push(narrow(span.start)..narrow(span.end));
        };
        let mut at = 0;
        while at < window.len() {
            let rank = self.rank[usize::from(window[at])].min(4);
            let word = window.get(at..at + k).and_then(|word| self.word(word));
            if let Some(word) = word {
                push(first + word, at..at + k);
                at += k;
                continue;
            }
            // Shorter than a word up to the next N or the end: single bases, and N itself.
            push(single + i64::from(rank), at..at + 1);
            at += 1;
        }
        tokens
    }

    fn word(&self, bases: &[u8]) -> Option<i64> {
        let digit = |word: i64, base: &u8| match self.rank[usize::from(*base)] {
            rank @ 0..4 => Some(word * 4 + i64::from(rank)),
            _ => None,
        };
        bases.iter().try_fold(0, digit)
    }

    pub(super) fn mask_id(&self) -> i64 {
        debug_assert!(self.words > 0);
        MASK
    }

    pub(super) fn replaced(&self, token: i64, offset: u32, base: u8) -> Option<i64> {
        let (first, single) = (self.order.first_word(), self.order.first_word() + self.words);
        let rank = i64::from(self.rank[usize::from(base)]);
        if rank > 3 {
            return None;
        }
        if (single..single + 4).contains(&token) {
            return (offset == 0).then_some(single + rank);
        }
        if !(first..single).contains(&token) || offset >= self.word_length {
            return None;
        }
        let weight = 4_i64.pow(self.word_length - 1 - offset);
        let old = (token - first) / weight % 4;
        Some(token + (rank - old) * weight)
    }

    pub(super) fn words(&self) -> Vec<i64> {
        (self.order.first_word()..self.order.first_word() + self.words).collect()
    }

    pub(super) fn word_length(&self) -> u32 {
        self.word_length
    }

    /// Tokens that have an embedding row.
    pub(super) fn vocabulary_size(&self) -> u32 {
        narrow(from_dimension(self.embedded()))
    }

    pub(super) fn identity(&self) -> Value {
        let order = match self.order {
            SpecialOrder::Last => "last",
            SpecialOrder::First => "first",
        };
        json!({ "kind": "kmer", "word_length": self.word_length, "bases": "ATCGN", "special": order,
                "start": "<cls>", "end": null, "frame": "restarts after N" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2() -> KmerTokenizer {
        KmerTokenizer::new(6, SpecialOrder::First).expect("six")
    }

    #[test]
    fn both_id_spaces_have_their_published_sizes() {
        assert_eq!(v2().vocabulary_size(), 4107);
        let v1 = KmerTokenizer::of_rows(4105, SpecialOrder::Last).expect("v1");
        assert_eq!((v1.word_length(), v1.vocabulary().len()), (6, 4107));
        assert_eq!(KmerTokenizer::of_rows(75, SpecialOrder::First).expect("3-mers").word_length(), 3);
        assert!(KmerTokenizer::of_rows(4106, SpecialOrder::First).is_none());
    }

    #[test]
    fn the_frame_restarts_after_n() {
        let tokens = v2().encode(b"AAAAAAANTTTTTTC");
        // Words from 6, A T C G N from 4102; TTTTTT is 1365 in base 4.
        assert_eq!(tokens.ids, [3, 6, 4102, 4106, 6 + 1365, 4104]);
        assert_eq!(tokens.spans, [0..0, 0..6, 6..7, 7..8, 8..14, 14..15]);
        assert_eq!(tokens.content(), 1..6);
        assert_eq!((tokens.token_at(0), tokens.token_at(13), tokens.token_at(15)), (Some(1), Some(4), None));
    }

    #[test]
    fn a_short_piece_before_n_is_cut_into_single_bases() {
        let tokens = v2().encode(b"ACGNACGTAC");
        assert_eq!(tokens.ids.len(), 1 + 3 + 1 + 1);
        assert_eq!(tokens.spans[1..], [0..1, 1..2, 2..3, 3..4, 4..10]);
    }

    #[test]
    fn replacing_a_base_gives_the_token_of_the_changed_word() {
        let tokenizer = v2();
        let word = b"GATTAC";
        let token = tokenizer.encode(word).ids[1];
        for offset in 0..6 {
            for base in *b"ACGT" {
                let mut changed = *word;
                changed[offset as usize] = base;
                assert_eq!(tokenizer.replaced(token, offset, base), Some(tokenizer.encode(&changed).ids[1]));
            }
        }
        assert_eq!(tokenizer.replaced(4102, 0, b'G'), Some(4105));
        for (token, offset, base) in
            [(4102, 1, b'G'), (4106, 0, b'A'), (3, 0, b'A'), (token, 6, b'A'), (token, 0, b'N')]
        {
            assert_eq!(tokenizer.replaced(token, offset, base), None);
        }
    }

    #[test]
    fn a_vocabulary_that_breaks_the_rule_is_refused_with_its_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("vocab.txt");
        for order in [SpecialOrder::First, SpecialOrder::Last] {
            let made = KmerTokenizer::new(3, order).expect("three");
            let mut lines = made.vocabulary();
            std::fs::write(&file, lines.join("\n")).expect("written");
            assert_eq!(KmerTokenizer::from_vocabulary(&file).expect("the rule"), made);
            std::fs::write(&file, format!("\u{feff}{}", lines.join("\n"))).expect("written");
            assert_eq!(KmerTokenizer::from_vocabulary(&file).expect("a byte order mark"), made);
            std::fs::write(&file, lines[..made.embedded() as usize].join("\n")).expect("written");
            assert_eq!(KmerTokenizer::from_vocabulary(&file).expect("without the unused"), made);
            lines.swap(10, 11);
            std::fs::write(&file, lines.join("\n")).expect("written");
            let error = KmerTokenizer::from_vocabulary(&file).expect_err("swapped").to_string();
            assert!(error.contains("line 11"), "{error}");
        }
        std::fs::write(&file, "A\nB\n").expect("written");
        assert!(KmerTokenizer::from_vocabulary(&file).is_err());
    }
}
