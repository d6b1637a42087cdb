//! Units: what is scored, committed and resumed as a whole.

use std::collections::HashMap;

use vestore::{Planned, Store};
use vestore_schema::{Segment, Table};

use super::{Job, PipelineError};

/// Consecutive variants of a plan, on one contig, without those that the track has rows for.
pub(super) struct Unit {
    pub(super) contig: u32,
    pub(super) rows: Vec<Pending>,
}

/// A variant, and in which tables it has no row yet.
#[expect(clippy::struct_excessive_bools, reason = "one for each table")]
pub(super) struct Pending {
    pub(super) planned: Planned,
    pub(super) scores: bool,
    pub(super) embedding: bool,
    pub(super) ablation: bool,
    pub(super) effects: bool,
    pub(super) genes: bool,
}

impl Unit {
    /// Whether a variant lacks its row of scores, or of effects.
    pub(super) fn wants_outputs(&self) -> bool {
        self.rows.iter().any(|row| row.scores || row.effects || row.genes)
    }
}

/// The units of a plan that have something to do. Their borders depend on the plan and on [`Job::unit`] alone, so that
/// a resumed run has the same batches as an undisturbed one.
#[expect(clippy::struct_excessive_bools, reason = "one for each table")]
pub(super) struct Units<'a> {
    store: &'a Store,
    size: usize,
    embeddings: bool,
    ablation: bool,
    effects: bool,
    genes: bool,
    variants: Box<dyn Iterator<Item = Result<Planned, vestore::PlanError>> + 'a>,
    /// First variant of the next unit.
    ahead: Option<Planned>,
    /// Segments of the track by contig and table. What this run commits lies in other units, so they are listed once.
    segments: HashMap<(u32, Table), Vec<Segment>>,
}

impl<'a> Units<'a> {
    pub(super) fn new(job: &Job<'a>) -> Result<Self, PipelineError> {
        let mut variants: Box<dyn Iterator<Item = _> + 'a> = Box::new(job.plan.rows()?);
        let ahead = variants.next().transpose()?;
        let mut segments: HashMap<(u32, Table), Vec<Segment>> = HashMap::new();
        for segment in job.store.all_segments()?.into_iter().filter(|segment| segment.track == job.track.name)
        {
            if let Some(contig) = job.store.contig_index(&segment.contig) {
                segments.entry((contig, segment.table)).or_default().push(segment);
            }
        }
        Ok(Self {
            store: job.store,
            size: job.unit,
            embeddings: job.embeddings,
            ablation: job.ablation,
            effects: !job.track.effect_columns.is_empty(),
            genes: !job.track.gene_columns.is_empty(),
            variants,
            ahead,
            segments,
        })
    }

    /// The next unit, with all its variants.
    fn cut(&mut self) -> Result<Option<(u32, Vec<Planned>)>, PipelineError> {
        let Some(first) = self.ahead.take() else { return Ok(None) };
        let contig = first.variant.contig;
        let mut rows = vec![first];
        for variant in self.variants.by_ref() {
            let variant = variant?;
            if rows.len() == self.size || variant.variant.contig != contig {
                self.ahead = Some(variant);
                break;
            }
            rows.push(variant);
        }
        Ok(Some((contig, rows)))
    }

    /// Leaves out what the track has rows for.
    fn without_stored(&self, contig: u32, rows: Vec<Planned>) -> Result<Unit, PipelineError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Unit { contig, rows: Vec::new() });
        };
        let (start, end) = (first.variant.position.zero_based(), last.variant.position.zero_based() + 1);
        let stored = |wanted: bool, table| {
            let segments = self.segments.get(&(contig, table)).filter(|_| wanted);
            self.store.stored_variants(segments.map_or(&[], Vec::as_slice), contig, start, end)
        };
        let scored = stored(true, Table::Scores)?;
        let embedded = stored(self.embeddings, Table::Embeddings)?;
        let ablated = stored(self.ablation, Table::Ablation)?;
        let affected = stored(self.effects, Table::Effects)?;
        let in_genes = stored(self.genes, Table::GeneEffects)?;
        let pending = rows.into_iter().map(|planned| Pending {
            scores: !scored.contains(&planned.variant),
            embedding: self.embeddings && !embedded.contains(&planned.variant),
            ablation: self.ablation && !ablated.contains(&planned.variant),
            effects: self.effects && !affected.contains(&planned.variant),
            genes: self.genes && !in_genes.contains(&planned.variant),
            planned,
        });
        let lacks = |row: &Pending| row.scores || row.embedding || row.ablation || row.effects || row.genes;
        Ok(Unit { contig, rows: pending.filter(lacks).collect() })
    }
}

impl Iterator for Units<'_> {
    type Item = Result<Unit, PipelineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (contig, rows) = match self.cut().transpose()? {
                Ok(unit) => unit,
                Err(error) => return Some(Err(error)),
            };
            match self.without_stored(contig, rows) {
                Ok(unit) if unit.rows.is_empty() => {}
                unit => return Some(unit),
            }
        }
    }
}
