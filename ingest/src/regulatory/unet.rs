//! Borzoi's way back to a finer resolution: tokens are repeated, what the tower saw at that resolution is added.

use tch::{TchError, Tensor};

use super::blueprint::ConvolutionNames;
use super::convolution::{Gelu, Pointwise, Separable};
use super::loader::Loader;
use crate::error::ModelError;

/// One doubling of the resolution.
pub(super) struct Doubling {
    /// Reads what the tower saw.
    horizontal: Pointwise,
    upsampling: Pointwise,
    separable: Separable,
}

impl Doubling {
    /// The doubling `number`: 1, then 0.
    pub(super) fn load(loader: &Loader<'_>, number: u32, eps: f64) -> Result<Self, ModelError> {
        let pointwise = |block: String| -> Result<Pointwise, ModelError> {
            loader.pointwise(&ConvolutionNames::borzoi(&block), eps, Gelu::Tanh)
        };
        Ok(Self {
            horizontal: pointwise(format!("horizontal_conv{number}"))?,
            upsampling: pointwise(format!("upsampling_unet{number}.0"))?,
            separable: loader.separable(&format!("separable{number}.conv_layer"))?,
        })
    }

    /// What is added to the doubled tokens, of positions of the tower.
    pub(super) fn skip(&self, tower: &Tensor) -> Result<Tensor, TchError> {
        self.horizontal.forward(tower)
    }

    /// Whether what it reads of the tower is trained.
    pub(super) fn skip_learns(&self) -> bool {
        self.horizontal.learns()
    }

    /// [positions, hidden] to twice as many.
    pub(super) fn forward(&self, tokens: &Tensor, skip: &Tensor) -> Result<Tensor, TchError> {
        self.separable.forward(&self.upsampled(tokens)?.f_add_(skip)?)
    }

    pub(super) fn upsampled(&self, tokens: &Tensor) -> Result<Tensor, TchError> {
        self.upsampling.forward(tokens)?.f_repeat_interleave_self_int(2, 0, None)
    }
}
