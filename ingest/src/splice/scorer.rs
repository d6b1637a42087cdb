//! Splice models under a recipe: variants that lie close together share the reference of their stretch, gene by gene.

use std::collections::HashMap;
use std::sync::Arc;

use vestore::Reference;
use vestore_schema::{Assembly, SpliceConvention, Status, Variant};

use super::effects::{CHANGES, Change, Comparison, outputs};
use super::options::{Area, SpliceOptions};
use super::pass::{Alternate, SpliceOutput, SplicePass};
use crate::convert::{as_index, dimension, from_dimension};
use crate::seam::{ScoreError, ScoreKind, Scorer};
use crate::tokenize::reverse_complement;
use crate::window::bases;
use crate::work::{GeneRow, Row, RowPlan, Work};

/// The score kind of the family.
pub const SPLICE: ScoreKind = ScoreKind {
    name: "splice",
    description: "what a variant does to splice sites: gain and loss of acceptors and donors",
    direction: "higher: splicing changes more",
};

/// A splice model under a recipe.
pub struct SpliceScorer {
    options: SpliceOptions,
    /// Bases that an output sees on either side.
    reach: u32,
}

impl SpliceScorer {
    /// A model whose outputs see `context` bases on both sides together.
    #[must_use]
    pub fn new(options: SpliceOptions, context: u32) -> Self {
        Self { options, reach: context / 2 }
    }
}

/// The score columns.
#[must_use]
pub fn splice_columns() -> Vec<String> {
    vec!["splice_max".to_owned()]
}

/// A variant and the bases that its outputs see.
pub struct SpliceWindow {
    contig: u32,
    /// 0-based.
    position: i64,
    reference: i64,
    alternate: Arc<[u8]>,
    /// Outputs of the reference on the forward strand, relative to the position.
    outputs: (i64, i64),
    /// 0-based on the contig; may be negative.
    start: i64,
    bases: Vec<u8>,
    areas: Vec<Area>,
}

impl SpliceWindow {
    fn end(&self) -> i64 {
        self.start + dimension(self.bases.len())
    }
}

impl Scorer for SpliceScorer {
    type Window = SpliceWindow;
    type Pass = SplicePass;
    type Output = SpliceOutput;

    fn columns(&self) -> Vec<String> {
        splice_columns()
    }

    fn gene_columns(&self) -> Vec<String> {
        splice_gene_columns()
    }

    fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<SpliceWindow, Status>, ScoreError> {
        let Variant { contig, position, reference: before, alternate: after } = variant;
        let length = assembly.contig(*contig).length;
        let (distance, reach) = (i64::from(self.options.distance), i64::from(self.reach));
        let (bases_before, bases_after) = (dimension(before.len()), dimension(after.len()));
        let place = i64::from(position.zero_based());
        let (from, mut to) = outputs(self.options.convention, distance, bases_before);
        match self.options.convention {
            SpliceConvention::SpliceAi
                if bases_before > 1 && bases_after > 1 || bases_before > 2 * distance =>
            {
                return Ok(Err(Status::UnsupportedAllele));
            }
            SpliceConvention::SpliceAi => {
                if place + from < reach || place + to + reach > i64::from(length) {
                    return Ok(Err(Status::ContigEdge));
                }
            }
            SpliceConvention::CiSpliceAi => {
                // Its windows end with the contig.
                to = to.min(i64::from(length) - reach - place);
                if to <= bases_before {
                    return Ok(Err(Status::ContigEdge));
                }
            }
        }
        // Everything up to the end of the longer allele would be held in memory.
        if bases_before.max(bases_after) > 2 * reach {
            return Ok(Err(Status::UnsupportedAllele));
        }
        let start = place + from - reach;
        let count = u32::try_from(to - from + 2 * reach).expect("windows are short; this is a bug");
        Ok(Ok(SpliceWindow {
            contig: *contig,
            position: place,
            reference: bases_before,
            alternate: Arc::from(after.to_ascii_uppercase().into_bytes()),
            outputs: (from, to),
            start,
            bases: bases(reference, *contig, length, start, count)?,
            areas: self.options.areas(*contig, position.zero_based()),
        }))
    }

    fn plan(&self, windows: &[SpliceWindow], _: bool) -> Result<Work<SplicePass, SpliceOutput>, ScoreError> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut open: HashMap<(String, bool, u32), usize> = HashMap::new();
        let mut places = vec![Vec::new(); windows.len()];
        for (number, window) in windows.iter().enumerate() {
            for (which, area) in window.areas.iter().enumerate() {
                let key = (area.name.clone(), area.forward, window.contig);
                let found = open.get(&key).copied().filter(|stretch| stretches[*stretch].takes(window));
                let stretch = found.unwrap_or_else(|| {
                    stretches.push(Stretch::new(window, area));
                    stretches.len() - 1
                });
                open.insert(key, stretch);
                places[number].push((stretch, stretches[stretch].members.len()));
                stretches[stretch].add(window, number, which);
            }
        }
        let passes = (0..).zip(&stretches).map(|(number, stretch)| stretch.pass(number, windows)).collect();
        let rows = windows.iter().zip(places).map(|(window, places)| self.row(window, places)).collect();
        // Passes are run one at a time: each has batches of alternates of its own.
        Ok(Work::new(passes, rows, 1, |_| 1))
    }
}

/// Bases of a stretch: its activations are held in memory, in an ablation several times.
const LONGEST_STRETCH: i64 = 1 << 16;

/// Neighbouring variants of one area, and the bases that they see together.
struct Stretch {
    area: Area,
    start: i64,
    bases: Vec<u8>,
    /// Windows, and which of its areas this is.
    members: Vec<(usize, usize)>,
}

impl Stretch {
    fn new(window: &SpliceWindow, area: &Area) -> Self {
        Self { area: area.clone(), start: window.start, bases: Vec::new(), members: Vec::new() }
    }

    fn end(&self) -> i64 {
        self.start + dimension(self.bases.len())
    }

    /// Whether a window, which begins no earlier than the ones before, overlaps, and the stretch stays short enough.
    fn takes(&self, window: &SpliceWindow) -> bool {
        (self.start..self.end()).contains(&window.start) && window.end() - self.start <= LONGEST_STRETCH
    }

    fn add(&mut self, window: &SpliceWindow, number: usize, area: usize) {
        let known = self.end() - window.start;
        if window.end() > self.end() {
            let known = from_dimension(known);
            self.bases.extend_from_slice(&window.bases[known..]);
        }
        self.members.push((number, area));
    }

    /// The pass: bases outside the gene are N, and all is on the gene's strand.
    fn pass(&self, number: u32, windows: &[SpliceWindow]) -> SplicePass {
        let mut bases = self.bases.clone();
        if let Some((start, end)) = self.area.inside {
            let inside = i64::from(start)..i64::from(end);
            for (place, base) in (self.start..).zip(&mut bases) {
                if !inside.contains(&place) {
                    *base = b'N';
                }
            }
        }
        if !self.area.forward {
            bases = reverse_complement(&bases);
        }
        let alternate = |(number, _): &(usize, usize)| {
            let window = &windows[*number];
            let (from, to) = window.outputs;
            if self.area.forward {
                return Alternate {
                    start: window.position - self.start,
                    reference: window.reference,
                    bases: Arc::clone(&window.alternate),
                    outputs: (from, to),
                };
            }
            Alternate {
                start: self.end() - window.position - window.reference,
                reference: window.reference,
                bases: Arc::from(reverse_complement(&window.alternate)),
                outputs: (window.reference - to, window.reference - from),
            }
        };
        SplicePass {
            number,
            bases: Arc::from(bases),
            alternates: self.members.iter().map(alternate).collect(),
        }
    }
}

impl SpliceScorer {
    /// How the outputs of a window's areas become its row: `places` are pass and alternate of each area.
    fn row(&self, window: &SpliceWindow, places: Vec<(usize, usize)>) -> RowPlan<SplicePass, SpliceOutput> {
        let areas = window.areas.clone();
        let (convention, mask) = (self.options.convention, self.options.mask);
        let distance = as_index(self.options.distance.into());
        let alleles = (from_dimension(window.reference), window.alternate.len());
        Box::new(move |_, outputs| {
            let mut genes = Vec::with_capacity(areas.len());
            for (area, (pass, alternate)) in areas.iter().zip(&places) {
                let mask = mask.then_some(&area.known);
                let comparison = Comparison { convention, distance, alleles, mask };
                let [mut reference, mut alternate] = outputs[*pass].0[*alternate].clone();
                if !area.forward {
                    reference.reverse();
                    alternate.reverse();
                }
                let changes = comparison.changes(&reference, &alternate);
                genes.push(GeneRow::new(area.name.clone(), values(&changes)));
            }
            let largest = genes.iter().flat_map(|gene| gene.values.iter().take(CHANGES.len()).flatten());
            let largest = largest
                .copied()
                .fold(None, |most: Option<f32>, value| Some(most.map_or(value, |most| most.max(value))));
            let mut row = Row::new(vec![largest], None, Status::NonFinite);
            row.genes = genes;
            row
        })
    }
}

/// The columns of the gene effects: the four changes, their positions, and the probabilities there.
#[must_use]
pub fn splice_gene_columns() -> Vec<String> {
    let of = |ending: &'static str| CHANGES.map(|change| format!("{change}{ending}"));
    [of(""), of("_position"), of("_ref"), of("_alt")].concat()
}

fn values(changes: &[Change; 4]) -> Vec<Option<f32>> {
    let of = |part: fn(&Change) -> Option<f32>| changes.iter().map(part).collect::<Vec<_>>();
    [
        of(|change| Some(change.value)),
        of(|change| change.position.map(|position| position as f32)),
        of(|change| Some(change.reference)),
        of(|change| Some(change.alternate)),
    ]
    .concat()
}
