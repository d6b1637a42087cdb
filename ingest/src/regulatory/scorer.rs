//! Regulatory models under a recipe: variants of one window share the reference's predictions.

use std::sync::Arc;

use vestore::{GeneTable, Reference};
use vestore_schema::{Assembly, Status, Variant};

use super::exons::{GeneBins, genes_of};
use super::kinds::RegulatoryKind;
use super::options::{Answer, RegulatoryOptions};
use super::pass::{Alternate, RegulatoryOutput, RegulatoryPass};
use crate::convert::{as_index, from_dimension, narrow, single};
use crate::seam::{ScoreError, Scorer};
use crate::window::bases;
use crate::work::{Embedding, GeneRow, Row, RowPlan, Work};

/// A regulatory model under a recipe.
pub struct RegulatoryScorer {
    options: Arc<RegulatoryOptions>,
    genes: Option<Arc<GeneTable>>,
}

impl RegulatoryScorer {
    /// The scorer of a recipe; `genes` is the table that it names, if it names one.
    #[must_use]
    pub fn new(options: Arc<RegulatoryOptions>, genes: Option<Arc<GeneTable>>) -> Self {
        Self { options, genes }
    }
}

/// A variant and the window that it is predicted in.
pub struct RegulatoryWindow {
    contig: u32,
    /// 0-based on the contig; may be negative.
    start: i64,
    /// Of the reference: a window, and what a deletion pulls into it.
    bases: Arc<[u8]>,
    alternate: Alternate,
}

impl Scorer for RegulatoryScorer {
    type Window = RegulatoryWindow;
    type Pass = RegulatoryPass;
    type Output = RegulatoryOutput;

    fn columns(&self) -> Vec<String> {
        self.options.columns()
    }

    fn gene_columns(&self) -> Vec<String> {
        self.options.gene_columns()
    }

    fn effect_columns(&self) -> Vec<String> {
        self.options.effect_columns()
    }

    fn targets(&self) -> Vec<String> {
        self.options.names()
    }

    fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<RegulatoryWindow, Status>, ScoreError> {
        let window = self.options.window;
        let longest = as_index((window / 2).into());
        // Half of the window or more would be of the allele.
        if variant.reference.len().max(variant.alternate.len()) > longest {
            return Ok(Err(Status::UnsupportedAllele));
        }
        let start = self.options.recipe.start(variant.position, window);
        let alternate = Alternate {
            at: from_dimension(i64::from(variant.position.zero_based()) - start),
            reference: variant.reference.len(),
            bases: Arc::from(variant.alternate.to_ascii_uppercase().into_bytes()),
        };
        let pulled = if self.options.averaged { (-alternate.longer()).max(0) } else { 0 };
        let length = window + narrow(from_dimension(pulled));
        let contig_length = assembly.contig(variant.contig).length;
        let bases = bases(reference, variant.contig, contig_length, start, length)?;
        Ok(Ok(RegulatoryWindow { contig: variant.contig, start, bases: Arc::from(bases), alternate }))
    }

    fn plan(
        &self,
        windows: &[RegulatoryWindow],
        _: bool,
    ) -> Result<Work<RegulatoryPass, RegulatoryOutput>, ScoreError> {
        let (mut passes, mut rows) = (Vec::new(), Vec::with_capacity(windows.len()));
        for same in windows.chunk_by(|left, right| (left.contig, left.start) == (right.contig, right.start)) {
            let mut rest = same;
            while !rest.is_empty() {
                let (members, others) = rest.split_at(self.fitting(rest));
                let first = passes.len();
                self.add_passes(&mut passes, members);
                for which in 0..members.len() {
                    rows.push(self.row(first..passes.len(), which));
                }
                rest = others;
            }
        }
        // Passes are run one at a time: each has several windows.
        Ok(Work::new(passes, rows, 1, |_| 1))
    }
}

impl RegulatoryScorer {
    /// How many of these variants of one window fit into a pass beside its reference; at least one.
    fn fitting(&self, members: &[RegulatoryWindow]) -> usize {
        let shifts = if self.options.averaged { self.options.recipe.shifts.len() } else { 1 };
        let most = RegulatoryOptions::WINDOWS / shifts;
        let mut used = 1;
        let fits = |member: &&RegulatoryWindow| {
            used += 1 + usize::from(self.options.compensation(member.alternate.longer()).is_some());
            used <= most
        };
        members.iter().take_while(fits).count().max(1)
    }

    /// The passes of variants of one window: one, or one a shift where predictions are not averaged.
    fn add_passes(&self, passes: &mut Vec<RegulatoryPass>, members: &[RegulatoryWindow]) {
        let shifts = &self.options.recipe.shifts;
        let together = if self.options.averaged { shifts.len() } else { 1 };
        let longest = members.iter().max_by_key(|member| member.bases.len());
        let bases = longest.map(|member| Arc::clone(&member.bases)).unwrap_or_default();
        let genes = match (&self.genes, members) {
            (Some(table), [first, ..]) => genes_of(table, first.contig, first.start, &self.options),
            _ => Vec::new(),
        };
        for shifts in shifts.chunks(together) {
            let alternates = members.iter().map(|member| member.alternate.clone()).collect();
            let number = narrow(passes.len());
            let pass = RegulatoryPass::new(number, Arc::clone(&bases), alternates, shifts, &self.options);
            passes.push(RegulatoryPass { genes: genes.clone(), ..pass });
        }
    }

    /// How the outputs of some passes become the row of the alternate `which` in them: the mean over the passes, one
    /// number per kind and target of the answer.
    fn row(&self, passes: std::ops::Range<usize>, which: usize) -> RowPlan<RegulatoryPass, RegulatoryOutput> {
        let options = Arc::clone(&self.options);
        Box::new(move |all, outputs| {
            let (all, outputs) = (&all[passes.clone()], &outputs[passes.clone()]);
            let predictions: usize = all.iter().map(|pass| pass.comparisons[which].len()).sum();
            let read = options.read.len();
            let mean = |place: usize| {
                let values = outputs.iter().map(|output| output.0[which][place]);
                values.sum::<f64>() / outputs.len() as f64
            };
            // Of one kind, whose numbers begin at `place`; `effect` makes one of an answer's, which it may lack.
            let list = |kind: &RegulatoryKind, effect: &dyn Fn(&Answer) -> Option<f64>| -> Vec<f32> {
                let is_defined = !(kind.needs_one_prediction() && predictions > 1);
                let finite = |value: f64| Some(single(value)).filter(|value| value.is_finite());
                let number =
                    |answer| effect(answer).filter(|_| is_defined).and_then(finite).unwrap_or(f32::NAN);
                options.answers.iter().map(number).collect()
            };
            // None where no target has one.
            let largest = |lists: &mut dyn Iterator<Item = &Vec<f32>>| {
                let sizes = lists.flatten().filter(|value| !value.is_nan()).map(|value| value.abs());
                sizes.reduce(f32::max)
            };
            let (mut values, mut effects) = (Vec::new(), Vec::with_capacity(options.kinds.len()));
            for (number, kind) in options.kinds.iter().enumerate() {
                let of = |target: usize| mean(number * read + target);
                let of_kind = list(kind, &|answer| {
                    Some(match answer.other {
                        None => of(answer.at),
                        Some(other) => kind.merge([of(answer.at), of(other)]),
                    })
                });
                values.extend(kind.score_column().map(|_| largest(&mut std::iter::once(&of_kind))));
                effects.push(of_kind);
            }
            let found = all.first().map_or(&[][..], |pass| &pass.genes);
            let mut genes = Vec::with_capacity(found.len());
            // None of the chosen targets may say something of a gene's strand.
            let is_answered = |gene: &GeneBins| {
                options.answers.iter().any(|answer| answer.of_strand(gene.forward).is_some())
            };
            for (place, gene) in found.iter().enumerate().filter(|(_, gene)| is_answered(gene)) {
                let first = (options.kinds.len() + place * options.gene_kinds.len()) * read;
                let lists = options.gene_kinds.iter().enumerate().map(|(number, kind)| {
                    let of = |target: usize| mean(first + number * read + target);
                    list(kind, &|answer| answer.of_strand(gene.forward).map(of))
                });
                genes.push(GeneRow::of_targets(gene.gene.clone(), lists.collect()));
            }
            for (number, kind) in options.gene_kinds.iter().enumerate() {
                let mut lists = genes.iter().map(|gene: &GeneRow| &gene.effects[number]);
                values.extend(kind.score_column().map(|_| largest(&mut lists)));
            }
            let gene_kinds = if genes.is_empty() { &[][..] } else { &options.gene_kinds };
            let mut effective = options
                .kinds
                .iter()
                .chain(gene_kinds)
                .filter(|kind| kind.score_column().is_some())
                .peekable();
            let without_gene = effective.peek().is_none();
            let undefined = effective.all(|kind| kind.needs_one_prediction());
            let otherwise = if without_gene {
                Status::NoGene
            } else if undefined && predictions > 1 {
                Status::UnsupportedAllele
            } else {
                Status::NonFinite
            };
            let numbers = outputs.first().map_or(0, |output| output.0[which].len());
            let effects_end = (options.kinds.len() + found.len() * options.gene_kinds.len()) * read;
            let embedding = options.embeddings.map(|_| {
                let half = (numbers - effects_end) / 2;
                let part = |first: usize| (first..first + half).map(|place| single(mean(place))).collect();
                Embedding { reference: part(effects_end), delta: part(effects_end + half) }
            });
            let mut row = Row::new(values, embedding, otherwise);
            // The values of the windows count also where no effect is defined.
            row.effects = effects;
            row.genes = genes;
            row
        })
    }
}
