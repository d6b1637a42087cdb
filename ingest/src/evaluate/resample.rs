//! Resamples of rows for the bootstrap: how often each row was drawn, in as many draws as there are rows.

use rayon::prelude::*;

use crate::convert::{as_index, whole};
use crate::random::Random;

/// How often each of `length` rows was drawn. The same seed and length give the same counts, so that columns are
/// compared on the same resamples.
pub(crate) fn resample(length: usize, seed: u64) -> Vec<u32> {
    let mut counts = vec![0; length];
    let mut random = Random::mixed(seed);
    for _ in 0..length {
        counts[as_index(random.below(length as u64))] += 1;
    }
    counts
}

/// The bounds of the central 95 % of `found`; `None` without any.
pub(crate) fn central(mut found: Vec<f64>) -> Option<(f64, f64)> {
    found.sort_by(f64::total_cmp);
    let at =
        |share: f64| found.get(as_index(whole(((found.len().max(1) - 1) as f64 * share).round()))).copied();
    Some((at(0.025)?, at(0.975)?))
}

/// Percentile-bootstrap bounds (95 %) of `measure` over `resamples` resamples of `length` rows; resamples for
/// which it is undefined are left out. Runs on all cores; the result does not depend on how many there are.
pub(crate) fn interval(
    length: usize,
    resamples: u32,
    seed: u64,
    measure: impl Fn(&[u32]) -> Option<f64> + Sync,
) -> Option<(f64, f64)> {
    interval_of_mean(&[length], resamples, seed, |_, counts| measure(counts))
}

/// The same of the mean of `measure` over samples of these `lengths`, each of which is resampled for itself.
pub(crate) fn interval_of_mean(
    lengths: &[usize],
    resamples: u32,
    seed: u64,
    measure: impl Fn(usize, &[u32]) -> Option<f64> + Sync,
) -> Option<(f64, f64)> {
    let mean = |number: u32| {
        let seed = seed.wrapping_add(u64::from(number));
        let each = lengths.iter().enumerate().map(|(at, length)| measure(at, &resample(*length, seed)));
        Some(each.sum::<Option<f64>>()? / lengths.len() as f64)
    };
    central((0..resamples).into_par_iter().filter_map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resample_has_as_many_rows_and_repeats() {
        let drawn = resample(50, 1);
        assert_eq!(drawn.iter().sum::<u32>(), 50);
        assert_eq!(drawn, resample(50, 1));
        assert_ne!(drawn, resample(50, 2));
    }

    #[test]
    fn the_interval_of_a_mean_is_four_standard_errors_wide_on_any_number_of_threads() {
        let values: Vec<f64> = (0..400).map(|at| (f64::from(at) * 1.3).cos()).collect();
        let mean = |counts: &[u32]| {
            let sum: f64 = values.iter().zip(counts).map(|(value, count)| value * f64::from(*count)).sum();
            Some(sum / 400.0)
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| interval(400, 1000, 3, mean)).expect("an interval")
        };
        let (low, high) = run(1);
        // The spread of a cosine is √½, so the standard error 0.0354.
        assert!((high - low - 2.0 * 1.96 * 0.0354).abs() < 0.012, "{low} {high}");
        assert_eq!((low, high), run(4));
        assert_eq!(interval(400, 100, 3, |_| None), None);
    }
}
