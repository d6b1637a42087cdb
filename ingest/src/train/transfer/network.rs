//! A regulatory model in training: its weights as leaves, and the loss of one window with its gradient.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};
use vestore_schema::{Bins, Head};

use super::loss::poisson_multinomial;
use crate::error::ModelError;
use crate::random::Random;
use crate::regulatory::{RegulatoryFiles, Trunk};
use crate::train::leaves::{Leaves, Trainable};

/// What a stream of random numbers is for.
const DROPOUT: u64 = 0xd409;

/// A regulatory model whose weights are trained.
pub(super) struct TransferNetwork {
    pub(super) files: RegulatoryFiles,
    /// All weights of kept blocks, the head and the adapter, by the names of their files.
    pub(super) leaves: Leaves,
    pub(super) head: Head,
    pub(super) bins: Bins,
    /// What the trunk computes in; the weights stay float32.
    pub(super) kind: Kind,
    pub(super) dropout: f64,
    pub(super) total_weight: f64,
    pub(super) recompute: bool,
}

/// A window as it is learned.
pub(super) struct Example {
    /// One-hot [1, 4, bases].
    pub(super) bases: Tensor,
    /// [targets, bins]; not a number where a bin is left out.
    pub(super) measured: Tensor,
    /// Of the numbers that dropout draws.
    pub(super) seed: u64,
}

impl Trainable for TransferNetwork {
    fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    fn leaves_mut(&mut self) -> &mut Leaves {
        &mut self.leaves
    }
}

impl TransferNetwork {
    /// What computes.
    pub(super) fn device(&self) -> Device {
        self.leaves.device()
    }

    fn trunk(&self, weights: &BTreeMap<String, Tensor>, dropout: f64) -> Result<Trunk, ModelError> {
        Trunk::in_training(&self.files, weights, dropout, self.head, self.kind, self.device())
    }

    /// The model as it is now, of which nothing is trained.
    pub(super) fn fixed(&self) -> Result<Trunk, ModelError> {
        self.fixed_with(0.0)
    }

    fn fixed_with(&self, dropout: f64) -> Result<Trunk, ModelError> {
        let weights =
            self.leaves.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect();
        self.trunk(&weights, dropout)
    }

    /// The profile [targets, bins] that `trunk` predicts of one-hot bases [1, 4, bases].
    pub(super) fn profile(&self, trunk: &Trunk, bases: &Tensor) -> Result<Tensor, TchError> {
        let mut state = trunk.begin(bases)?;
        for block in 0..trunk.depth() {
            state = trunk.block(block, &state, None)?;
        }
        trunk.profile(&state, self.bins)
    }

    /// The loss of a profile.
    pub(super) fn loss(&self, predicted: &Tensor, measured: &Tensor) -> Result<Tensor, TchError> {
        poisson_multinomial(predicted, measured, self.total_weight)
    }

    /// Adds the gradients of `share` times the loss of a window to the weights, and returns the loss.
    pub(super) fn backward(&self, example: &Example, share: f64) -> Result<f64, ModelError> {
        let trunk = self.trunk(self.leaves.tensors(), self.dropout)?;
        if self.recompute {
            return self.recomputed(&trunk, example, share);
        }
        let mut state = trunk.begin(&example.bases)?;
        for block in 0..trunk.depth() {
            self.seed(example, block);
            state = trunk.block(block, &state, None)?;
        }
        let loss = self.loss(&trunk.profile(&state, self.bins)?, &example.measured)?;
        loss.f_mul_scalar(share)?.f_backward()?;
        Ok(loss.f_double_value(&[])?)
    }

    /// The same with what each block reads alone kept: the block is run again for its gradient.
    fn recomputed(&self, trunk: &Trunk, example: &Example, share: f64) -> Result<f64, ModelError> {
        let fixed = self.fixed_with(self.dropout)?;
        let mut states = vec![fixed.begin(&example.bases)?];
        for block in 0..fixed.depth() {
            self.seed(example, block);
            let next = fixed.block(block, &states[block], None)?;
            states.push(next);
        }
        let begin_learns = trunk.begin_learns();
        let last = states[fixed.depth()].leaf(begin_learns)?;
        let loss = self.loss(&trunk.profile(&last, self.bins)?, &example.measured)?;
        loss.f_mul_scalar(share)?.f_backward()?;
        let loss = loss.f_double_value(&[])?;
        let mut slope = last.hidden.f_grad()?;
        for block in (0..trunk.depth()).rev() {
            let read = states[block].leaf(false)?;
            self.seed(example, block);
            pull(&trunk.block(block, &read, None)?.hidden, &slope)?;
            slope = read.hidden.f_grad()?;
        }
        if begin_learns {
            let state = trunk.begin(&example.bases)?;
            let mut through = state.hidden.f_mul(&slope)?.f_sum(Kind::Float)?;
            for (skip, leaf) in state.skips.iter().zip(&last.skips) {
                through = through.f_add(&skip.f_mul(&leaf.f_grad()?)?.f_sum(Kind::Float)?)?;
            }
            if through.requires_grad() {
                through.f_backward()?;
            }
        }
        Ok(loss)
    }

    fn seed(&self, example: &Example, block: usize) {
        if self.dropout > 0.0 {
            let bits = Random::of(&[DROPOUT, example.seed, block as u64]).bits();
            tch::manual_seed(i64::from_ne_bytes(bits.to_ne_bytes()));
        }
    }
}

/// Follows the gradient `slope` of a result back.
fn pull(result: &Tensor, slope: &Tensor) -> Result<(), TchError> {
    result.f_mul(slope)?.f_sum(Kind::Float)?.f_backward()
}
