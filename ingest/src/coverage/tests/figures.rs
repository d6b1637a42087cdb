//! Figures of predictions.

use super::support::{pearson, r2};
use crate::coverage::{CoverageFigures, TargetFigures};
use crate::evaluate::Bootstrap;
use crate::evaluate::resample::{central, resample};
use crate::random::Random;

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 40, seed: 5 };

#[test]
fn figures_are_those_of_scipy_and_scikit_learn() {
    let left_out = [(1, 0, 2), (2, 1, 0), (2, 1, 1)];
    let mut compared = CoverageFigures::new(2);
    for window in 0..3_u8 {
        let (mut predicted, mut measured) = (Vec::new(), Vec::new());
        for (target, bin) in (0..2_u8).flat_map(|target| (0..4_u8).map(move |bin| (target, bin))) {
            let value = f32::from((7 * window + 5 * target + 3 * bin) % 11) / 4.0;
            let other = f32::from((3 * window + 2 * target + 5 * bin) % 7) / 8.0;
            predicted.push(value);
            let known = !left_out.contains(&(window, target, bin));
            measured.push(if known { value * 0.5 + other } else { f32::NAN });
        }
        compared.add(&predicted, &measured);
    }
    let report = compared.finish(BOOTSTRAP);
    assert_eq!((report.windows, report.mean.bins), (3, 21));
    let expected = [
        (
            11,
            [
                0.850_113_440_837_585,
                -0.630_136_986_301_369_9,
                0.974_723_700_785_176_5,
                -4.395_989_974_937_342,
            ],
        ),
        (
            10,
            [
                0.808_664_498_749_567_6,
                -1.200_956_937_799_043,
                0.999_423_797_128_766_2,
                -0.951_612_903_225_806_5,
            ],
        ),
    ];
    for (found, (bins, expected)) in report.targets.iter().zip(expected) {
        assert_eq!(found.bins, bins);
        for (found, expected) in values(found).into_iter().zip(expected) {
            assert!((found.expect("a figure") - expected).abs() < 1e-12, "{found:?} {expected}");
        }
    }
    let mean = values(&report.mean)[0].expect("a figure");
    assert!((mean - f64::midpoint(0.850_113_440_837_585, 0.808_664_498_749_567_6)).abs() < 1e-12);
}

fn values(found: &TargetFigures) -> [Option<f64>; 4] {
    [found.pearson, found.r2, found.window_pearson, found.window_r2].map(|figure| figure.value)
}

/// Pairs of predicted and measured values of each window of each target.
type Pairs = Vec<Vec<Vec<(f64, f64)>>>;

/// As the figures are defined, window by window as often as each was drawn.
fn plain(pairs: &Pairs, target: usize, counts: &[u32]) -> [Option<f64>; 4] {
    let (mut bins, mut means) = (Vec::new(), Vec::new());
    for (window, count) in pairs.iter().zip(counts) {
        let here = &window[target];
        for _ in 0..*count {
            bins.extend_from_slice(here);
            if !here.is_empty() {
                let mean =
                    |side: fn(&(f64, f64)) -> f64| here.iter().map(side).sum::<f64>() / here.len() as f64;
                means.push((mean(|pair| pair.0), mean(|pair| pair.1)));
            }
        }
    }
    [pearson(&bins), r2(&bins), pearson(&means), r2(&means)]
}

#[test]
fn intervals_are_those_of_windows_drawn_again() {
    let mut random = Random::new(11);
    let (targets, bins) = (70, 6);
    let mut all: Pairs = Vec::new();
    let mut halves = [CoverageFigures::new(targets), CoverageFigures::new(targets)];
    for window in 0..9 {
        let (mut predicted, mut measured) = (Vec::new(), Vec::new());
        let mut pairs = vec![Vec::new(); targets];
        for place in 0..targets * bins {
            let value = (random.uniform() * 4.0) as f32;
            // The last target is constant, and of one window nothing is known.
            let constant = place / bins == targets - 1;
            let other = if constant { 2.0 } else { value + random.normal() as f32 };
            let unknown = window == 4 || random.below(8) == 0;
            predicted.push(value);
            measured.push(if unknown { f32::NAN } else { other });
            if !unknown {
                pairs[place / bins].push((f64::from(value), f64::from(other)));
            }
        }
        all.push(pairs);
        halves[usize::from(window > 5)].add(&predicted, &measured);
    }
    let [mut compared, rest] = halves;
    compared.merge(rest);
    let report = compared.finish(BOOTSTRAP);
    let draws: Vec<Vec<u32>> = (0..40).map(|number| resample(9, 5 + number)).collect();
    let close = |found: Option<f64>, expected: Option<f64>| match (found, expected) {
        (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9, "{found} {expected}"),
        _ => assert_eq!(found, expected),
    };
    let mut mean_draws = vec![[(0.0, 0.0); 4]; 40];
    for (target, found) in report.targets.iter().enumerate() {
        let drawn: Vec<[Option<f64>; 4]> = draws.iter().map(|counts| plain(&all, target, counts)).collect();
        for (sums, drawn) in mean_draws.iter_mut().zip(&drawn) {
            for (sum, value) in sums.iter_mut().zip(drawn) {
                if let Some(value) = value {
                    *sum = (sum.0 + value, sum.1 + 1.0);
                }
            }
        }
        let figures = [found.pearson, found.r2, found.window_pearson, found.window_r2];
        let expected = plain(&all, target, &[1; 9]);
        for (number, figure) in figures.into_iter().enumerate() {
            close(figure.value, expected[number]);
            let bounds = central(drawn.iter().filter_map(|drawn| drawn[number]).collect());
            close(figure.low, bounds.map(|bounds| bounds.0));
            close(figure.high, bounds.map(|bounds| bounds.1));
        }
    }
    assert_eq!(values(&report.targets[targets - 1]), [None; 4]);
    let bounds = central(mean_draws.iter().map(|sums| sums[1].0 / sums[1].1).collect());
    close(report.mean.r2.low, bounds.map(|bounds| bounds.0));
    close(report.mean.r2.high, bounds.map(|bounds| bounds.1));
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<crate::coverage::CoverageReport>(&text).expect("a report"), report);
}

#[test]
fn a_prediction_that_is_no_number_is_no_figure() {
    let mut compared = CoverageFigures::new(1);
    compared.add(&[1.0, f32::NAN, 2.0], &[1.0, 2.0, 3.0]);
    compared.add(&[1.0, 4.0, 2.0], &[1.0, 2.0, 5.0]);
    assert_eq!(values(&compared.finish(BOOTSTRAP).targets[0]), [None; 4]);
    let nothing = CoverageFigures::new(2).finish(BOOTSTRAP);
    assert_eq!((nothing.windows, nothing.mean.pearson.value, nothing.targets.len()), (0, None, 2));
}
