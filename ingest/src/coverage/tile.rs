//! Windows side by side along the reference, by contig or at random for training, validation and testing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use vestore::Reference;
use vestore_schema::{Assembly, Region};

use super::error::CoverageError;
use super::sequences::{MOST_WINDOWS, Sequence, Sequences};
use crate::convert::{as_index, whole};
use crate::dataset::Split;
use crate::random::Random;

/// Windows of a block that is drawn for one split as a whole.
const BLOCK_WINDOWS: u64 = 4;

/// How windows are laid and split.
#[derive(Clone, Debug, PartialEq)]
pub struct TileOptions {
    /// Bases of a window.
    pub window: u32,
    /// Bases from the start of a window to that of the next.
    pub stride: u32,
    /// Contigs that windows are laid on, besides those for validation and testing; all where empty.
    pub contigs: Vec<String>,
    /// Contigs for validation.
    pub validation: Vec<String>,
    /// Contigs for testing.
    pub test: Vec<String>,
    /// Splits what is on other contigs, which else is for training.
    pub random: Option<RandomSplit>,
}

/// Shares of the genome, in blocks of four windows, that are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomSplit {
    /// For validation.
    pub validation: f64,
    /// For testing.
    pub test: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Sequences {
    /// Lays windows from the start of every contig. Left out and counted are windows of which more than half the bases
    /// are unknown, and those across the border of two splits.
    ///
    /// # Errors
    /// A contig is unknown or named for two splits, an option is out of its range, a split that is asked for has no
    /// windows, or the reference cannot be read.
    pub fn tile(
        options: &TileOptions,
        assembly: &Assembly,
        reference: &mut Reference,
        interrupted: &AtomicBool,
    ) -> Result<Self, CoverageError> {
        let TileOptions { window, stride, .. } = *options;
        for (setting, value) in [("window", window), ("stride", stride)] {
            if value == 0 {
                let expected = "a number of bases".to_owned();
                return Err(CoverageError::Setting { setting, value: value.to_string(), expected });
            }
        }
        let mut splits = Splits::new(options, assembly)?;
        let mut tiled = Self { windows: Vec::new(), window, unknown: 0, across: 0, short: 0 };
        let (mut known, mut bases) = (Vec::new(), Vec::new());
        for (contig, length) in (0..).zip(assembly.contigs.iter().map(|contig| contig.length)) {
            if !splits.takes(contig) {
                continue;
            }
            let Some(last) = length.checked_sub(window) else {
                tiled.short += 1;
                continue;
            };
            for start in (0..=last).step_by(as_index(stride.into())) {
                if interrupted.load(Ordering::Relaxed) {
                    return Err(CoverageError::Interrupted);
                }
                let region = Region { contig, start, end: start + window };
                reference.fetch_into(region, &mut bases)?;
                if 2 * bases.iter().filter(|base| b"ACGT".contains(base)).count() < bases.len() {
                    tiled.unknown += 1;
                } else if known.len() == MOST_WINDOWS {
                    let expected = format!("a stride that makes at most {MOST_WINDOWS} windows");
                    let value = stride.to_string();
                    return Err(CoverageError::Setting { setting: "stride", value, expected });
                } else {
                    known.push(region);
                }
            }
        }
        splits.draw(options.random, &known)?;
        for region in known {
            match splits.of(region) {
                Some(split) => tiled.windows.push(Sequence {
                    contig: as_index(region.contig.into()),
                    start: region.start.into(),
                    split,
                }),
                None => tiled.across += 1,
            }
        }
        let random = |share: fn(&RandomSplit) -> f64| options.random.as_ref().map_or(0.0, share);
        let wanted = [
            (Split::Training, true),
            (Split::Validation, !options.validation.is_empty() || random(|random| random.validation) > 0.0),
            (Split::Test, !options.test.is_empty() || random(|random| random.test) > 0.0),
        ];
        for (split, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            tiled.check_split(
                split,
                "use shorter windows, or name contigs or windows of each split (--validation, --test, --sequences)",
            )?;
        }
        Ok(tiled)
    }
}

/// The contig of a name.
fn resolved(assembly: &Assembly, setting: &'static str, name: &str) -> Result<u32, CoverageError> {
    assembly.resolve(name).ok_or_else(|| {
        let expected = format!("a contig of the reference, such as {}", assembly.near(name).join(", "));
        CoverageError::Setting { setting, value: name.to_owned(), expected }
    })
}

/// The split of each base of the genome.
struct Splits {
    /// The contigs that windows are laid on; none for all.
    taken: Option<BTreeSet<u32>>,
    /// Those of one split.
    contigs: BTreeMap<u32, Split>,
    /// Bases of a block.
    block: u64,
    /// Splits that blocks were drawn for, by contig and number; the others are for training.
    drawn: BTreeMap<(u32, u64), Split>,
}

impl Splits {
    fn new(options: &TileOptions, assembly: &Assembly) -> Result<Self, CoverageError> {
        let mut contigs = BTreeMap::new();
        for (setting, names, split) in [
            ("validation contig", &options.validation, Split::Validation),
            ("test contig", &options.test, Split::Test),
        ] {
            for name in names {
                let contig = resolved(assembly, setting, name)?;
                if contigs.insert(contig, split).is_some_and(|earlier| earlier != split) {
                    let expected = "contigs that are not for validation too".to_owned();
                    return Err(CoverageError::Setting { setting, value: name.clone(), expected });
                }
            }
        }
        let named = options.contigs.iter().map(|name| resolved(assembly, "contig", name));
        let mut taken = named.collect::<Result<BTreeSet<u32>, CoverageError>>()?;
        if !taken.is_empty() {
            taken.extend(contigs.keys());
        }
        let taken = (!taken.is_empty()).then_some(taken);
        let block = u64::from(options.window) * BLOCK_WINDOWS;
        Ok(Self { taken, contigs, block, drawn: BTreeMap::new() })
    }

    /// Draws blocks of the windows `known` that are on contigs of no split.
    fn draw(&mut self, random: Option<RandomSplit>, known: &[Region]) -> Result<(), CoverageError> {
        let Some(RandomSplit { validation, test, seed }) = random else { return Ok(()) };
        // Also false for NaN.
        let sane = validation >= 0.0 && test >= 0.0 && validation + test < 1.0;
        if !sane {
            return Err(CoverageError::Setting {
                setting: "split shares",
                value: format!("{validation} and {test}"),
                expected: "shares from 0, together less than 1".to_owned(),
            });
        }
        let free = known.iter().filter(|region| !self.contigs.contains_key(&region.contig));
        let blocks = free.map(|region| (region.contig, u64::from(region.start) / self.block));
        let mut blocks: Vec<(u32, u64)> = blocks.collect::<BTreeSet<_>>().into_iter().collect();
        let total = blocks.len() as f64;
        Random::of(&[seed]).shuffle(&mut blocks);
        let mut blocks = blocks.into_iter();
        for (split, share) in [(Split::Test, test), (Split::Validation, validation)] {
            let count = as_index(whole((share * total).round()));
            self.drawn.extend(blocks.by_ref().take(count).map(|block| (block, split)));
        }
        Ok(())
    }

    /// Whether windows are laid on a contig.
    fn takes(&self, contig: u32) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.contains(&contig))
    }

    /// The split of a region; none where it has several.
    fn of(&self, region: Region) -> Option<Split> {
        if let Some(split) = self.contigs.get(&region.contig) {
            return Some(*split);
        }
        let block = |base: u32| u64::from(base) / self.block;
        let split = |block| self.drawn.get(&(region.contig, block)).copied().unwrap_or(Split::Training);
        let first = split(block(region.start));
        (block(region.start)..=block(region.end - 1)).all(|block| split(block) == first).then_some(first)
    }
}
