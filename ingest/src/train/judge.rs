//! A finished model with a classification head, asked with some of its layers skipped.

use tch::{Device, Kind, Tensor};
use vestore_schema::Strands;

use super::examples::{Example, TuningTask, tokenize};
use super::network::Network;
use super::objective::{Assembled, Objective};
use super::start;
use super::tuning::{TuningError, TuningInput};
use crate::model::source::{ModelSource, Opened};

/// A tuned model.
pub(crate) struct Judge {
    network: Network,
    objective: Objective,
    depth: usize,
}

impl Judge {
    /// Opens a model whose head was tuned for `task`.
    pub(crate) fn open(
        source: &ModelSource,
        task: TuningTask,
        input: TuningInput,
        strands: Strands,
        device: Device,
    ) -> Result<Self, TuningError> {
        let opened = Opened::open(source)?;
        let depth = opened.kept.len();
        let network = start::finished(opened, task, device)?;
        // What is written gives numbers in the labels' unit.
        let objective = Objective::new(task, strands, input, false, &[]);
        Ok(Self { network, objective, depth })
    }

    /// Number of kept layers.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Predictions of `examples`, and their mean loss, by the kept layers at the places `layers` alone.
    pub(crate) fn predict(
        &self,
        examples: &[Example],
        layers: &[usize],
    ) -> Result<(Vec<Vec<f64>>, f64), TuningError> {
        let said = self.objective.say(&self.network, examples, Some(layers))?;
        Ok((said.predictions, said.loss))
    }

    /// For each kept layer the mean cosine and the mean angle between hidden states before and after it, over all
    /// tokens of the alternate windows, forward strand.
    pub(crate) fn movement(&self, examples: &[Example]) -> Result<Vec<[f64; 2]>, TuningError> {
        tch::no_grad(|| {
            let assembled = Assembled::new(&self.network)?;
            let mut sums = vec![[0.0; 2]; self.depth];
            let mut tokens = 0.0;
            let mut add = |layer: usize, before: &Tensor, after: &Tensor| -> Result<(), tch::TchError> {
                let cosine = Tensor::f_cosine_similarity(before, after, -1, 1e-12)?.f_clamp(-1.0, 1.0)?;
                sums[layer][0] += cosine.f_sum(Kind::Double)?.f_double_value(&[])?;
                sums[layer][1] += cosine.f_acos()?.f_sum(Kind::Double)?.f_double_value(&[])?;
                if layer == 0 {
                    tokens += cosine.numel() as f64;
                }
                Ok(())
            };
            for chunk in examples.chunks(16) {
                let chunk: Vec<&Example> = chunk.iter().collect();
                let (tokenizer, most) = (self.network.tokenizer(), self.network.max_tokens());
                for group in tokenize(&chunk, TuningInput::Alternate, tokenizer, most, |_| false)? {
                    assembled.walk(&group.ids, group.length, &mut add)?;
                }
            }
            Ok(sums.into_iter().map(|sums| sums.map(|sum| sum / tokens)).collect())
        })
    }
}
