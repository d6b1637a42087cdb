//! Reads the weights of a regulatory model, merges an adapter's changes in float32, and casts.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::blueprint::ConvolutionNames;
use super::convolution::{BatchNorm, Convolution, Gelu, Pointwise, Separable};
use super::files::RegulatoryFiles;
use super::gate::Gate;
use crate::checkpoint::to_tensor;
use crate::error::ModelError;
use crate::module::{Bottleneck, Linear, Norm};

pub(super) struct Loader<'a> {
    pub(super) files: &'a RegulatoryFiles,
    /// Weights to take instead of the files', by name: those of a training. What is made of them keeps its gradient.
    pub(super) trained: Option<&'a BTreeMap<String, Tensor>>,
    /// The share of a block's numbers that a training leaves out.
    pub(super) dropout: f64,
    pub(super) kind: Kind,
    pub(super) device: Device,
}

/// The kind of numbers that norms and heads are computed in: never less than float32.
pub(super) fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

impl Loader<'_> {
    /// A weight under training, or as stored, on the CPU; in the wide kind.
    fn stored(&self, name: &str) -> Result<Tensor, ModelError> {
        if let Some(tensor) = self.trained.and_then(|trained| trained.get(name)) {
            return Ok(tensor.f_to_kind(wide(self.kind))?);
        }
        let found = self.files.find(name).ok_or_else(|| ModelError::MissingWeight {
            file: self.files.checkpoint.path().to_owned(),
            key: name.to_owned(),
            count: 1,
        })?;
        Ok(to_tensor(&found)?.f_to_kind(wide(self.kind))?)
    }

    fn place(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_device(self.device)?.f_to_kind(self.kind)
    }

    fn place_wide(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_device(self.device)?.f_to_kind(wide(self.kind))
    }

    /// Whether there is such a weight.
    fn has(&self, name: &str) -> bool {
        self.trained.is_some_and(|trained| trained.contains_key(name)) || self.files.find(name).is_some()
    }

    /// Weight and bias of a module with the adapter's changes, in the wide kind, not yet on the device.
    pub(super) fn module(&self, module: &str) -> Result<(Tensor, Option<Tensor>), ModelError> {
        let weight = self.stored(&format!("{module}.weight"))?;
        let bias = format!("{module}.bias");
        let bias = self.has(&bias).then(|| self.stored(&bias)).transpose()?;
        Ok(match &self.files.adapter {
            None => (weight, bias),
            Some(adapter) => adapter.merge(module, weight, bias, self.trained)?,
        })
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        Ok(self.place(&self.stored(name)?)?)
    }

    pub(super) fn linear(&self, module: &str) -> Result<Linear, ModelError> {
        let (weight, bias) = self.module(module)?;
        let bias = bias.map(|bias| self.place(&bias)).transpose()?;
        Ok(Linear { weight: self.place(&weight)?, bias })
    }

    /// A head, which is float32 whatever the trunk is: the rows `chosen` of it.
    pub(super) fn head(&self, module: &str, chosen: Option<&[u32]>) -> Result<Linear, ModelError> {
        let (weight, bias) = self.module(module)?;
        let weight = weight.f_flatten(1, -1)?;
        let Some(chosen) = chosen else {
            let bias = bias.map(|bias| self.place_wide(&bias)).transpose()?;
            return Ok(Linear { weight: self.place_wide(&weight)?, bias });
        };
        let rows: Vec<i64> = chosen.iter().copied().map(i64::from).collect();
        let rows = Tensor::f_from_slice(&rows)?;
        let choose = |tensor: &Tensor| self.place_wide(&tensor.f_index_select(0, &rows)?);
        Ok(Linear { weight: choose(&weight)?, bias: bias.as_ref().map(choose).transpose()? })
    }

    pub(super) fn norm(&self, module: &str, eps: f64) -> Result<Norm, ModelError> {
        let weight = self.tensor(&format!("{module}.weight"))?;
        Ok(Norm { weight, bias: self.tensor(&format!("{module}.bias"))?, eps })
    }

    /// The adapter's bottleneck of that name, if it has one.
    pub(super) fn bottleneck(&self, module: &str) -> Result<Option<Bottleneck>, ModelError> {
        let Some(adapter) = &self.files.adapter else { return Ok(None) };
        let Some(tensors) = adapter.bottleneck(module, self.trained)? else { return Ok(None) };
        let [down, down_bias, up, up_bias] = tensors.map(|tensor| self.place(&tensor));
        Ok(Some(Bottleneck {
            down: Linear { weight: down?, bias: Some(down_bias?) },
            up: Linear { weight: up?, bias: Some(up_bias?) },
        }))
    }

    /// What the adapter scales the result of a convolution by, if anything.
    pub(super) fn gate(&self, module: &str) -> Result<Option<Gate>, ModelError> {
        let Some(adapter) = &self.files.adapter else { return Ok(None) };
        let Some([down, up]) = adapter.gate(module, self.trained)? else { return Ok(None) };
        Ok(Some(Gate { down: self.place_wide(&down)?, up: self.place_wide(&up)? }))
    }

    /// A convolution, and the batch norm before it where there is one.
    pub(super) fn convolution(
        &self,
        names: &ConvolutionNames,
        eps: f64,
    ) -> Result<(Option<BatchNorm>, Convolution), ModelError> {
        let norm = names.norm.as_ref().map(|norm| self.batch_norm(norm, eps)).transpose()?;
        let (weight, bias) = self.module(&names.convolution)?;
        let (outputs, inputs, kernel) = weight.size3()?;
        let weight = weight.f_permute([2, 1, 0])?.f_reshape([kernel * inputs, outputs])?;
        let bias = bias.ok_or_else(|| TchError::Shape("a convolution without bias".to_owned()))?;
        let convolution = Convolution { weight: self.place(&weight)?, bias: self.place(&bias)?, kernel };
        Ok((norm, convolution))
    }

    /// Batch norm with running statistics, as a factor and a summand, computed in float64.
    fn batch_norm(&self, module: &str, eps: f64) -> Result<BatchNorm, ModelError> {
        let part = |part: &str| {
            Ok::<_, ModelError>(self.stored(&format!("{module}.{part}"))?.f_to_kind(Kind::Double)?)
        };
        let deviation = part("running_var")?.f_add_scalar(eps)?.f_sqrt()?;
        let scale = part("weight")?.f_div(&deviation)?;
        let shift = part("bias")?.f_sub(&part("running_mean")?.f_mul(&scale)?)?;
        Ok(BatchNorm { scale: self.place_wide(&scale)?, shift: self.place_wide(&shift)? })
    }

    /// A convolution of width 1 with the batch norm before it.
    pub(super) fn pointwise(
        &self,
        names: &ConvolutionNames,
        eps: f64,
        gelu: Gelu,
    ) -> Result<Pointwise, ModelError> {
        let (norm, convolution) = self.convolution(names, eps)?;
        let norm = norm.ok_or_else(|| TchError::Shape("a convolution without norm".to_owned()))?;
        Ok(Pointwise { norm, convolution, gelu })
    }

    /// A convolution by channel without bias, and one of width 1.
    pub(super) fn separable(&self, module: &str) -> Result<Separable, ModelError> {
        let depthwise = self.module(&format!("{module}.0"))?.0.f_squeeze_dim(1)?.f_transpose(0, 1)?;
        let names = ConvolutionNames { norm: None, convolution: format!("{module}.1") };
        Ok(Separable {
            depthwise: self.place_wide(&depthwise.f_contiguous()?)?,
            pointwise: self.convolution(&names, 0.0)?.1,
        })
    }

    /// The matrix [inputs, outputs] of a convolution of width 1 without bias.
    pub(super) fn matrix(&self, module: &str) -> Result<Tensor, ModelError> {
        let weight = self.stored(&format!("{module}.weight"))?.f_flatten(1, -1)?;
        Ok(self.place(&weight.f_transpose(0, 1)?.f_contiguous()?)?)
    }
}
