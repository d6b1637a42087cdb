//! Fine-tuning as the trainer sees it: batches in the order of an epoch, each example on one strand, and the loss of
//! the validation rows.

use super::TuningData;
use super::head::HeadObjective;
use super::plan::TuningPlan;
use crate::convert::as_index;
use crate::dataset::Example;
use crate::random::Random;
use crate::train::error::TrainError;
use crate::train::network::Network;
use crate::train::trainer::{Objective, StepLoss};
use vestore_schema::Strands;

/// What a stream of random numbers is for.
const ORDER: u64 = 0x0bde;
const STRAND: u64 = 0x57a2;

/// Fine-tuning by a plan.
pub(super) struct TuningObjective<'a> {
    plan: &'a TuningPlan,
    data: &'a TuningData<'a>,
    head: HeadObjective,
    /// The current epoch, and its order of the examples.
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> TuningObjective<'a> {
    pub(super) fn new(plan: &'a TuningPlan, data: &'a TuningData<'a>) -> Self {
        let labels: Vec<f64> = data.training.iter().map(|example| example.label).collect();
        let head = HeadObjective::new(data.task, plan.strands, plan.input, plan.balanced, &labels);
        Self { plan, data, head, order: None }
    }

    /// How the trained head's outputs are read.
    pub(super) fn into_head(self) -> HeadObjective {
        self.head
    }

    /// The places of the examples of batch `number` of an epoch.
    fn batch(&mut self, epoch: u64, number: u64) -> Vec<usize> {
        let count = self.data.training.len();
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.order = Some((epoch, Random::of(&[ORDER, self.plan.seed, epoch]).order(count)));
        }
        let first = as_index(number * u64::from(self.plan.batch));
        let last = (first + self.plan.batch as usize).min(count);
        self.order.as_ref().map(|(_, order)| order[first..last].to_vec()).unwrap_or_default()
    }
}

impl Objective for TuningObjective<'_> {
    type Network = Network;

    fn backward(&mut self, network: &Network, step: u64) -> Result<StepLoss, TrainError> {
        let per_epoch = self.plan.course().per_epoch(self.data.training.len());
        let epoch = step / per_epoch;
        let places = self.batch(epoch, step % per_epoch);
        let batch: Vec<&Example> = places.iter().map(|place| &self.data.training[*place]).collect();
        let both = self.plan.strands == Strands::Both;
        let reverse = |place: usize| {
            let parts = [STRAND, self.plan.seed, epoch, places[place] as u64];
            both && Random::of(&parts).below(2) == 1
        };
        let size = batch.len().div_ceil(self.plan.parts as usize);
        let (mut sum, mut tokens) = (0.0, 0);
        for (number, part) in batch.chunks(size).enumerate() {
            let (loss, count) = self.head.loss(network, part, |place| reverse(number * size + place))?;
            // Classes weigh 1 in the mean over all examples, so that a rare one keeps its weight in a small batch.
            loss.f_div_scalar(batch.len() as f64)?.f_backward()?;
            sum += loss.f_double_value(&[])?;
            tokens += count;
        }
        Ok(StepLoss { sum, weight: self.head.weight(&batch), computed: tokens })
    }

    fn evaluate(&self, network: &Network) -> Result<Option<f64>, TrainError> {
        Ok(Some(self.head.predict(network, self.data.validation, None)?.loss))
    }
}
