//! What attention knows of the distance between two tokens: features of relative positions, and tables of rotations. They
//! are made for the length that is run, each time: the published Borzoi keeps those of its first input and is silently
//! wrong for a shorter one.

use tch::{Device, Kind, TchError, Tensor};

use super::config::{GammaMaximum, RegulatoryConfig, RegulatoryFamily};
use super::loader::wide;

/// Tokens that Borzoi's features are made for, whatever the length.
const BORZOI_TOKENS: f64 = 4096.0;

/// Base of the wavelengths of Flashzoi's rotations.
const ROTARY_BASE: f64 = 20_000.0;

/// For one length, shared by all blocks.
#[derive(Debug)]
pub(super) enum Positions {
    /// Features [2 · tokens − 1, features] of the distances from 1 − tokens to tokens − 1.
    Relative(Tensor),
    /// Cosines and sines [tokens, half of the rotated numbers], in the wide kind.
    Rotary { cosine: Tensor, sine: Tensor },
}

impl Positions {
    /// Those of `tokens` tokens; `features` are the columns of the matrix that reads them.
    pub(super) fn new(
        config: &RegulatoryConfig,
        tokens: i64,
        features: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TchError> {
        let wide = wide(kind);
        if config.family == RegulatoryFamily::Flashzoi {
            let [cosine, sine] = rotations(tokens, i64::from(config.rotated), wide)?;
            return Ok(Self::Rotary { cosine: cosine.f_to_device(device)?, sine: sine.f_to_device(device)? });
        }
        let half = match config.family {
            RegulatoryFamily::Enformer => enformer(tokens, features / 2, config.gamma, wide)?,
            _ => central_mask(tokens, &borzoi_widths(features / 2), wide)?,
        };
        let signs = distances(tokens, wide)?.f_sign()?;
        let both = Tensor::f_cat(&[&half, &half.f_mul(&signs)?], 1)?;
        Ok(Self::Relative(both.f_to_device(device)?.f_to_kind(kind)?))
    }

    pub(super) fn shallow_clone(&self) -> Self {
        match self {
            Self::Relative(features) => Self::Relative(features.shallow_clone()),
            Self::Rotary { cosine, sine } => {
                Self::Rotary { cosine: cosine.shallow_clone(), sine: sine.shallow_clone() }
            }
        }
    }
}

/// The distances [2 · tokens − 1, 1].
fn distances(tokens: i64, kind: Kind) -> Result<Tensor, TchError> {
    Tensor::f_arange_start(1 - tokens, tokens, (kind, Device::Cpu))?.f_unsqueeze(1)
}

/// For each distance and width, whether the distance is less.
fn central_mask(tokens: i64, widths: &[f64], kind: Kind) -> Result<Tensor, TchError> {
    let widths = Tensor::f_from_slice(widths)?.f_to_kind(kind)?;
    widths.f_gt_tensor(&distances(tokens, kind)?.f_abs()?)?.f_to_kind(kind)
}

/// Widths of Borzoi's masks: rᵏ − 1 for k from 1, of which the last is the number of tokens.
fn borzoi_widths(count: i64) -> Vec<f64> {
    let rate = (BORZOI_TOKENS + 1.0).ln() / count as f64;
    (1..=count).map(|power| (rate * power as f64).exp() - 1.0).collect()
}

/// Enformer's features without sign: exponentials, masks and gamma densities, a third each of `count`.
fn enformer(tokens: i64, count: i64, gamma: GammaMaximum, kind: Kind) -> Result<Tensor, TchError> {
    let each = count / 3;
    let like = (kind, Device::Cpu);
    let distances = distances(tokens, kind)?.f_abs()?;
    let length = tokens as f64;
    let half_lives = Tensor::f_pow_scalar(2.0, &Tensor::f_linspace(3.0, length.log2(), each, like)?)?;
    let rates = half_lives.f_reciprocal()?.f_mul_scalar(-std::f64::consts::LN_2)?;
    let exponentials = distances.f_mul(&rates)?.f_exp()?;
    let widths: Vec<f64> = (1..=each).map(|power| (power as f64).exp2() - 1.0).collect();
    let masks = central_mask(tokens, &widths, kind)?;
    let densities = match gamma {
        GammaMaximum::Features => {
            let densities = gamma_densities(&distances, length, each, kind)?;
            let most = densities.f_amax([-1i64].as_slice(), true)?;
            densities.f_div(&most)?
        }
        GammaMaximum::Positions => {
            // TensorFlow computes the exponents in float32, whose rounding the weights were trained with: up to 0.25%.
            let distances = distances.f_to_kind(Kind::Float)?;
            let densities = gamma_densities(&distances, length, each, Kind::Float)?;
            let most = densities.f_amax([0i64].as_slice(), true)?;
            densities.f_div(&most)?.f_to_kind(kind)?
        }
    };
    Tensor::f_cat(&[exponentials, masks, densities], 1)
}

/// Gamma densities of the distances with evenly spaced means and one standard deviation.
fn gamma_densities(distances: &Tensor, length: f64, count: i64, kind: Kind) -> Result<Tensor, TchError> {
    let share = length / count as f64;
    let deviation = share / 2.0;
    let mean = Tensor::f_linspace(share, length, count, (kind, Device::Cpu))?;
    let concentration = mean.f_div_scalar(deviation)?.f_square()?;
    let rate = mean.f_div_scalar(deviation * deviation)?;
    let exponents = concentration.f_sub_scalar(1.0)?.f_xlogy(distances)?.f_sub(&rate.f_mul(distances)?)?;
    let normalization = concentration.f_lgamma()?.f_sub(&concentration.f_mul(&rate.f_log()?)?)?;
    exponents.f_sub(&normalization)?.f_exp()?.f_add_scalar(1e-8)
}

/// Cosines and sines of the angles position · base^(−2c / rotated).
fn rotations(tokens: i64, rotated: i64, kind: Kind) -> Result<[Tensor; 2], TchError> {
    let powers: Vec<f64> =
        (0..rotated / 2).map(|pair| ROTARY_BASE.powf(-2.0 * pair as f64 / rotated as f64)).collect();
    let powers = Tensor::f_from_slice(&powers)?.f_to_kind(kind)?;
    let angles = Tensor::f_arange(tokens, (kind, Device::Cpu))?.f_outer(&powers)?;
    Ok([angles.f_cos()?, angles.f_sin()?])
}

/// Rotates the first numbers of queries or keys [batch, heads, tokens, length]; number c is paired with c + half.
pub(super) fn rotate(vectors: &Tensor, cosine: &Tensor, sine: &Tensor) -> Result<Tensor, TchError> {
    let (_, _, _, length) = vectors.size4()?;
    let half = cosine.size2()?.1;
    let kind = vectors.f_kind()?;
    let part = |first, count| vectors.f_narrow(-1, first, count);
    let [left, right] = [part(0, half)?.f_to_kind(wide(kind))?, part(half, half)?.f_to_kind(wide(kind))?];
    let turned_left = left.f_mul(cosine)?.f_sub_(&right.f_mul(sine)?)?.f_to_kind(kind)?;
    let turned_right = right.f_mul(cosine)?.f_add_(&left.f_mul(sine)?)?.f_to_kind(kind)?;
    Tensor::f_cat(&[turned_left, turned_right, part(2 * half, length - 2 * half)?], -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borzoi_has_sixteen_widths_up_to_its_tokens() {
        let widths = borzoi_widths(16);
        assert!((widths[0] - 0.6818).abs() < 1e-4 && (widths[15] - 4096.0).abs() < 1e-6, "{widths:?}");
    }

    #[test]
    fn rows_are_distances_from_below() {
        let mask = central_mask(3, &[1.0, 2.0], Kind::Double).expect("a mask");
        let rows = Vec::<Vec<f64>>::try_from(&mask).expect("rows");
        assert_eq!(rows, [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]);
    }

    #[test]
    fn gammas_have_their_maximum_over_positions_or_features() {
        for (gamma, axis) in [(GammaMaximum::Positions, 0), (GammaMaximum::Features, 1)] {
            let features = enformer(64, 12, gamma, Kind::Double).expect("features").narrow(1, 8, 4);
            let most = features.amax([axis].as_slice(), false);
            assert!((most - 1.0).abs().max().double_value(&[]) < 1e-6, "{gamma:?}");
        }
    }
}
