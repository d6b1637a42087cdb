//! The loss of profiles: how a window's total is predicted, and how it is spread over the bins.

use tch::{Kind, TchError, Tensor};

/// Added to what is divided or of which the logarithm is taken, as Baskerville does.
const EPSILON: f64 = 1e-7;

/// The Poisson loss of totals, weighed by `total_weight`, and the multinomial loss of the bins of `predicted` and
/// `measured` [targets, bins], both divided by the number of bins; the mean over targets, as Baskerville computes it
/// (`poisson_multinomial` of its metrics.py). Bins that are not a number in `measured` count in neither.
pub(super) fn poisson_multinomial(
    predicted: &Tensor,
    measured: &Tensor,
    total_weight: f64,
) -> Result<Tensor, TchError> {
    let along = [-1i64];
    let known = measured.f_isfinite()?;
    let sum = |tensor: &Tensor| tensor.f_sum_dim_intlist(along.as_slice(), true, Kind::Float);
    let nothing = predicted.f_zeros_like()?;
    let measured = measured.f_where_self(&known, &nothing)?;
    let predicted = predicted.f_where_self(&known, &nothing)?;
    let bins = sum(&known.f_to_kind(Kind::Float)?)?.f_clamp_min(1.0)?;
    let (total_measured, total_predicted) = (sum(&measured)?, sum(&predicted)?);
    let logarithm = total_predicted.f_add_scalar(EPSILON)?.f_log()?;
    let poisson = total_predicted.f_sub(&total_measured.f_mul(&logarithm)?)?;
    // The logarithm of the bin's share of the total. A window without any signal predicted has no shares, but its
    // totals are to be learned.
    let shares = predicted
        .f_add_scalar(EPSILON)?
        .f_log()?
        .f_sub(&total_predicted.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_log()?)?;
    let terms = measured.f_add_scalar(EPSILON)?.f_mul(&shares)?.f_where_self(&known, &nothing)?;
    let multinomial = sum(&terms)?.f_neg()?;
    multinomial.f_add(&poisson.f_mul_scalar(total_weight)?)?.f_div(&bins)?.f_mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, in float64.
    fn plain(predicted: &[f64], measured: &[f64], weight: f64) -> f64 {
        let known: Vec<(f64, f64)> = predicted
            .iter()
            .zip(measured)
            .filter(|(_, measured)| !measured.is_nan())
            .map(|(predicted, measured)| (*predicted, *measured))
            .collect();
        let [total, seen] =
            [known.iter().map(|pair| pair.0).sum::<f64>(), known.iter().map(|pair| pair.1).sum()];
        let poisson = total - seen * (total + 1e-7).ln();
        let multinomial: f64 = known
            .iter()
            .map(|(predicted, measured)| -(measured + 1e-7) * ((predicted + 1e-7) / total).ln())
            .sum();
        (multinomial + weight * poisson) / known.len() as f64
    }

    #[test]
    fn the_loss_is_that_of_the_formula() {
        let predicted = [[0.5, 2.0, 1.0, 0.25], [4.0, 0.0, 3.0, 1.0]];
        let measured = [[1.0, 0.0, 2.5, 3.0], [f64::NAN, 0.5, 4.0, f64::NAN]];
        let expected = (0..2).map(|row| plain(&predicted[row], &measured[row], 0.2)).sum::<f64>() / 2.0;
        let tensor = |rows: [[f64; 4]; 2]| {
            let rows: Vec<f32> = rows.concat().iter().map(|value| *value as f32).collect();
            Tensor::from_slice(&rows).view([2, 4])
        };
        let predicted = tensor(predicted).set_requires_grad(true);
        let found = poisson_multinomial(&predicted, &tensor(measured), 0.2).expect("a loss");
        assert!((found.double_value(&[]) - expected).abs() < 1e-6, "{found} for {expected}");
        found.backward();
        let gradient = Vec::<f32>::try_from(predicted.grad().view([-1])).expect("numbers");
        assert!(gradient.iter().all(|slope| slope.is_finite()), "{gradient:?}");
        assert_eq!((gradient[4], gradient[7]), (0.0, 0.0), "bins that are left out move nothing");
    }
}
