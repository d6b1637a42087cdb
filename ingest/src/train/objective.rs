//! What fine-tuning makes small, and what a tuned head says of inputs.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};
use vestore_schema::Strands;

use super::examples::{Example, Group, TuningTask, tokenize};
use super::network::Network;
use super::tuning::{TuningError, TuningInput};
use crate::encoder::{CPU_BATCH_TOKENS, GPU_BATCH_TOKENS};
use crate::model::error::ModelError;
use crate::model::head::ClassHead;
use crate::model::{Chosen, Encoder, LayerStep};

/// Examples that are cut into tokens together when nothing is trained.
const CHUNK: usize = 512;

/// How labels that are numbers are scaled while the head learns them: a head begins near 0 with small weights,
/// whatever the unit of the labels. What is written is scaled back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scale {
    /// Taken off; 0 for differences, which have no offset.
    pub(super) centre: f64,
    /// Divided by.
    pub(super) spread: f64,
}

/// What a head is trained for.
pub(super) struct Objective {
    pub(super) task: TuningTask,
    pub(super) strands: Strands,
    /// What an example of each class counts for.
    pub(super) class_weights: Vec<f32>,
    pub(super) scale: Scale,
    pub(super) input: TuningInput,
}

/// Encoder and head, made of the weights as they are.
pub(super) struct Assembled<'a> {
    network: &'a Network,
    encoder: Encoder,
    head: ClassHead,
}

impl<'a> Assembled<'a> {
    pub(super) fn new(network: &'a Network) -> Result<Self, ModelError> {
        let loader = network.loader();
        Ok(Self { network, encoder: Encoder::load(&loader)?, head: ClassHead::load(&loader)? })
    }

    /// Number of kept layers.
    pub(super) fn depth(&self) -> usize {
        self.encoder.depth()
    }

    /// Token ids [batch × tokens] of `length` tokens each to the head's outputs [batch, outputs], by the kept
    /// layers at the places `layers` alone.
    fn outputs(&self, ids: &[i64], length: usize, layers: &[usize]) -> Result<Tensor, ModelError> {
        let device = self.network.device();
        let length = length as i64;
        let ids = Tensor::f_from_slice(ids)?.f_to_device(device)?.f_view([-1, length])?;
        let batch = ids.size2()?.0 as usize;
        let mut hidden = self.encoder.embed(&ids)?;
        let place = self.encoder.place(length)?;
        // The head reads the first token alone.
        let first = Chosen::new(&vec![vec![0]; batch], length, device)?;
        for (number, layer) in layers.iter().enumerate() {
            let chosen = (number + 1 == layers.len()).then_some(&first);
            hidden = self.encoder.layer(*layer, &hidden, LayerStep { chosen, ..LayerStep::whole(&place) })?;
        }
        Ok(self.head.forward(&self.encoder.finish(&hidden)?)?)
    }

    /// Gives `each` every kept layer's number and the hidden states before and after it.
    pub(super) fn walk(
        &self,
        ids: &[i64],
        length: usize,
        each: &mut dyn FnMut(usize, &Tensor, &Tensor) -> Result<(), tch::TchError>,
    ) -> Result<(), ModelError> {
        let ids =
            Tensor::f_from_slice(ids)?.f_to_device(self.network.device())?.f_view([-1, length as i64])?;
        let mut hidden = self.encoder.embed(&ids)?;
        let place = self.encoder.place(length as i64)?;
        for layer in 0..self.depth() {
            let after = self.encoder.layer(layer, &hidden, LayerStep::whole(&place))?;
            each(layer, &hidden, &after)?;
            hidden = after;
        }
        Ok(())
    }

    /// The outputs [examples, outputs] of groups of sequences: of alternate windows, less those of reference
    /// windows. At most `tokens` tokens are computed at once.
    fn grouped(
        &self,
        groups: &[Group],
        examples: usize,
        outputs: usize,
        tokens: usize,
        layers: &[usize],
    ) -> Result<Tensor, ModelError> {
        let device = self.network.device();
        let mut sum = Tensor::f_zeros([examples as i64, outputs as i64], (Kind::Float, device))?;
        for group in groups {
            for (ids, places) in group.parts(tokens) {
                let found = self.outputs(ids, group.length, layers)?;
                let at: Vec<i64> = places.iter().map(|(place, _)| *place as i64).collect();
                let signs: Vec<f32> = places.iter().map(|(_, sign)| *sign).collect();
                let at = Tensor::f_from_slice(&at)?.f_to_device(device)?;
                let signs = Tensor::f_from_slice(&signs)?.f_to_device(device)?.f_view([-1, 1])?;
                sum = sum.f_index_add(0, &at, &found.f_mul(&signs)?)?;
            }
        }
        Ok(sum)
    }
}

/// What a head says of examples, and how far off it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// For each example the probability of each class, or the number in the labels' unit.
    pub(super) predictions: Vec<Vec<f64>>,
    /// Mean loss: nats, or squared standard deviations of the training labels.
    pub(super) loss: f64,
}

impl Objective {
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
            if balanced { (count / (f64::from(task.outputs() as u32) * of_class)) as f32 } else { 1.0 }
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
        self.class_weights.get(label as usize).copied().unwrap_or(1.0)
    }

    /// The weighted sum of the examples' losses, a scalar with its gradient; of the reverse strand where `reverse`
    /// says so.
    pub(super) fn loss(
        &self,
        network: &Network,
        examples: &[&Example],
        reverse: impl Fn(usize) -> bool + Sync,
    ) -> Result<Tensor, TuningError> {
        let assembled = Assembled::new(network)?;
        let layers: Vec<usize> = (0..assembled.depth()).collect();
        let groups = tokenize(examples, self.input, network.tokenizer(), network.max_tokens(), reverse)?;
        let sum = assembled.grouped(&groups, examples.len(), self.task.outputs(), usize::MAX, &layers)?;
        self.of(&sum, examples)
    }

    /// The weighted sum of the losses of outputs [examples, outputs].
    fn of(&self, outputs: &Tensor, examples: &[&Example]) -> Result<Tensor, TuningError> {
        let here = |tensor: Tensor| tensor.f_to_device(outputs.device());
        match self.task {
            TuningTask::Classes(_) => {
                let labels: Vec<i64> = examples.iter().map(|example| example.label as i64).collect();
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
                    examples.iter().map(|example| ((example.label - centre) / spread) as f32).collect();
                let labels = here(Tensor::f_from_slice(&labels)?)?;
                Ok(outputs.f_view([-1])?.f_sub(&labels)?.f_square()?.f_sum(Kind::Float)?)
            }
        }
    }

    /// What the head says of `examples`, by the kept layers at the places `layers` alone (all when `None`): the
    /// mean over the strands.
    pub(super) fn say(
        &self,
        network: &Network,
        examples: &[Example],
        layers: Option<&[usize]>,
    ) -> Result<Said, TuningError> {
        tch::no_grad(|| {
            let assembled = Assembled::new(network)?;
            let all: Vec<usize> = (0..assembled.depth()).collect();
            let layers = layers.unwrap_or(&all);
            let most = if network.device().is_cuda() { GPU_BATCH_TOKENS } else { CPU_BATCH_TOKENS } as usize;
            let strands: &[bool] = if self.strands == Strands::Both { &[false, true] } else { &[false] };
            let mut predictions = Vec::with_capacity(examples.len());
            let mut loss = 0.0;
            for chunk in examples.chunks(CHUNK) {
                let chunk: Vec<&Example> = chunk.iter().collect();
                let mut found = Vec::new();
                for reverse in strands {
                    let groups =
                        tokenize(&chunk, self.input, network.tokenizer(), network.max_tokens(), |_| {
                            *reverse
                        })?;
                    let outputs =
                        assembled.grouped(&groups, chunk.len(), self.task.outputs(), most, layers)?;
                    loss += self.of(&outputs, &chunk)?.f_double_value(&[])? / strands.len() as f64;
                    found.push(outputs);
                }
                predictions.extend(self.finished(&found)?);
            }
            let every: Vec<&Example> = examples.iter().collect();
            Ok(Said { predictions, loss: loss / self.weight(&every) })
        })
    }

    /// Predictions from the outputs [examples, outputs] of each strand. Probabilities are taken strand by strand
    /// and their mean is the prediction, as `classifier` scores are; of differences the log-odds are, as
    /// `delta_logit` is.
    fn finished(&self, strands: &[Tensor]) -> Result<Vec<Vec<f64>>, TuningError> {
        let count = strands.len() as f64;
        let mean =
            |each: &dyn Fn(&Tensor) -> Result<Tensor, tch::TchError>| -> Result<Tensor, tch::TchError> {
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
        let rows: Vec<Vec<f32>> = Vec::<Vec<f32>>::try_from(table.f_to_device(tch::Device::Cpu)?)?;
        let Scale { centre, spread } = self.scale;
        let number = |value: f32| match self.task {
            TuningTask::Number => f64::from(value) * spread + centre,
            TuningTask::Classes(_) => f64::from(value),
        };
        Ok(rows.into_iter().map(|row| row.into_iter().map(number).collect()).collect())
    }
}
