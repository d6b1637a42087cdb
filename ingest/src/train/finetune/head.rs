//! The loss of a head, and its predictions.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, TchError, Tensor};
use vestore_schema::Strands;

use super::plan::TuningInput;
use super::tokens::{Group, tokenize};
use crate::convert::{class_number, dimension, single};
use crate::dataset::{Example, TuningTask};
use crate::encoder::model::head::ClassHead;
use crate::encoder::{CPU_BATCH_TOKENS, GPU_BATCH_TOKENS};
use crate::error::ModelError;
use crate::train::error::TrainError;
use crate::train::network::{Forward, Network};

/// Examples that are tokenized together when nothing is trained.
const CHUNK: usize = 512;

/// How labels that are numbers are scaled while the head learns them: a head begins near 0 with small weights,
/// whatever the unit of the labels. What is written is scaled back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scale {
    /// Subtracted; 0 for differences, which have no offset.
    pub(super) centre: f64,
    /// Divided by.
    pub(super) spread: f64,
}

/// How the outputs of a head become a loss and predictions.
pub(super) struct HeadObjective {
    pub(super) task: TuningTask,
    pub(super) strands: Strands,
    /// What an example of each class counts for.
    pub(super) class_weights: Vec<f32>,
    pub(super) scale: Scale,
    pub(super) input: TuningInput,
}

/// The head of one step over the encoder of that step.
struct HeadForward<'a> {
    forward: Forward<'a>,
    head: ClassHead,
    device: Device,
}

impl<'a> HeadForward<'a> {
    fn new(network: &'a Network) -> Result<Self, ModelError> {
        let (forward, head) = (network.forward()?, ClassHead::load(&network.loader())?);
        Ok(Self { forward, head, device: network.device() })
    }

    /// The outputs [examples, outputs] of groups of sequences through the kept layers at the places `layers`: of
    /// alternate windows, minus those of reference windows. At most `tokens` tokens are computed at once.
    fn outputs(
        &self,
        groups: &[Group],
        examples: usize,
        outputs: usize,
        tokens: usize,
        layers: &[usize],
    ) -> Result<Tensor, ModelError> {
        let here = |tensor: Tensor| tensor.f_to_device(self.device);
        let mut sum = Tensor::f_zeros([dimension(examples), dimension(outputs)], (Kind::Float, self.device))?;
        for group in groups {
            for (ids, places) in group.parts(tokens) {
                // The head reads the first token alone.
                let hidden = self.forward.hidden(ids, group.length, layers, true, |_, _, _| Ok(()))?;
                let found = self.head.forward(&hidden)?;
                let at: Vec<i64> = places.iter().map(|(place, _)| dimension(*place)).collect();
                let signs: Vec<f32> = places.iter().map(|(_, sign)| *sign).collect();
                let at = here(Tensor::f_from_slice(&at)?)?;
                let signs = here(Tensor::f_from_slice(&signs)?)?.f_view([-1, 1])?;
                sum = sum.f_index_add(0, &at, &found.f_mul(&signs)?)?;
            }
        }
        Ok(sum)
    }
}

/// Predictions of examples, and their loss.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Predictions {
    /// For each example the probability of each class, or the number in the labels' unit.
    pub(crate) values: Vec<Vec<f64>>,
    /// Mean loss: nats, or squared standard deviations of the training labels.
    pub(crate) loss: f64,
}

impl HeadObjective {
    /// The objective for training labels.
    pub(super) fn new(
        task: TuningTask,
        strands: Strands,
        input: TuningInput,
        balanced: bool,
        labels: &[f64],
    ) -> Self {
        let count = labels.len().max(1) as f64;
        let centre = if input == TuningInput::Difference || labels.is_empty() {
            0.0
        } else {
            labels.iter().sum::<f64>() / count
        };
        let square = labels.iter().map(|label| (label - centre).powi(2)).sum::<f64>() / count;
        let spread = if square > 0.0 { square.sqrt() } else { 1.0 };
        let scale = match task {
            TuningTask::Classes(_) => Scale { centre: 0.0, spread: 1.0 },
            TuningTask::Number => Scale { centre, spread },
        };
        let weight = |class: u32| {
            let of_class = labels.iter().filter(|label| **label == f64::from(class)).count().max(1) as f64;
            if balanced { single(count / (task.outputs() as f64 * of_class)) } else { 1.0 }
        };
        let class_weights = match task {
            TuningTask::Classes(classes) => (0..classes).map(weight).collect(),
            TuningTask::Number => Vec::new(),
        };
        Self { task, strands, class_weights, scale, input }
    }

    /// What all of `examples` count for.
    pub(super) fn weight(&self, examples: &[&Example]) -> f64 {
        examples.iter().map(|example| f64::from(self.class_weight(example.label))).sum()
    }

    fn class_weight(&self, label: f64) -> f32 {
        self.class_weights.get(class_number(label)).copied().unwrap_or(1.0)
    }

    /// The weighted sum of the examples' losses, a scalar with its gradient, and the number of tokens computed; of
    /// the reverse strand where `reverse` says so.
    pub(super) fn loss(
        &self,
        network: &Network,
        examples: &[&Example],
        reverse: impl Fn(usize) -> bool + Sync,
    ) -> Result<(Tensor, u64), TrainError> {
        let head = HeadForward::new(network)?;
        let layers: Vec<usize> = (0..head.forward.depth()).collect();
        let groups = tokenize(examples, self.input, network.tokenizer(), network.max_tokens(), reverse)?;
        let tokens = groups.iter().map(|group| group.ids.len() as u64).sum();
        let outputs = head.outputs(&groups, examples.len(), self.task.outputs(), usize::MAX, &layers)?;
        Ok((self.loss_of(&outputs, examples)?, tokens))
    }

    /// The weighted sum of the losses of outputs [examples, outputs].
    fn loss_of(&self, outputs: &Tensor, examples: &[&Example]) -> Result<Tensor, TrainError> {
        let here = |tensor: Tensor| tensor.f_to_device(outputs.device());
        match self.task {
            TuningTask::Classes(_) => {
                let labels: Vec<i64> =
                    examples.iter().map(|example| dimension(class_number(example.label))).collect();
                let weights: Vec<f32> =
                    examples.iter().map(|example| self.class_weight(example.label)).collect();
                let labels = here(Tensor::f_from_slice(&labels)?)?;
                let losses =
                    outputs.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::None, -100, 0.0)?;
                Ok(losses.f_dot(&here(Tensor::f_from_slice(&weights)?)?)?)
            }
            TuningTask::Number => {
                let Scale { centre, spread } = self.scale;
                let labels: Vec<f32> =
                    examples.iter().map(|example| single((example.label - centre) / spread)).collect();
                let labels = here(Tensor::f_from_slice(&labels)?)?;
                Ok(outputs.f_view([-1])?.f_sub(&labels)?.f_square()?.f_sum(Kind::Float)?)
            }
        }
    }

    /// Predictions of `examples` by the kept layers at the places `layers` alone (all when `None`): the mean over the
    /// strands.
    pub(super) fn predict(
        &self,
        network: &Network,
        examples: &[Example],
        layers: Option<&[usize]>,
    ) -> Result<Predictions, TrainError> {
        tch::no_grad(|| {
            let head = HeadForward::new(network)?;
            let all: Vec<usize> = (0..head.forward.depth()).collect();
            let layers = layers.unwrap_or(&all);
            let most = if network.device().is_cuda() { GPU_BATCH_TOKENS } else { CPU_BATCH_TOKENS } as usize;
            let strands: &[bool] = if self.strands == Strands::Both { &[false, true] } else { &[false] };
            let mut values = Vec::with_capacity(examples.len());
            let mut loss = 0.0;
            for chunk in examples.chunks(CHUNK) {
                let chunk: Vec<&Example> = chunk.iter().collect();
                let mut found = Vec::new();
                for reverse in strands {
                    let groups =
                        tokenize(&chunk, self.input, network.tokenizer(), network.max_tokens(), |_| {
                            *reverse
                        })?;
                    let outputs = head.outputs(&groups, chunk.len(), self.task.outputs(), most, layers)?;
                    loss += self.loss_of(&outputs, &chunk)?.f_double_value(&[])? / strands.len() as f64;
                    found.push(outputs);
                }
                values.extend(self.values(&found)?);
            }
            let every: Vec<&Example> = examples.iter().collect();
            Ok(Predictions { values, loss: loss / self.weight(&every) })
        })
    }

    /// Predictions from the outputs [examples, outputs] of each strand. Probabilities are taken strand by strand
    /// and their mean is the prediction, as `classifier` scores are; of differences the log-odds are, as
    /// `delta_logit` is.
    fn values(&self, strands: &[Tensor]) -> Result<Vec<Vec<f64>>, TrainError> {
        let count = strands.len() as f64;
        let mean = |each: &dyn Fn(&Tensor) -> Result<Tensor, TchError>| -> Result<Tensor, TchError> {
            let found: Vec<Tensor> = strands.iter().map(each).collect::<Result<_, _>>()?;
            Tensor::f_stack(&found, 0)?
                .f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?
                .f_div_scalar(count)
        };
        let plain = |outputs: &Tensor| Ok(outputs.shallow_clone());
        let table = match (self.task, self.input) {
            (TuningTask::Number, _) => mean(&plain)?,
            (TuningTask::Classes(_), TuningInput::Difference) => mean(&plain)?.f_softmax(1, Kind::Float)?,
            (TuningTask::Classes(_), TuningInput::Alternate) => {
                mean(&|outputs| outputs.f_softmax(1, Kind::Float))?
            }
        };
        let rows: Vec<Vec<f32>> = Vec::<Vec<f32>>::try_from(table.f_to_device(Device::Cpu)?)?;
        let Scale { centre, spread } = self.scale;
        let number = |value: f32| match self.task {
            TuningTask::Number => f64::from(value) * spread + centre,
            TuningTask::Classes(_) => f64::from(value),
        };
        Ok(rows.into_iter().map(|row| row.into_iter().map(number).collect()).collect())
    }
}
