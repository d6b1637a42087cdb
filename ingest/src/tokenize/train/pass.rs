//! One pass: merges of a batch are made from the start of the corpus to its end, and what that changes in the
//! counts of pairs is told.

use std::collections::HashMap;

use rayon::prelude::*;

use super::pairs::Pair;
use super::{BREAK, Token};
use crate::convert::narrow;

/// By how much the counts of pairs change.
pub(super) type Changes = HashMap<Pair, i64>;

/// A stretch of tokens that is worth a thread.
const WORTH_A_THREAD: usize = 1 << 16;

/// The merges of one pass; no two can touch.
pub(super) struct Batch {
    /// Where the merges of each left token begin among `merges`; one more at the end.
    starts: Vec<u32>,
    /// Right token and what the pair becomes, by left token.
    merges: Vec<(Token, Token)>,
}

impl Batch {
    /// The merges of `pairs`, which become the last of `tokens` tokens in their order.
    pub(super) fn new(pairs: &[Pair], tokens: usize) -> Self {
        let first = tokens - pairs.len();
        let mut merges: Vec<(Pair, Token)> =
            pairs.iter().enumerate().map(|(at, pair)| (*pair, narrow(first + at))).collect();
        merges.sort_unstable();
        let mut starts = vec![0; tokens + 1];
        for (Pair(left, _), _) in &merges {
            starts[*left as usize + 1] += 1;
        }
        for token in 0..tokens {
            starts[token + 1] += starts[token];
        }
        Self { starts, merges: merges.into_iter().map(|(pair, merged)| (pair.1, merged)).collect() }
    }

    /// What `left` and `right` become.
    fn merged(&self, left: Token, right: Token) -> Option<Token> {
        let (start, end) = (self.starts[left as usize], self.starts[left as usize + 1]);
        let merges = &self.merges[start as usize..end as usize];
        merges.iter().find(|(wanted, _)| *wanted == right).map(|(_, merged)| *merged)
    }
}

/// Adds to the count of a pair, unless a word ends between the two.
fn add(changes: &mut Changes, left: Token, right: Token, change: i64) {
    if left != BREAK && right != BREAK {
        *changes.entry(Pair(left, right)).or_default() += change;
    }
}

/// The pairs of a corpus, counted stretch by stretch.
pub(super) struct Count {
    last: Token,
    pub(super) found: Changes,
}

impl Count {
    pub(super) fn new() -> Self {
        Self { last: BREAK, found: Changes::new() }
    }

    /// Counts the next stretch.
    pub(super) fn stretch(&mut self, tokens: &[Token]) {
        for token in tokens {
            add(&mut self.found, self.last, *token, 1);
            self.last = *token;
        }
    }
}

/// The end of the stretch before: the token that the next stretch may still join.
#[derive(Clone, Copy)]
struct Carried {
    token: Token,
    /// What stood there before this pass: what is counted as the left neighbour of the next stretch.
    was: Token,
    /// The token before it.
    before: Token,
}

/// A pass in the making. Stretches come in the order of the corpus and give what one long stretch would.
pub(super) struct Pass<'a> {
    batch: &'a Batch,
    carried: Option<Carried>,
    pub(super) changes: Changes,
}

impl<'a> Pass<'a> {
    pub(super) fn new(batch: &'a Batch) -> Self {
        Self { batch, carried: None, changes: Changes::new() }
    }

    /// Makes the merges in the next stretch. It gets the last token of the one before, and gives up its own
    /// last one unless the corpus ends with it.
    pub(super) fn stretch(&mut self, tokens: &mut Vec<Token>, is_last: bool) {
        let Some(was) = tokens.last().copied() else {
            if is_last {
                tokens.extend(self.carried.take().map(|carried| carried.token));
            }
            return;
        };
        let carried = self.carried.take();
        if let Some(Carried { token, was, .. }) = carried {
            add(&mut self.changes, was, tokens[0], -1);
            add(&mut self.changes, token, tokens[0], 1);
            tokens.insert(0, token);
        }
        self.rewrite(tokens);
        let before = carried.map_or(BREAK, |carried| carried.before);
        if let Some(carried) = carried {
            add(&mut self.changes, before, carried.token, -1);
            add(&mut self.changes, before, tokens[0], 1);
        }
        if !is_last && let Some(token) = tokens.pop() {
            self.carried = Some(Carried { token, was, before: tokens.last().copied().unwrap_or(before) });
        }
    }

    /// Makes the merges from left to right, in parts that no merge spans, and closes the gaps.
    fn rewrite(&mut self, tokens: &mut Vec<Token>) {
        let batch = self.batch;
        let parts = (tokens.len() / WORTH_A_THREAD).clamp(1, rayon::current_num_threads());
        let (mut slices, mut rest) = (Vec::with_capacity(parts), &mut tokens[..]);
        for left in (1..=parts).rev() {
            let mut cut = rest.len() / left;
            while (1..rest.len()).contains(&cut) && batch.merged(rest[cut - 1], rest[cut]).is_some() {
                cut += 1;
            }
            let (slice, after) = rest.split_at_mut(cut);
            slices.push(slice);
            rest = after;
        }
        let done: Vec<Part> = slices
            .into_par_iter()
            .filter(|slice| !slice.is_empty())
            .map(|slice| {
                let (was, ends) = (slice.len(), [slice[0], slice[slice.len() - 1]]);
                let mut changes = Changes::new();
                let is = rewrite_part(slice, batch, &mut changes);
                Part { was, is, ends, changes }
            })
            .collect();
        let (mut from, mut to, mut last) = (0, 0, BREAK);
        for part in done {
            add(&mut self.changes, last, part.ends[0], -1);
            if to > 0 {
                add(&mut self.changes, tokens[to - 1], tokens[from], 1);
            }
            for (pair, change) in part.changes {
                *self.changes.entry(pair).or_default() += change;
            }
            tokens.copy_within(from..from + part.is, to);
            (from, to, last) = (from + part.was, to + part.is, part.ends[1]);
        }
        tokens.truncate(to);
    }
}

/// A part of a stretch after its merges.
struct Part {
    /// Tokens before and after.
    was: usize,
    is: usize,
    /// The first and the last before.
    ends: [Token; 2],
    changes: Changes,
}

/// Makes the merges of a part in its place; gives how many tokens are left. Neighbours of the part's ends are
/// none of its business.
fn rewrite_part(tokens: &mut [Token], batch: &Batch, changes: &mut Changes) -> usize {
    let (mut read, mut write) = (0, 0);
    while read < tokens.len() {
        let token = tokens[read];
        let right = tokens.get(read + 1).copied().unwrap_or(BREAK);
        if let Some(merged) = batch.merged(token, right) {
            // One merge after the other, each in the sequence that the one before left.
            if write > 0 {
                add(changes, tokens[write - 1], token, -1);
                add(changes, tokens[write - 1], merged, 1);
            }
            add(changes, token, right, -1);
            if let Some(after) = tokens.get(read + 2) {
                add(changes, right, *after, -1);
                add(changes, merged, *after, 1);
            }
            tokens[write] = merged;
            read += 2;
        } else {
            tokens[write] = token;
            read += 1;
        }
        write += 1;
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of few tokens, so that pairs of all kinds meet at the borders of stretches.
    fn sequence(length: usize) -> Vec<Token> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [5, 5, 5, 6, 7, BREAK][(state >> 16) as usize % 6]
        };
        (0..length).map(|_| next()).collect()
    }

    fn counted(tokens: &[Token]) -> Changes {
        let mut count = Count::new();
        count.stretch(tokens);
        count.found
    }

    #[test]
    fn stretches_and_threads_give_what_one_long_stretch_gives() {
        for pairs in [&[Pair(5, 5)][..], &[Pair(5, 6), Pair(7, 7)], &[Pair(5, 6), Pair(5, 7)]] {
            let batch = Batch::new(pairs, 9 + pairs.len());
            for (length, sizes) in [(60, 1..8), (400_000, 70_001..70_002), (400_000, 400_000..400_001)] {
                let whole = sequence(length);
                let mut wanted = whole.clone();
                let end = rewrite_part(&mut wanted, &batch, &mut Changes::new());
                wanted.truncate(end);
                for size in sizes {
                    let (mut pass, mut found) = (Pass::new(&batch), Vec::new());
                    let stretches: Vec<&[Token]> = whole.chunks(size).chain([&[][..]]).collect();
                    for (at, stretch) in stretches.iter().enumerate() {
                        let mut stretch = stretch.to_vec();
                        pass.stretch(&mut stretch, at + 1 == stretches.len());
                        found.extend(stretch);
                    }
                    assert_eq!(found, wanted, "{pairs:?} in stretches of {size}");
                    let mut counts = counted(&whole);
                    for (pair, change) in pass.changes {
                        *counts.entry(pair).or_default() += change;
                    }
                    counts.retain(|_, count| *count != 0);
                    assert_eq!(counts, counted(&wanted), "{pairs:?} in stretches of {size}");
                }
            }
        }
    }

    #[test]
    fn threads_part_a_stretch_where_no_pair_is() {
        let batch = Batch::new(&[Pair(5, 6)], 10);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
        for half in WORTH_A_THREAD..WORTH_A_THREAD + 4 {
            let mut tokens: Vec<Token> = [5, 6].into_iter().cycle().take(2 * half).collect();
            let mut pass = Pass::new(&batch);
            pool.install(|| pass.stretch(&mut tokens, true));
            assert_eq!(tokens, vec![9; half]);
            let change = |left, right| pass.changes.get(&Pair(left, right)).copied();
            assert_eq!(change(5, 6), Some(-(half as i64)));
            assert_eq!(change(9, 9), Some(half as i64 - 1));
        }
    }
}
