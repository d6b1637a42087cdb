//! IA3 (arXiv 2205.05638): a trained vector scales what a module gives, bias included, or, in
//! feed-forward modules, what it takes.

use tch::{TchError, Tensor};

use super::target::{Names, Target};
use super::{Current, Tensors};
use crate::checkpoint::ConfigFile;
use crate::error::ModelError;
use crate::module::Module;

/// The change of one module.
pub(super) struct Ia3 {
    pub(super) module: String,
    pub(super) feed_forward: bool,
}

/// The changes that the configuration asks for.
pub(super) fn plan(
    config: &ConfigFile,
    tensors: &Tensors,
    targets: &[Target],
) -> Result<Vec<Ia3>, ModelError> {
    config.only("fan_in_fan_out", &serde_json::json!(false))?;
    let inputs_scaled = Names::read(config, "feedforward_modules")?;
    let mut planned = Vec::new();
    for target in targets {
        if matches!(target.shape, Module::Convolution { .. }) {
            let expected = "linear modules alone: PEFT has no IA3 for convolutions";
            return Err(config.unsupported("target_modules", expected).into());
        }
        let Module::Linear { outputs, inputs, .. } = target.shape else { continue };
        let feed_forward = inputs_scaled.as_ref().is_some_and(|names| names.matches(&target.seen));
        let change = Ia3 { module: target.module.clone(), feed_forward };
        if target.optional && !tensors.has(&change.vector()) {
            continue;
        }
        tensors.check(&change.vector(), &if feed_forward { [1, inputs] } else { [outputs, 1] })?;
        planned.push(change);
    }
    Ok(planned)
}

impl Ia3 {
    /// The tensor that it takes.
    pub(super) fn vector(&self) -> String {
        format!("{}.ia3_l", self.module)
    }

    pub(super) fn merge(
        &self,
        tensors: &Current<'_>,
        weight: &Tensor,
        bias: Option<Tensor>,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        // [1, inputs] scales columns, [outputs, 1] rows.
        let vector = tensors.load(&self.vector())?;
        let weight = weight.f_mul(&vector)?;
        let bias = match bias {
            Some(bias) if !self.feed_forward => Some(bias.f_mul(&vector.f_view([-1])?)?),
            bias => bias,
        };
        Ok((weight, bias))
    }
}
