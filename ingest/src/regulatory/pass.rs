//! What regulatory models read in one pass: a window of the reference, and alternates in it.

use std::sync::Arc;

use super::exons::GeneBins;
use super::options::{Embedded, RegulatoryOptions};
use crate::convert::{dimension, from_dimension};
use crate::seam::{Output, Pass};

/// A window and what is predicted of it.
#[derive(Clone, Debug)]
pub struct RegulatoryPass {
    /// Its place among the passes of its unit: passes share no batch, since each has several windows.
    pub(crate) number: u32,
    /// Upper-case bases of the reference window, N beyond the contig; more on the right where alternates are filled
    /// from the genome.
    pub(crate) bases: Arc<[u8]>,
    /// Bases of a window.
    pub(crate) window: usize,
    pub(crate) strands: usize,
    pub(crate) alternates: Vec<Alternate>,
    /// Genes whose effects are wanted.
    pub(crate) genes: Vec<GeneBins>,
    pub(crate) inputs: Vec<Input>,
    /// By alternate: what is compared, each a prediction of its own.
    pub(crate) comparisons: Vec<Vec<[Side; 2]>>,
    /// By alternate, where embeddings are wanted: what is read of the reference and of it, shift by shift.
    pub(crate) embedded: Vec<[Vec<Bins>; 2]>,
}

/// Some bins of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    pub(crate) input: usize,
    /// The first, and the one after the last.
    pub(crate) range: (i64, i64),
}

/// An alternate allele in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alternate {
    /// Index in the window of its first base.
    pub(crate) at: usize,
    /// Bases of the reference allele.
    pub(crate) reference: usize,
    pub(crate) bases: Arc<[u8]>,
}

impl Alternate {
    /// How much longer it is than the reference allele.
    pub(crate) fn longer(&self) -> i64 {
        dimension(self.bases.len()) - dimension(self.reference)
    }
}

/// One sequence that is read, on each strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// The alternate; none for the reference.
    pub(crate) alternate: Option<usize>,
    /// Bases by which it is shifted; right is positive.
    pub(crate) shift: i64,
}

/// A profile that is compared, made of those of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The mean of these.
    Mean(Vec<usize>),
    /// The left one up to a bin, then the right one.
    Stitch { left: usize, right: usize, bin: i64 },
}

impl Side {
    /// What it is made of.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = usize> {
        match self {
            Self::Mean(inputs) => inputs.clone(),
            Self::Stitch { left, right, .. } => vec![*left, *right],
        }
        .into_iter()
    }
}

impl RegulatoryPass {
    /// The pass of some alternates of a window, with these shifts of it.
    pub(crate) fn new(
        number: u32,
        bases: Arc<[u8]>,
        alternates: Vec<Alternate>,
        shifts: &[i32],
        options: &RegulatoryOptions,
    ) -> Self {
        let mut inputs = Inputs(Vec::new());
        let mut comparisons = vec![Vec::new(); alternates.len()];
        if options.averaged {
            let mut side = |alternate| {
                let inputs = shifts.iter().map(|shift| inputs.place(alternate, (*shift).into())).collect();
                Side::Mean(inputs)
            };
            let reference = side(None);
            for (which, compared) in comparisons.iter_mut().enumerate() {
                compared.push([reference.clone(), side(Some(which))]);
            }
        } else {
            for shift in shifts.iter().copied().map(i64::from) {
                for (which, alternate) in alternates.iter().enumerate() {
                    comparisons[which].extend(compared(&mut inputs, which, alternate, shift, options));
                }
            }
        }
        let embedded = options.embeddings.map_or_else(Vec::new, |embedded| {
            let mut of = |(which, alternate): (usize, &Alternate)| {
                let side = |inputs: &mut Inputs, allele: Option<usize>, length: usize| {
                    let bins = |shift: &i32| Bins {
                        input: inputs.place(allele, (*shift).into()),
                        range: match embedded {
                            Embedded::Window => (0, options.bins_read.into()),
                            Embedded::Allele => bins_at(alternate.at, length, *shift, options),
                        },
                    };
                    shifts.iter().map(bins).collect()
                };
                [
                    side(&mut inputs, None, alternate.reference),
                    side(&mut inputs, Some(which), alternate.bases.len()),
                ]
            };
            alternates.iter().enumerate().map(&mut of).collect()
        });
        Self {
            number,
            bases,
            genes: Vec::new(),
            window: from_dimension(options.window.into()),
            strands: options.strands.count(),
            alternates,
            inputs: inputs.0,
            comparisons,
            embedded,
        }
    }

    /// The sequence of an input as codes: A, C, G, T are 0 to 3, anything else 4.
    pub(crate) fn codes(&self, input: Input) -> Vec<u8> {
        let code = |base: &u8| match base {
            b'A' => 0,
            b'C' => 1,
            b'G' => 2,
            b'T' => 3,
            _ => 4,
        };
        let mut sequence: Vec<u8> = match input.alternate.map(|which| &self.alternates[which]) {
            None => self.bases.iter().map(code).collect(),
            Some(alternate) => {
                let after = (alternate.at + alternate.reference).min(self.bases.len());
                let parts = [&self.bases[..alternate.at], &alternate.bases, &self.bases[after..]];
                parts.into_iter().flatten().map(code).collect()
            }
        };
        sequence.resize(self.window, 4);
        let by = from_dimension(input.shift.abs()).min(self.window);
        if input.shift > 0 {
            sequence.rotate_right(by);
            sequence[..by].fill(4);
        } else {
            sequence.rotate_left(by);
            let kept = self.window - by;
            sequence[kept..].fill(4);
        }
        sequence
    }
}

/// The bins that hold `length` bases from the index `at` of a window on, shifted; at least one, if need be the nearest.
fn bins_at(at: usize, length: usize, shift: i32, options: &RegulatoryOptions) -> (i64, i64) {
    let (bin, count) = (i64::from(options.bin), i64::from(options.bins_read));
    let place = |index: i64| (index + i64::from(shift)).div_euclid(bin) - i64::from(options.cropped);
    let first = place(dimension(at)).clamp(0, count - 1);
    let last = place(dimension(at) + dimension(length.max(1)) - 1).clamp(first, count - 1);
    (first, last + 1)
}

/// The inputs of a pass, each once.
struct Inputs(Vec<Input>);

impl Inputs {
    fn place(&mut self, alternate: Option<usize>, shift: i64) -> usize {
        let input = Input { alternate, shift };
        self.0.iter().position(|known| *known == input).unwrap_or_else(|| {
            self.0.push(input);
            self.0.len() - 1
        })
    }
}

/// What is compared for an alternate and a shift. Behind an indel the bins of the two alleles lie apart by its length;
/// there the longer sequence is also predicted shifted back: the alternate of an insertion, the reference of a deletion.
fn compared(
    inputs: &mut Inputs,
    which: usize,
    alternate: &Alternate,
    shift: i64,
    options: &RegulatoryOptions,
) -> Vec<[Side; 2]> {
    let (reference, other) = (inputs.place(None, shift), inputs.place(Some(which), shift));
    let one = |input| Side::Mean(vec![input]);
    let longer = alternate.longer();
    let Some(by) = options.compensation(longer) else { return vec![[one(reference), one(other)]] };
    let deletion = longer < 0;
    let shifted = inputs.place((!deletion).then_some(which), shift - by);
    if options.recipe.indels == Some(vestore_schema::Indels::Stitch) {
        let first = dimension(alternate.at) + 1 - i64::from(options.cropped * options.bin);
        let bin = first.div_euclid(options.bin.into());
        let stitch = |left| Side::Stitch { left, right: shifted, bin };
        return vec![if deletion {
            [stitch(reference), one(other)]
        } else {
            [one(reference), stitch(other)]
        }];
    }
    let compensated = if deletion { [one(shifted), one(other)] } else { [one(reference), one(shifted)] };
    vec![[one(reference), one(other)], compensated]
}

impl Pass for RegulatoryPass {
    type Group = u32;

    fn group(&self) -> u32 {
        self.number
    }

    fn length(&self) -> usize {
        self.forwards() * self.window
    }

    fn forwards(&self) -> usize {
        self.inputs.len() * self.strands
    }
}

/// What a pass gave: for each of its alternates, the effects on the targets that are read, kind by kind; then the same of
/// each gene of the pass; then, where they are wanted, the embedding of the reference, and alternate − reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegulatoryOutput(pub(crate) Vec<Vec<f64>>);

impl Output for RegulatoryOutput {
    fn numbers(&self) -> Vec<f32> {
        self.0.iter().flatten().copied().map(crate::convert::single).collect()
    }
}

#[cfg(test)]
mod tests {
    use vestore_schema::{Bins as ReadBins, Indels, RegulatoryRecipe, Strands, Untransform};

    use super::*;

    /// Windows of 8 bases and bins of 2, of which the first is cropped.
    fn options(indels: Option<Indels>) -> RegulatoryOptions {
        let recipe = RegulatoryRecipe {
            shifts: vec![0],
            indels,
            untransform: None,
            strand_pairs: None,
            bins: None,
            targets: None,
            share: None,
            genes: None,
            variant_embeddings: false,
        };
        RegulatoryOptions {
            recipe,
            kinds: Vec::new(),
            gene_kinds: Vec::new(),
            strands: Strands::Both,
            window: 8,
            bins: ReadBins::Center,
            bin: 2,
            cropped: 1,
            bins_read: 2,
            averaged: indels.is_none(),
            answers: Vec::new(),
            read: Vec::new(),
            reads_all: true,
            pairs: None,
            untransform: Untransform::None,
            training: Vec::new(),
            embeddings: None,
        }
    }

    fn pass(
        bases: &[u8],
        (reference, alternate): (usize, &[u8]),
        shifts: &[i32],
        indels: Option<Indels>,
    ) -> RegulatoryPass {
        let alternate = Alternate { at: 3, reference, bases: Arc::from(alternate) };
        RegulatoryPass::new(0, Arc::from(bases), vec![alternate], shifts, &options(indels))
    }

    fn text(pass: &RegulatoryPass, input: Input) -> String {
        pass.codes(input).into_iter().map(|code| char::from(b"ACGTN"[usize::from(code)])).collect()
    }

    #[test]
    fn sequences_are_those_of_the_authors_programs() {
        let all = |pass: &RegulatoryPass| -> Vec<String> {
            pass.inputs.iter().map(|input| text(pass, *input)).collect()
        };
        let plain = Some(Indels::Plain);
        // An insertion pushes bases off the right end; a deletion lets N in there, or what comes next in the genome.
        assert_eq!(all(&pass(b"AAATCCGG", (1, b"TGA"), &[0], plain)), ["AAATCCGG", "AAATGACC"]);
        assert_eq!(all(&pass(b"AAATCCGG", (3, b"T"), &[0], plain)), ["AAATCCGG", "AAATGGNN"]);
        assert_eq!(all(&pass(b"AAATCCGGTA", (3, b"T"), &[0], None)), ["AAATCCGG", "AAATGGTA"]);
        // Shifts let N in.
        assert_eq!(all(&pass(b"AAATCCGG", (1, b"G"), &[2], plain)), ["NNAAATCC", "NNAAAGCC"]);
        assert_eq!(all(&pass(b"AAATCCGG", (1, b"G"), &[-2], plain)), ["ATCCGGNN", "AGCCGGNN"]);
        // Back by the length of an indel: the longer of the two alleles.
        let compensate = Some(Indels::Compensate);
        let insertion = pass(b"AAATCCGG", (1, b"TGA"), &[0], compensate);
        assert_eq!(all(&insertion), ["AAATCCGG", "AAATGACC", "ATGACCNN"]);
        let deletion = pass(b"AAATCCGG", (3, b"T"), &[0], compensate);
        assert_eq!(all(&deletion), ["AAATCCGG", "AAATGGNN", "ATCCGGNN"]);
    }

    #[test]
    fn predictions_are_compared_as_the_recipe_says() {
        let one = |input| Side::Mean(vec![input]);
        let compared = |indels, alleles: (usize, &[u8])| {
            pass(b"AAATCCGG", alleles, &[0], Some(indels)).comparisons[0].clone()
        };
        assert_eq!(compared(Indels::Compensate, (1, b"G")), [[one(0), one(1)]]);
        assert_eq!(compared(Indels::Plain, (3, b"T")), [[one(0), one(1)]]);
        assert_eq!(compared(Indels::Compensate, (1, b"TGA")), [[one(0), one(1)], [one(0), one(2)]]);
        assert_eq!(compared(Indels::Compensate, (3, b"T")), [[one(0), one(1)], [one(2), one(1)]]);
        // The variant's base is in the second bin, the first one after the crop.
        let stitch = |left| Side::Stitch { left, right: 2, bin: 1 };
        assert_eq!(compared(Indels::Stitch, (1, b"TGA")), [[one(0), stitch(1)]]);
        assert_eq!(compared(Indels::Stitch, (3, b"T")), [[stitch(0), one(1)]]);
        // Averaged before they are compared.
        let averaged = pass(b"AAATCCGG", (1, b"G"), &[0, 1], None);
        assert_eq!(averaged.comparisons[0], [[Side::Mean(vec![0, 1]), Side::Mean(vec![2, 3])]]);
    }
}
