//! How often tokens stand side by side, and which pairs are merged next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::Token;
use super::pass::Changes;

/// A token and the one to its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pair(pub(super) Token, pub(super) Token);

impl Pair {
    /// Whether an occurrence of one can share a token with an occurrence of the other, as the end of one and
    /// the start of the other.
    fn touches(self, other: Self) -> bool {
        self.0 == other.1 || self.1 == other.0
    }
}

/// A pair seen once is not a pair to learn from.
const LEAST: u64 = 2;

/// The counts of all pairs that are seen often enough.
///
/// The count of a pair never rises after the pass that made its younger token: merging other tokens brings no
/// two of the old ones together. So rare pairs can be forgotten when there are too many, and the others are
/// still exact; should the frequent ones run out, all are counted again.
pub(super) struct Pairs {
    counts: HashMap<Pair, u64>,
    /// The pairs by count; an entry whose count has fallen since is corrected when it comes up.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
    /// Every pair seen as often as this is counted.
    floor: u64,
    /// Counts to keep.
    kept: usize,
    /// The longest token, in bases.
    longest: u32,
    counted: bool,
}

impl Pairs {
    /// No counts yet. At most `kept` are held at a time, and pairs of more than `longest` bases are not.
    pub(super) fn new(kept: usize, longest: Option<u32>) -> Self {
        Self {
            counts: HashMap::new(),
            queue: BinaryHeap::new(),
            floor: LEAST,
            kept,
            longest: longest.unwrap_or(u32::MAX),
            counted: false,
        }
    }

    /// Whether the corpus must be counted (again) to find more pairs.
    pub(super) fn needs_count(&self) -> bool {
        !self.counted || self.floor > LEAST
    }

    /// Takes over the counts of the whole corpus.
    pub(super) fn recount(&mut self, found: Changes, lengths: &[u32]) {
        // What was forgotten was needed after all: more is kept from now on.
        if self.counted {
            self.kept = self.kept.max(found.len()).saturating_mul(2);
        }
        (self.counted, self.floor) = (true, LEAST);
        self.counts.clear();
        self.queue.clear();
        self.apply(found, lengths);
    }

    /// Changes the counts by what a pass changed in the corpus.
    pub(super) fn apply(&mut self, changes: Changes, lengths: &[u32]) {
        let length = |token: Token| lengths[token as usize];
        for (pair, change) in changes {
            if let Some(count) = self.counts.get_mut(&pair) {
                *count = count.saturating_add_signed(change);
                if *count < self.floor {
                    self.counts.remove(&pair);
                }
            } else if let Ok(count) = u64::try_from(change)
                && count >= self.floor
                && length(pair.0) + length(pair.1) <= self.longest
            {
                self.counts.insert(pair, count);
                self.queue.push((count, Reverse(pair)));
            }
        }
        if self.counts.len() > self.kept {
            self.forget();
        }
    }

    /// Forgets the rarer half, and the pairs that are as frequent as the last of it.
    fn forget(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let middle = counts.len() / 2;
        self.floor = *counts.select_nth_unstable(middle).1 + 1;
        self.counts.retain(|_, count| *count >= self.floor);
        self.counts.shrink_to_fit();
        self.queue = self.counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
    }

    /// The next merges in their order, `most` at the most: as many as one pass can make and still give what
    /// one merge after the other gives. Empty when no pair is frequent enough.
    ///
    /// Merging (a, b) lowers counts of old pairs (x, a) and (b, y) only, which touch it, and makes new pairs
    /// with the new token, none more frequent than one of those: (x, ab) stands where (x, a) stood. So as long
    /// as no pair taken touches one that is as frequent as the next candidate, nothing can come between; and
    /// since candidates come in falling order, it is enough to stop at the first that touches one taken.
    /// Among pairs of one count a new pair could tie, so there the whole tie is looked at.
    pub(super) fn next_batch(&mut self, most: usize) -> Vec<Pair> {
        let mut taken = Vec::new();
        let (mut firsts, mut seconds) = (HashSet::new(), HashSet::new());
        loop {
            let (count, tied) = self.pop_tied();
            let touched = tied.iter().any(|pair| seconds.contains(&pair.0) || firsts.contains(&pair.1));
            let (mut used, mut ended) = (0, tied.is_empty() || touched);
            while !ended && used < tied.len() {
                let pair = tied[used];
                used += 1;
                taken.push(pair);
                firsts.insert(pair.0);
                seconds.insert(pair.1);
                // (a, a) touches itself.
                ended = taken.len() == most || tied.iter().any(|other| other.touches(pair));
            }
            self.queue.extend(tied[used..].iter().map(|pair| (count, Reverse(*pair))));
            if ended {
                return taken;
            }
        }
    }

    /// Takes all pairs of the greatest count out of the queue, by rising ids.
    fn pop_tied(&mut self) -> (u64, Vec<Pair>) {
        let (mut greatest, mut tied) = (0, Vec::new());
        while let Some((count, Reverse(pair))) = self.queue.peek().copied() {
            let now = self.counts.get(&pair).copied().unwrap_or(0);
            if now == count && count < greatest {
                break;
            }
            self.queue.pop();
            if now == count {
                greatest = count;
                tied.push(pair);
            } else if now > 0 {
                self.queue.push((now, Reverse(pair)));
            }
        }
        (greatest, tied)
    }
}
