//! `DoRA` (arXiv 2402.09353): the changed matrix keeps its rows' directions and takes their lengths from
//! a trained vector.

use tch::{Kind, TchError, Tensor};

/// `weight` [outputs, inputs], `LoRA` already added, with rows of the lengths `magnitude` [outputs].
pub(super) fn rescale(weight: &Tensor, magnitude: &Tensor) -> Result<Tensor, TchError> {
    let lengths = weight.f_norm_scalaropt_dim_dtype(2.0, [1i64].as_slice(), true, Kind::Float)?;
    weight.f_mul(&magnitude.f_view([-1, 1])?.f_div(&lengths)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_the_trained_lengths() {
        let weight = Tensor::from_slice(&[3f32, 4.0, 0.0, 2.0]).view([2, 2]);
        let rescaled = rescale(&weight, &Tensor::from_slice(&[10f32, 1.0])).expect("rescaled");
        assert_eq!(rescaled, Tensor::from_slice(&[6f32, 8.0, 0.0, 1.0]).view([2, 2]));
    }
}
