//! A model's losses beside those of models that only count contexts.

use super::context::ContextModel;
use super::losses::{BaseSet, Interval, Losses};
use crate::genome::{Genome, KnownRegions};

/// The losses of a model and of context models on the same bases.
pub struct LossComparison {
    losses: Losses,
    /// By order, from 0.
    contexts: Vec<Losses>,
}

impl LossComparison {
    /// Compares `losses` with context models up to the order `highest`, which count `training`.
    #[must_use]
    pub fn new(losses: Losses, genome: &Genome, training: &KnownRegions, highest: u32) -> Self {
        let context = |order| ContextModel::count(genome, training, order).losses(genome, &losses);
        let contexts = (0..=highest).map(context).collect();
        Self { losses, contexts }
    }

    /// Bases that were hidden.
    #[must_use]
    pub fn bases(&self) -> usize {
        self.losses.bases().len()
    }

    /// The order of the context model with the lowest mean loss.
    #[must_use]
    pub fn best(&self) -> usize {
        let mean =
            |losses: &Losses| losses.mean(BaseSet::All).map_or(f64::INFINITY, |interval| interval.mean);
        let means: Vec<f64> = self.contexts.iter().map(mean).collect();
        (0..means.len()).min_by(|left, right| means[*left].total_cmp(&means[*right])).unwrap_or(0)
    }

    /// Mean losses of the context models on a set of bases, each with its order.
    pub fn contexts(&self, bases: BaseSet) -> impl Iterator<Item = (usize, Interval)> {
        let mean = move |(order, losses): (usize, &Losses)| Some((order, losses.mean(bases)?));
        self.contexts.iter().enumerate().filter_map(mean)
    }

    /// The model's mean loss on a set of bases, and its difference to the best context model.
    #[must_use]
    pub fn model(&self, bases: BaseSet) -> Option<(Interval, Option<Interval>)> {
        let difference = self.contexts.get(self.best()).and_then(|best| self.losses.difference(best, bases));
        Some((self.losses.mean(bases)?, difference))
    }
}
