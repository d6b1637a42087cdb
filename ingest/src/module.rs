//! What networks of every family are built of: which module has weights of which shape, and the blocks that compute.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

/// A module with weights, and the shape of its `weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// `weight` [outputs, inputs], `bias` [outputs] where `bias`.
    Linear { outputs: usize, inputs: usize, bias: bool },
    /// `weight` [outputs, inputs, kernel], `bias` [outputs] where `bias`.
    Convolution { outputs: usize, inputs: usize, kernel: usize, bias: bool },
    /// `weight` [rows, length].
    Embedding { rows: usize, length: usize },
    /// `weight` and `bias` [length].
    Norm { length: usize },
}

impl Module {
    /// The names and shapes of its weights.
    pub(crate) fn parameters(self, name: &str) -> Vec<(String, Vec<usize>)> {
        let weight = format!("{name}.weight");
        let bias = format!("{name}.bias");
        match self {
            Self::Linear { outputs, inputs, bias: true } => {
                vec![(weight, vec![outputs, inputs]), (bias, vec![outputs])]
            }
            Self::Linear { outputs, inputs, bias: false } => vec![(weight, vec![outputs, inputs])],
            Self::Convolution { outputs, inputs, kernel, bias: true } => {
                vec![(weight, vec![outputs, inputs, kernel]), (bias, vec![outputs])]
            }
            Self::Convolution { outputs, inputs, kernel, bias: false } => {
                vec![(weight, vec![outputs, inputs, kernel])]
            }
            Self::Embedding { rows, length } => vec![(weight, vec![rows, length])],
            Self::Norm { length } => vec![(weight, vec![length]), (bias, vec![length])],
        }
    }
}

/// Modules by name.
pub(crate) type Modules = BTreeMap<String, Module>;

/// y = x·Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
}

impl Linear {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, self.bias.as_ref())
    }

    /// The part of it that gives `count` numbers from the `first` on.
    pub(crate) fn part(&self, first: i64, count: i64) -> Result<Self, TchError> {
        let bias = self.bias.as_ref().map(|bias| bias.f_narrow(0, first, count)).transpose()?;
        Ok(Self { weight: self.weight.f_narrow(0, first, count)?, bias })
    }
}

/// A small network beside the stream: x + up(relu(down(x))).
#[derive(Debug)]
pub(crate) struct Bottleneck {
    pub(crate) down: Linear,
    pub(crate) up: Linear,
}

impl Bottleneck {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        self.up.forward(&self.down.forward(input)?.f_relu()?)?.f_add(input)
    }
}

/// Normalization over the last dimension.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) eps: f64,
}

impl Norm {
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}
