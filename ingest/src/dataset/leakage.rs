//! What of one split a model has seen in another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vestore_schema::{Assembly, Variant};

use super::{DatasetInput, Split};

/// Examples that are kept of a pair of splits.
const EXAMPLES: usize = 5;

/// What two splits have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitPair {
    /// The splits.
    pub splits: [Split; 2],
    /// Different inputs that stand in both.
    pub shared: u64,
    /// For each of the two, its different variants whose window overlaps that of another variant, one of the other
    /// split.
    pub overlapping: [u64; 2],
    /// The first of them, as people write them; sequences by their first bases.
    pub examples: Vec<String>,
}

/// What the splits of a dataset have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leakage {
    /// Length of windows in bases.
    pub window: u32,
    /// Pairs of splits that have something in common.
    pub pairs: Vec<SplitPair>,
}

impl Leakage {
    /// What the inputs of different splits have in common, with windows of `window` bases as scoring cuts them.
    #[must_use]
    pub fn find(all: &[DatasetInput], splits: &[Split], assembly: &Assembly, window: u32) -> Self {
        let mut inputs: [BTreeSet<&DatasetInput>; 3] = Default::default();
        for (input, split) in all.iter().zip(splits) {
            inputs[*split as usize].insert(input);
        }
        // Starts of windows, and how many different variants have them.
        let starts: [BTreeMap<(u32, u32), u64>; 3] = std::array::from_fn(|split| {
            let mut starts = BTreeMap::new();
            for input in &inputs[split] {
                if let DatasetInput::Variant(variant) = input {
                    let key = (variant.contig, start(variant, window, assembly));
                    *starts.entry(key).or_default() += 1;
                }
            }
            starts
        });
        let overlaps = |input: &DatasetInput, other: Split| {
            let (DatasetInput::Variant(variant), Some(reach)) = (input, window.checked_sub(1)) else {
                return false;
            };
            let start = start(variant, window, assembly);
            let around =
                (variant.contig, start.saturating_sub(reach))..=(variant.contig, start.saturating_add(reach));
            let itself = u64::from(inputs[other as usize].contains(input));
            // Two starts tell more than what stands there once itself.
            starts[other as usize].range(around).map(|(_, count)| count).take(2).sum::<u64>() > itself
        };
        let mut pairs = Vec::new();
        for splits in [
            [Split::Training, Split::Validation],
            [Split::Training, Split::Test],
            [Split::Validation, Split::Test],
        ] {
            let [a, b] = splits;
            let mut pair = SplitPair { splits, shared: 0, overlapping: [0, 0], examples: Vec::new() };
            let mut examples = BTreeSet::new();
            let mut note = |input| {
                if examples.len() < EXAMPLES {
                    examples.insert(input);
                }
            };
            for input in inputs[a as usize].intersection(&inputs[b as usize]) {
                pair.shared += 1;
                note(*input);
            }
            for (place, (from, to)) in [(b, a), (a, b)].into_iter().enumerate() {
                for input in inputs[from as usize].iter().filter(|input| overlaps(input, to)) {
                    pair.overlapping[1 - place] += 1;
                    note(*input);
                }
            }
            if pair.shared > 0 || pair.overlapping != [0, 0] {
                pair.examples = examples.into_iter().map(|input| shown(input, assembly)).collect();
                pairs.push(pair);
            }
        }
        Self { window, pairs }
    }

    /// Whether no split has anything in common with another one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl fmt::Display for Leakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pairs.is_empty() {
            return f.write_str("no input or window lies in two splits");
        }
        f.write_str("splits have windows or inputs in common, so figures may be better than on new DNA")?;
        for pair in &self.pairs {
            let [a, b] = pair.splits;
            write!(f, "\n  {a} and {b}:")?;
            if pair.shared > 0 {
                write!(f, " {} inputs stand in both;", pair.shared)?;
            }
            if pair.overlapping != [0, 0] {
                let [of_a, of_b] = pair.overlapping;
                write!(f, " windows of {} bases overlap, {of_a} of {a} and {of_b} of {b};", self.window)?;
            }
            if let Some(example) = pair.examples.first() {
                write!(f, " such as {example}")?;
            }
        }
        Ok(())
    }
}

/// Where the window of a variant lies.
fn start(variant: &Variant, window: u32, assembly: &Assembly) -> u32 {
    let latest = assembly.contig(variant.contig).length.saturating_sub(window);
    variant.position.zero_based().saturating_sub(window / 2).min(latest)
}

fn shown(input: &DatasetInput, assembly: &Assembly) -> String {
    match input {
        DatasetInput::Variant(variant) => variant.display(assembly).to_string(),
        DatasetInput::Sequence(bases) => {
            let beginning = String::from_utf8_lossy(&bases[..bases.len().min(20)]).into_owned();
            if bases.len() > 20 { beginning + "..." } else { beginning }
        }
    }
}
