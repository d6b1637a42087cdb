//! A finished model with a head: its predictions, also with some of its layers skipped.

use tch::{Device, Kind, TchError, Tensor};
use vestore_schema::Strands;

use super::head::{HeadObjective, Predictions};
use super::plan::TuningInput;
use super::start;
use super::tokens::tokenize;
use crate::checkpoint::ModelSource;
use crate::dataset::{Example, TuningTask};
use crate::encoder::model::ModelFiles;
use crate::encoder::token_movement;
use crate::train::error::TrainError;
use crate::train::network::Network;

/// Examples whose hidden states are compared at once.
const AT_ONCE: usize = 16;

/// A tuned model.
pub(crate) struct TunedModel {
    pub(super) network: Network,
    pub(super) objective: HeadObjective,
}

impl TunedModel {
    /// Opens a model whose head was tuned for `task`.
    pub(crate) fn open(
        source: &ModelSource,
        task: TuningTask,
        input: TuningInput,
        strands: Strands,
        device: Device,
    ) -> Result<Self, TrainError> {
        let network = start::finished(ModelFiles::open(source)?, task, device)?;
        // A written head returns numbers in the labels' unit.
        let objective = HeadObjective::new(task, strands, input, false, &[]);
        Ok(Self { network, objective })
    }

    /// Number of kept layers.
    pub(crate) fn depth(&self) -> usize {
        self.network.opened().kept.len()
    }

    /// Predictions of `examples` by the kept layers at the places `layers` alone, by all when `None`.
    pub(crate) fn predict(
        &self,
        examples: &[Example],
        layers: Option<&[usize]>,
    ) -> Result<Predictions, TrainError> {
        self.objective.predict(&self.network, examples, layers)
    }

    /// For each kept layer the mean cosine and the mean angle between hidden states before and after it, over all
    /// tokens of the alternate windows, forward strand.
    pub(crate) fn movement(&self, examples: &[Example]) -> Result<Vec<[f64; 2]>, TrainError> {
        tch::no_grad(|| {
            let forward = self.network.forward()?;
            let layers: Vec<usize> = (0..self.depth()).collect();
            let mut sums = vec![[0.0; 2]; layers.len()];
            let mut tokens = 0.0;
            let mut add = |layer: usize, before: &Tensor, after: &Tensor| -> Result<(), TchError> {
                let [cosine, angle] = token_movement(before, after)?;
                sums[layer][0] += cosine.f_sum(Kind::Double)?.f_double_value(&[])?;
                sums[layer][1] += angle.f_sum(Kind::Double)?.f_double_value(&[])?;
                if layer == 0 {
                    tokens += cosine.numel() as f64;
                }
                Ok(())
            };
            for chunk in examples.chunks(AT_ONCE) {
                let chunk: Vec<&Example> = chunk.iter().collect();
                let (tokenizer, most) = (self.network.tokenizer(), self.network.max_tokens());
                for group in tokenize(&chunk, TuningInput::Alternate, tokenizer, most, |_| false)? {
                    let _ = forward.hidden(&group.ids, group.length, &layers, false, &mut add)?;
                }
            }
            Ok(sums.into_iter().map(|sums| sums.map(|sum| sum / tokens)).collect())
        })
    }
}
