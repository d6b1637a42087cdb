//! Effects at full width, for `make bench-effects`: 7,611 targets, with numbers drawn from a seed.
//!
//! `effects layout FOLDER VARIANTS LAYOUT …` compares layouts, `columns/PAGE/LEVEL` (a column per target) or
//! `lists/WIDTH/PAGE/LEVEL` (lists of WIDTH targets), with PAGE rows a page and zstd of LEVEL. It writes a file each and
//! prints its bytes and milliseconds, the best of seven: to open it, to read one variant, and to read one target of
//! 10,000 variants.
//!
//! `effects store FOLDER VARIANTS` makes a store with a track `t` of so many variants, and compacts it.

mod layout;
mod store;

use std::error::Error;
use std::path::Path;

/// Of the human table of Borzoi.
const TARGETS: usize = 7611;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Numbers as effects are: normal, on a scale of the variant's and one of the target's. `SplitMix64` and sums of uniforms.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 40) as f32 / 16_777_216.0
    }

    pub(crate) fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.uniform() - 0.5).sum::<f32>() * 1.732
    }
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["layout", folder, rows, ..] => layout::compare(Path::new(folder), rows.parse()?, &words[3..]),
        ["store", folder, rows] => store::fill(Path::new(folder), rows.parse()?),
        _ => Err("usage: effects layout FOLDER VARIANTS LAYOUT ... | effects store FOLDER VARIANTS".into()),
    }
}
