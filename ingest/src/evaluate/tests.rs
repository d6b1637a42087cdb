//! Metrics against numbers of `scikit-learn` 1.9.1 and `scipy` 1.17.1, made with
//!
//! ```python
//! i = numpy.arange(200)
//! s = (i*37+11) % 23 / 7.0                                        # scores, with ties
//! y = numpy.where(i % 3 == 0, s > 1.5, (i*i*7+i*3) % 5 < 2)       # classes
//! r = (i*29+5) % 31 / 3.0 - 2 + s                                 # numbers
//! c = s >= 1.6                                                    # calls
//! roc_auc_score(y, s), average_precision_score(y, s), accuracy_score(y, c), f1_score(y, c)
//! matthews_corrcoef(y, c), confusion_matrix(y, c), spearmanr(s, r).statistic, r2_score(r, s)
//! ```
//!
//! and, where rows stand several times, with `numpy.repeat(i, i % 4)` in the place of `i`.

#![expect(clippy::unreadable_literal, reason = "numbers as another program printed them")]

use super::*;

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 7 };

fn scores() -> Vec<f64> {
    (0..200).map(|i| f64::from((i * 37 + 11) % 23) / 7.0).collect()
}

fn classes() -> Vec<f64> {
    let class = |(i, score): (u32, f64)| if i % 3 == 0 { score > 1.5 } else { (i * i * 7 + i * 3) % 5 < 2 };
    (0..).zip(scores()).map(|row| f64::from(u8::from(class(row)))).collect()
}

fn numbers() -> Vec<f64> {
    (0..200).zip(scores()).map(|(i, score)| f64::from((i * 29 + 5) % 31) / 3.0 - 2.0 + score).collect()
}

fn estimate(sample: &Sample, metric: Metric) -> Result<f64, &'static str> {
    sample.figure(metric, BOOTSTRAP).estimate
}

#[track_caller]
fn near(found: Result<f64, &'static str>, wanted: f64) {
    assert!(found.is_ok_and(|found| (found - wanted).abs() < 1e-9), "{found:?} instead of {wanted}");
}

#[test]
fn metrics_are_those_of_the_reference_libraries() {
    let sample = Sample::new(scores(), classes(), Some(1.6));
    for (metric, wanted) in [
        (Metric::Auroc, 0.6778049028583053),
        (Metric::Auprc, 0.5726025056444168),
        (Metric::Accuracy, 0.665),
        (Metric::F1, 0.6338797814207651),
        (Metric::Mcc, 0.3278422233479497),
        (Metric::TruePositives, 58.0),
        (Metric::FalsePositives, 38.0),
        (Metric::TrueNegatives, 75.0),
        (Metric::FalseNegatives, 29.0),
    ] {
        near(estimate(&sample, metric), wanted);
    }
    let sample = Sample::new(scores(), numbers(), None);
    near(estimate(&sample, Metric::Spearman), 0.28582959460734275);
    near(estimate(&sample, Metric::R2), -0.848493420535186);
}

#[test]
fn counts_stand_for_repeated_rows() {
    let counts: Vec<u32> = (0..200).map(|i| i % 4).collect();
    let sample = Sample::new(scores(), classes(), Some(1.6));
    for (metric, wanted) in [
        (Metric::Auroc, 0.6982926058087539),
        (Metric::Auprc, 0.6346760283430656),
        (Metric::Mcc, 0.3110187267409812),
    ] {
        near(sample.measure(metric, &counts).ok_or("undefined"), wanted);
    }
    let sample = Sample::new(scores(), numbers(), None);
    near(sample.measure(Metric::Spearman, &counts).ok_or("undefined"), 0.2662932295213617);
    near(sample.measure(Metric::R2, &counts).ok_or("undefined"), -0.9226987255425805);
}

#[test]
fn what_is_undefined_is_said_and_never_a_number() {
    let one_class = Sample::new(vec![0.1, 0.2, 0.3], vec![1.0; 3], Some(0.5));
    assert_eq!(estimate(&one_class, Metric::Auroc), Err("undefined: one class only"));
    assert_eq!(estimate(&one_class, Metric::Auprc), Err("undefined: one class only"));
    assert_eq!(estimate(&one_class, Metric::Mcc), Err("undefined: all labels or all calls are equal"));
    assert_eq!(estimate(&one_class, Metric::Accuracy), Ok(0.0));
    assert_eq!(one_class.figure(Metric::Auroc, BOOTSTRAP).bounds, None);
    assert!(one_class.curves().is_none());
    let negatives = Sample::new(vec![0.1, 0.2], vec![0.0; 2], Some(0.5));
    assert_eq!(estimate(&negatives, Metric::F1), Err("undefined: nothing is positive, labelled or called"));
    assert_eq!(estimate(&negatives, Metric::R2), Err("undefined: all labels are equal"));
    assert_eq!(estimate(&negatives, Metric::Spearman), Err("undefined: all labels or all scores are equal"));
    let none = Sample::new(Vec::new(), Vec::new(), None);
    assert!(Metric::ALL.iter().all(|metric| estimate(&none, *metric) == Err("undefined: no rows")));
    let unset = Sample::new(scores(), classes(), None);
    assert_eq!(estimate(&unset, Metric::F1), Err("undefined: no threshold"));
}

#[test]
fn intervals_hold_the_estimate_and_paired_ones_are_narrower() {
    let sample = Sample::new(scores(), classes(), Some(1.6));
    for metric in [Metric::Auroc, Metric::Auprc, Metric::Accuracy, Metric::F1, Metric::Mcc] {
        let figure = sample.figure(metric, BOOTSTRAP);
        let (low, high) = figure.bounds.expect("bounds");
        let found = figure.estimate.expect("a figure");
        assert!(low < found && found < high && high - low < 0.4, "{metric}: {figure:?}");
        assert_eq!(figure, sample.figure(metric, BOOTSTRAP));
    }
    assert_eq!(sample.figure(Metric::TruePositives, BOOTSTRAP).bounds, None);
    // Scores that differ a little: their difference is far surer than each alone.
    let nudged = scores().into_iter().zip(0..).map(|(score, i)| score + f64::from(i % 5) / 50.0).collect();
    let other = Sample::new(nudged, classes(), Some(1.6));
    let difference = other.difference(&sample, Metric::Auroc, BOOTSTRAP).expect("the same rows");
    let alone = [&other, &sample].map(|sample| estimate(sample, Metric::Auroc).expect("a figure"));
    near(difference.estimate, alone[0] - alone[1]);
    let width = |(low, high): (f64, f64)| high - low;
    let single = sample.figure(Metric::Auroc, BOOTSTRAP).bounds.map(width).expect("bounds");
    assert!(difference.bounds.map(width).expect("bounds") < single / 2.0, "{difference:?}");
    let same = sample.difference(&sample, Metric::Auroc, BOOTSTRAP).expect("the same rows");
    assert_eq!((same.estimate, same.bounds), (Ok(0.0), Some((0.0, 0.0))));
    assert!(sample.difference(&Sample::new(vec![1.0], vec![1.0], None), Metric::Auroc, BOOTSTRAP).is_none());
}

#[test]
fn curves_enclose_the_areas() {
    let sample = Sample::new(scores(), classes(), None);
    let curves = sample.curves().expect("two classes");
    let area: f64 =
        curves.roc.windows(2).map(|pair| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1)).sum();
    near(estimate(&sample, Metric::Auroc), area);
    let mut before = 0.0;
    let steps = curves.precision_recall.iter().map(|(recall, precision)| {
        let step = (recall - before) * precision;
        before = *recall;
        step
    });
    let precision: f64 = steps.sum();
    near(estimate(&sample, Metric::Auprc), precision);
    assert_eq!(curves.roc.last(), Some(&(1.0, 1.0)));
}
