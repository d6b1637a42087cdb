//! `VeRA` (arXiv 2310.11454): one random pair of matrices serves all modules, each of which scales it by
//! two trained vectors: W + (b ⊙ B)·(d ⊙ A).

use tch::{TchError, Tensor};

use super::target::Target;
use super::{AdapterError, Current, Tensors};
use crate::checkpoint::ConfigFile;
use crate::convert::dimension;
use crate::error::ModelError;
use crate::module::Module;

const DOWN: &str = "vera_A";
const UP: &str = "vera_B";

/// The change of one module.
pub(super) struct Vera {
    pub(super) module: String,
    outputs: i64,
    inputs: i64,
}

/// The changes that the configuration asks for, with the tensors that each takes.
pub(super) fn plan(
    config: &ConfigFile,
    tensors: &Tensors,
    targets: &[Target],
) -> Result<Vec<(Vera, Vec<String>)>, ModelError> {
    config.only("fan_in_fan_out", &serde_json::json!(false))?;
    if !tensors.has(DOWN) || !tensors.has(UP) {
        // They could only be drawn again by the very random generator of the training program.
        return Err(config
            .unsupported(
                "save_projection",
                "true, so that the random matrices are in the file; save the adapter again",
            )
            .into());
    }
    let rank = config.count("r", 1 << 16)? as usize;
    let wrong = |key: &str, expected: [usize; 2], found: &[usize]| AdapterError::WrongShape {
        file: tensors.file.clone(),
        key: key.to_owned(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    };
    let mut planned = Vec::new();
    for target in targets {
        if matches!(target.shape, Module::Convolution { .. }) {
            let expected = "linear modules alone: PEFT has no VeRA for convolutions";
            return Err(config.unsupported("target_modules", expected).into());
        }
        let Module::Linear { outputs, inputs, .. } = target.shape else { continue };
        let vera =
            Vera { module: target.module.clone(), outputs: dimension(outputs), inputs: dimension(inputs) };
        let [_, _, down_scale, up_scale] = vera.keys();
        if target.optional && !tensors.has(&down_scale) {
            continue;
        }
        // The shared matrices are as large as the largest module needs; each takes its corner.
        let (down, up) = (tensors.shape(DOWN)?, tensors.shape(UP)?);
        if !matches!(down, [rows, width] if *rows == rank && *width >= inputs) {
            return Err(wrong(DOWN, [rank, inputs], down).into());
        }
        if !matches!(up, [height, columns] if *height >= outputs && *columns == rank) {
            return Err(wrong(UP, [outputs, rank], up).into());
        }
        tensors.check(DOWN, down)?;
        tensors.check(UP, up)?;
        tensors.check(&down_scale, &[rank])?;
        tensors.check(&up_scale, &[outputs])?;
        let keys = vera.keys().to_vec();
        planned.push((vera, keys));
    }
    Ok(planned)
}

impl Vera {
    /// The tensors that it takes.
    pub(super) fn keys(&self) -> [String; 4] {
        let own = |part| format!("{}.{part}", self.module);
        [DOWN.to_owned(), UP.to_owned(), own("vera_lambda_d"), own("vera_lambda_b")]
    }

    pub(super) fn merge(
        &self,
        tensors: &Current<'_>,
        weight: &Tensor,
        bias: Option<Tensor>,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let [down, up, down_scale, up_scale] = self.keys().map(|key| tensors.load(&key));
        let down = down?.f_narrow(1, 0, self.inputs)?.f_mul(&down_scale?.f_view([-1, 1])?)?;
        let up = up?.f_narrow(0, 0, self.outputs)?.f_mul(&up_scale?.f_view([-1, 1])?)?;
        Ok((weight.f_add(&up.f_matmul(&down)?)?, bias))
    }
}
