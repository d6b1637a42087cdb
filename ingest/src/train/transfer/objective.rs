//! A transfer as the trainer sees it: windows in the order of an epoch, each on one strand and moved by a few bases, and
//! the loss of the validation windows.

use tch::Kind;
use vestore_schema::Strands;

use super::network::TransferNetwork;
use super::plan::TransferPlan;
use super::windows::{TransferData, View};
use crate::convert::as_index;
use crate::dataset::Split;
use crate::random::Random;
use crate::train::error::TrainError;
use crate::train::trainer::{Objective, StepLoss};

/// What a stream of random numbers is for.
const ORDER: u64 = 0x7a0e;
const VIEW: u64 = 0x71e3;

/// A transfer by a plan.
pub(super) struct TransferObjective<'a> {
    plan: &'a TransferPlan,
    data: &'a TransferData<'a>,
    training: Vec<usize>,
    validation: Vec<usize>,
    /// The current epoch, and its order of the training windows.
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> TransferObjective<'a> {
    pub(super) fn new(plan: &'a TransferPlan, data: &'a TransferData<'a>) -> Self {
        let (training, validation) = (data.of(Split::Training), data.of(Split::Validation));
        Self { plan, data, training, validation, order: None }
    }

    /// The places of the windows of batch `number` of an epoch.
    fn batch(&mut self, epoch: u64, number: u64) -> Vec<usize> {
        let count = self.training.len();
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.order = Some((epoch, Random::of(&[ORDER, self.plan.seed, epoch]).order(count)));
        }
        let first = as_index(number * u64::from(self.plan.batch));
        let last = (first + self.plan.batch as usize).min(count);
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| &order[first..last]);
        order.iter().map(|place| self.training[*place]).collect()
    }

    /// How a window is looked at in an epoch.
    fn view(&self, epoch: u64, place: usize) -> View {
        let mut random = Random::of(&[VIEW, self.plan.seed, epoch, place as u64]);
        let reverse = random.below(2) == 1 && self.plan.strands == Strands::Both;
        let most = i64::from(self.plan.shift);
        let drawn = random.below(2 * u64::from(self.plan.shift) + 1);
        View { reverse, shift: i64::try_from(drawn).unwrap_or(0) - most }
    }
}

impl Objective for TransferObjective<'_> {
    type Network = TransferNetwork;

    fn backward(&mut self, network: &TransferNetwork, step: u64) -> Result<StepLoss, TrainError> {
        let per_epoch = self.plan.course().per_epoch(self.training.len());
        let epoch = step / per_epoch;
        let places = self.batch(epoch, step % per_epoch);
        let share = 1.0 / places.len() as f64;
        let mut sum = 0.0;
        for (number, place) in (0..).zip(&places) {
            let seed = Random::of(&[self.plan.seed, step, number]).bits();
            let example = self.data.example(*place, self.view(epoch, *place), seed, network.device())?;
            sum += network.backward(&example, share)?;
        }
        Ok(StepLoss { sum, weight: places.len() as f64, computed: places.len() as u64 })
    }

    fn evaluate(&self, network: &TransferNetwork) -> Result<Option<f64>, TrainError> {
        let trunk = network.fixed()?;
        let mut sum = 0.0;
        for place in &self.validation {
            let example = self.data.example(*place, View::default(), 0, network.device())?;
            let predicted = network.profile(&trunk, &example.bases)?;
            sum +=
                network.loss(&predicted, &example.measured)?.f_to_kind(Kind::Double)?.f_double_value(&[])?;
        }
        Ok(Some(sum / self.validation.len() as f64))
    }
}
