//! Undoes, bin by bin, what was done to measurements before a model was trained on them.

use tch::{Device, Kind, TchError, Tensor};
use vestore_schema::Untransform;

use super::options::{RegulatoryOptions, Training};
use crate::convert::single;

/// The transform of the targets that are read, on their device. Each tensor is [targets, 1].
pub(super) struct Transform {
    old: bool,
    clip_soft: Tensor,
    scale: Tensor,
    /// Whether a power was taken.
    root: Tensor,
}

impl Transform {
    /// That of a recipe; none where nothing is undone.
    pub(super) fn new(options: &RegulatoryOptions, device: Device) -> Result<Option<Self>, TchError> {
        let old = match options.untransform {
            Untransform::None => return Ok(None),
            untransform => untransform == Untransform::Old,
        };
        let column = |value: &dyn Fn(&Training) -> f64| {
            let values: Vec<f32> = options.training.iter().map(|target| single(value(target))).collect();
            Tensor::f_from_slice(&values)?.f_unsqueeze(1)?.f_to_device(device)
        };
        Ok(Some(Self {
            old,
            clip_soft: column(&|target| target.clip_soft)?,
            scale: column(&|target| target.scale)?,
            root: column(&|target| f64::from(u8::from(target.root)))?.f_to_kind(Kind::Bool)?,
        }))
    }

    /// Measurements [targets, bins] from predictions.
    pub(super) fn undo(&self, predictions: &Tensor) -> Result<Tensor, TchError> {
        if self.old {
            let scaled = predictions.f_div(&self.scale)?;
            let over = scaled.f_sub(&self.clip_soft)?;
            let unclipped = over.f_square()?.f_add(&self.clip_soft)?;
            let scaled = unclipped.f_where_self(&over.f_gt(0.0)?, &scaled)?;
            let power = scaled.f_pow_tensor_scalar(4.0 / 3.0)?;
            return power.f_where_self(&self.root, &scaled)?.f_mul(&self.scale);
        }
        let over = predictions.f_sub(&self.clip_soft)?;
        let unclipped = over.f_add_scalar(1.0)?.f_square()?.f_add(&self.clip_soft)?.f_sub_scalar(1.0)?;
        let values = unclipped.f_where_self(&over.f_gt(0.0)?, predictions)?;
        let squared = values.f_add_scalar(1.0)?.f_square()?.f_sub_scalar(1.0)?;
        squared.f_where_self(&self.root, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(old: bool, root: bool, values: &[f32]) -> Vec<f32> {
        let one = |value: f32| Tensor::from_slice(&[value]).unsqueeze(1);
        let transform = Transform {
            old,
            clip_soft: one(4.0),
            scale: one(0.5),
            root: one(f32::from(u8::from(root))).to_kind(Kind::Bool),
        };
        let undone = transform.undo(&Tensor::from_slice(values).unsqueeze(0)).expect("memory");
        Vec::try_from(undone.flatten(0, -1)).expect("float32")
    }

    #[test]
    fn measurements_come_back() {
        // As the authors' programs transform measurements.
        let new = |value: f32| if value > 4.0 { 3.0 + (value - 3.0).sqrt() } else { value };
        for (value, back) in
            [3.0, 4.0, 20.0].map(new).into_iter().zip(undone(false, false, &[3.0, 4.0, new(20.0)]))
        {
            assert!((new(back) - value).abs() < 1e-5, "{value} {back}");
        }
        assert_eq!(undone(false, true, &[2.0]), [8.0]);
        let old = |value: f32| {
            let rooted = (value / 0.5).powf(0.75);
            0.5 * if rooted > 4.0 { 4.0 + (rooted - 4.0).sqrt() } else { rooted }
        };
        for value in [0.5, 10.0] {
            let back = undone(true, true, &[old(value)])[0];
            assert!((back - value).abs() < 1e-4, "{value} {back}");
        }
        // Nothing was clipped below the limit.
        assert_eq!(undone(true, false, &[1.5]), [1.5]);
    }
}
