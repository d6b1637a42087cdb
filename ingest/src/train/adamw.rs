//! `AdamW` (Loshchilov and Hutter 2017, arXiv 1711.05101) over named float32 tensors, with its state in the
//! open so that a training can be interrupted and continued.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::error::TrainError;

/// What steers it, besides the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWOptions {
    /// Decay of the gradient's running mean.
    pub beta1: f64,
    /// Decay of the running mean of its square.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// Weight decay of matrices, times the learning rate; norms and biases have none.
    pub weight_decay: f64,
    /// Maximum gradient norm over all weights; longer gradients are scaled to it.
    pub clip: f64,
}

impl Default for AdamWOptions {
    /// As dnaGrinder trains (arXiv 2409.15697), with the usual clipping at 1.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weight_decay: 1e-5, clip: 1.0 }
    }
}

impl AdamWOptions {
    /// As torch's own begins, for models that are trained further.
    #[must_use]
    pub fn of_tuning(weight_decay: f64, clip: f64) -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay, clip }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.clip.is_nan() || self.clip <= 0.0 {
            return TrainError::setting("maximum gradient norm", self.clip, "more than 0");
        }
        Ok(())
    }
}

/// The optimizer's running means.
pub(crate) struct AdamW {
    options: AdamWOptions,
    /// Mean and mean square of the gradient, by weight.
    means: BTreeMap<String, [Tensor; 2]>,
    steps: u64,
}

impl AdamW {
    /// An optimizer that has seen nothing yet.
    pub(crate) fn new(options: AdamWOptions, weights: &BTreeMap<String, Tensor>) -> Result<Self, TchError> {
        let zeros = |weight: &Tensor| -> Result<_, TchError> {
            let weight = weight.detach();
            Ok([weight.f_zeros_like()?, weight.f_zeros_like()?])
        };
        let means = weights.iter().map(|(name, weight)| Ok((name.clone(), zeros(weight)?)));
        Ok(Self { options, means: means.collect::<Result<_, TchError>>()?, steps: 0 })
    }

    /// An optimizer as it was after `steps` steps.
    pub(crate) fn restored(options: AdamWOptions, means: BTreeMap<String, [Tensor; 2]>, steps: u64) -> Self {
        Self { options, means, steps }
    }

    /// Steps made.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Mean and mean square of the gradient, by weight.
    pub(crate) fn means(&self) -> &BTreeMap<String, [Tensor; 2]> {
        &self.means
    }

    /// Moves the weights along their gradients, which are forgotten, and returns the gradient norm before
    /// clipping. Nothing moves when that norm is not finite.
    pub(crate) fn step(&mut self, weights: &BTreeMap<String, Tensor>, rate: f64) -> Result<f64, TchError> {
        tch::no_grad(|| {
            let mut squares = Vec::with_capacity(weights.len());
            for weight in weights.values() {
                let gradient = weight.f_grad()?;
                if gradient.defined() {
                    squares.push(gradient.f_square()?.f_sum(Kind::Double)?);
                }
            }
            let length = Tensor::f_stack(&squares, 0)?.f_sum(Kind::Double)?.f_sqrt()?.f_double_value(&[])?;
            if length.is_finite() {
                self.steps += 1;
                let scale = (self.options.clip / length.max(f64::MIN_POSITIVE)).min(1.0);
                for (name, weight) in weights {
                    self.move_weight(name, weight, rate, scale)?;
                }
            }
            for weight in weights.values() {
                let mut gradient = weight.f_grad()?;
                if gradient.defined() {
                    let _ = gradient.f_zero_()?;
                }
            }
            Ok(length)
        })
    }

    fn move_weight(&mut self, name: &str, weight: &Tensor, rate: f64, scale: f64) -> Result<(), TchError> {
        let AdamWOptions { beta1, beta2, epsilon, weight_decay, .. } = self.options;
        let gradient = weight.f_grad()?;
        let Some([mean, square]) = self.means.get_mut(name).filter(|_| gradient.defined()) else {
            return Ok(());
        };
        let gradient = gradient.f_mul_scalar(scale)?;
        let mut weight = weight.detach();
        if weight.dim() > 1 {
            let _ = weight.f_mul_scalar_(1.0 - rate * weight_decay)?;
        }
        let _ = mean.f_lerp_(&gradient, 1.0 - beta1)?;
        let _ = square.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?)?;
        let steps = self.steps as f64;
        let (first, second) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        let root = square.f_sqrt()?.f_div_scalar_(second.sqrt())?.f_add_scalar_(epsilon)?;
        let _ = weight.f_sub_(&mean.f_div(&root)?.f_mul_scalar_(rate / first)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm as the paper states it, on one number.
    #[test]
    fn steps_are_those_of_the_paper() {
        let options = AdamWOptions { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weight_decay: 0.1, clip: 1e9 };
        let matrix = Tensor::from_slice(&[0.5f32]).view([1, 1]).set_requires_grad(true);
        let bias = Tensor::from_slice(&[-0.25f32]).set_requires_grad(true);
        let weights = BTreeMap::from([
            ("bias".to_owned(), bias.shallow_clone()),
            ("matrix".to_owned(), matrix.shallow_clone()),
        ]);
        let mut adam = AdamW::new(options, &weights).expect("zeros");
        let (mut expected, mut mean, mut square) = ([0.5f64, -0.25], [0.0; 2], [0.0; 2]);
        for step in 1..=20i32 {
            (matrix.square().sum(Kind::Float) + bias.sin().sum(Kind::Float)).backward();
            let length = adam.step(&weights, 0.01).expect("a step");
            let gradients = [2.0 * expected[0], expected[1].cos()];
            assert!((length - gradients[0].hypot(gradients[1])).abs() < 1e-5);
            for index in 0..2 {
                if index == 0 {
                    expected[0] *= 1.0 - 0.01 * 0.1;
                }
                mean[index] = 0.9 * mean[index] + 0.1 * gradients[index];
                square[index] = 0.98 * square[index] + 0.02 * gradients[index].powi(2);
                let root = (square[index] / (1.0 - 0.98f64.powi(step))).sqrt() + 1e-6;
                expected[index] -= 0.01 * mean[index] / (1.0 - 0.9f64.powi(step)) / root;
            }
        }
        let found = [matrix.double_value(&[0, 0]), bias.double_value(&[0])];
        assert!((found[0] - expected[0]).abs() < 1e-6 && (found[1] - expected[1]).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn long_gradients_are_shortened_and_broken_ones_move_nothing() {
        let weight = Tensor::from_slice(&[3.0f32, 4.0]).set_requires_grad(true);
        let weights = BTreeMap::from([("w".to_owned(), weight.shallow_clone())]);
        let mut adam = AdamW::new(AdamWOptions::default(), &weights).expect("zeros");
        (weight.square().sum(Kind::Float) * 0.5).backward();
        assert!((adam.step(&weights, 0.0).expect("a step") - 5.0).abs() < 1e-6);
        let mean = &adam.means()["w"][0];
        assert!(
            (mean.double_value(&[0]) - 0.06).abs() < 1e-7 && (mean.double_value(&[1]) - 0.08).abs() < 1e-7
        );
        (weight.sum(Kind::Float) * f64::NAN).backward();
        assert!(adam.step(&weights, 1.0).expect("no step").is_nan());
        assert_eq!((adam.steps(), weight.double_value(&[0])), (1, 3.0));
    }
}
