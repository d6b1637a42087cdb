//! Weights by name, of which some are trained.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, TchError, Tensor};

use super::state::StateError;

/// A network that is made of leaves anew in every step.
pub(super) trait Trainable {
    /// Its weights.
    fn leaves(&self) -> &Leaves;

    /// Its weights, to be changed.
    fn leaves_mut(&mut self) -> &mut Leaves;
}

/// A model's weights in float32 on a device.
pub(crate) struct Leaves {
    /// All of them.
    tensors: BTreeMap<String, Tensor>,
    /// Those that are trained, each a leaf of its own.
    weights: BTreeMap<String, Tensor>,
    device: Device,
}

impl Leaves {
    /// Weights in float32, of which those are trained whose names are `chosen`.
    pub(super) fn new(
        tensors: BTreeMap<String, Tensor>,
        chosen: impl Fn(&str) -> bool,
        device: Device,
    ) -> Result<Self, TchError> {
        let mut leaves = Self { tensors: BTreeMap::new(), weights: BTreeMap::new(), device };
        for (name, tensor) in tensors {
            let tensor = tensor.f_to_device(device)?.f_set_requires_grad(chosen(&name))?;
            if tensor.requires_grad() {
                leaves.weights.insert(name.clone(), tensor.shallow_clone());
            }
            leaves.tensors.insert(name, tensor);
        }
        Ok(leaves)
    }

    /// All weights by name.
    pub(super) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The trained weights by name.
    pub(super) fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.weights
    }

    /// What computes.
    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// Numbers in all weights.
    pub(super) fn parameters(&self) -> u64 {
        count(&self.tensors)
    }

    /// Numbers in the trained weights.
    pub(super) fn trained_parameters(&self) -> u64 {
        count(&self.weights)
    }

    /// Takes weights as a state holds them, and moves the optimizer's means to where the weights are.
    pub(super) fn restore(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        means: BTreeMap<String, [Tensor; 2]>,
        file: &Path,
    ) -> Result<BTreeMap<String, [Tensor; 2]>, StateError> {
        let fits = self.weights.keys().eq(weights.keys())
            && self.weights.iter().all(|(name, weight)| {
                let same = |tensor: &Tensor| tensor.size() == weight.size();
                same(&weights[name]) && means.get(name).is_some_and(|means| means.iter().all(same))
            });
        if !fits {
            let reason = "its weights are not those of the model".to_owned();
            return Err(StateError::Malformed { file: file.to_owned(), reason });
        }
        for (name, weight) in &mut self.weights {
            *weight = weights[name].f_to_device(self.device)?.f_set_requires_grad(true)?;
            self.tensors.insert(name.clone(), weight.shallow_clone());
        }
        let moved = means.into_iter().map(|(name, [mean, square])| {
            Ok((name, [mean.f_to_device(self.device)?, square.f_to_device(self.device)?]))
        });
        moved.collect()
    }

    /// Puts other numbers of the same shapes into the trained weights.
    pub(super) fn replace(&mut self, weights: &BTreeMap<String, Tensor>) -> Result<(), TchError> {
        tch::no_grad(|| {
            for (name, weight) in &mut self.weights {
                if let Some(other) = weights.get(name) {
                    weight.detach().f_copy_(&other.f_to_device(self.device)?)?;
                }
            }
            Ok(())
        })
    }
}

fn count(tensors: &BTreeMap<String, Tensor>) -> u64 {
    tensors.values().map(|tensor| tensor.numel() as u64).sum()
}
