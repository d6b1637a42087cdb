//! Fills an encoder's building blocks from a model's files, one tensor at a time.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::files::ModelFiles;
use crate::checkpoint::to_tensor;
use crate::error::ModelError;
use crate::module::{Bottleneck, Linear, Norm};

/// Reads weights out of their files, merges the adapter's changes in float32, and casts.
pub(crate) struct Loader<'a> {
    pub(crate) opened: &'a ModelFiles,
    /// Weights to take instead of the files', by name: those that are being trained. What is made of them keeps
    /// its gradient.
    pub(crate) trained: Option<&'a BTreeMap<String, Tensor>>,
    pub(crate) kind: Kind,
    pub(crate) device: Device,
}

impl Loader<'_> {
    fn place(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_device(self.device)?.f_to_kind(self.kind)
    }

    fn raw(&self, name: &str) -> Result<Option<Tensor>, TchError> {
        if let Some(tensor) = self.trained.and_then(|trained| trained.get(name)) {
            return Ok(Some(tensor.shallow_clone()));
        }
        self.opened.find(name).map(|found| to_tensor(&found)).transpose()
    }

    fn required(&self, name: &str) -> Result<Tensor, ModelError> {
        let missing = || {
            let file = self.opened.path_of(name);
            ModelError::MissingWeight { file, key: name.to_owned(), count: 1 }
        };
        self.raw(name)?.ok_or_else(missing)
    }

    /// Whether the adapter changes a module.
    pub(crate) fn is_changed(&self, module: &str) -> bool {
        self.opened.adapter.as_ref().is_some_and(|adapter| adapter.changes(module))
    }

    /// The weight of `module`, with the adapter's changes, where its own is that of `table`, without them.
    pub(crate) fn other_weight(&self, module: &str, table: &str) -> Result<Tensor, ModelError> {
        let weight = self.required(&format!("{table}.weight"))?;
        Ok(self.place(&self.change(module, weight, None)?.0)?)
    }

    /// Weight and bias of a module with the adapter's changes, on the CPU, not yet cast.
    fn merged(&self, module: &str) -> Result<(Tensor, Option<Tensor>), ModelError> {
        let weight = self.required(&format!("{module}.weight"))?;
        let bias = self.raw(&format!("{module}.bias"))?;
        self.change(module, weight, bias)
    }

    fn change(
        &self,
        module: &str,
        weight: Tensor,
        bias: Option<Tensor>,
    ) -> Result<(Tensor, Option<Tensor>), ModelError> {
        match self.opened.adapter.as_ref().filter(|adapter| adapter.changes(module)) {
            None => Ok((weight, bias)),
            Some(adapter) => {
                let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
                Ok(adapter.merge(module, weight.f_to_kind(Kind::Float)?, bias, self.trained)?)
            }
        }
    }

    /// A single named tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        Ok(self.place(&self.required(name)?)?)
    }

    /// The table of an embedding module.
    pub(crate) fn embedding(&self, module: &str) -> Result<Tensor, ModelError> {
        Ok(self.place(&self.merged(module)?.0)?)
    }

    pub(crate) fn linear(&self, module: &str) -> Result<Linear, ModelError> {
        let (weight, bias) = self.merged(module)?;
        let bias = bias.map(|bias| self.place(&bias)).transpose()?;
        Ok(Linear { weight: self.place(&weight)?, bias })
    }

    /// Several modules over one input as one, so that one product serves them all.
    pub(crate) fn joined(&self, modules: &[String]) -> Result<Linear, ModelError> {
        let parts: Vec<Linear> =
            modules.iter().map(|module| self.linear(module)).collect::<Result<_, _>>()?;
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weight).collect();
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        let bias = if biases.len() == parts.len() { Some(Tensor::f_cat(&biases, 0)?) } else { None };
        Ok(Linear { weight: Tensor::f_cat(&weights, 0)?, bias })
    }

    /// The adapter's bottleneck of that name, if it has one.
    pub(crate) fn bottleneck(&self, module: &str) -> Result<Option<Bottleneck>, ModelError> {
        let Some(adapter) = &self.opened.adapter else { return Ok(None) };
        let Some(tensors) = adapter.bottleneck(module, self.trained)? else { return Ok(None) };
        let [down, down_bias, up, up_bias] = tensors.map(|tensor| self.place(&tensor));
        Ok(Some(Bottleneck {
            down: Linear { weight: down?, bias: Some(down_bias?) },
            up: Linear { weight: up?, bias: Some(up_bias?) },
        }))
    }

    pub(crate) fn norm(&self, module: &str, eps: f64) -> Result<Norm, ModelError> {
        let weight = self.tensor(&format!("{module}.weight"))?;
        Ok(Norm { weight, bias: self.tensor(&format!("{module}.bias"))?, eps })
    }
}
