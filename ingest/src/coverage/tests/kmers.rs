//! The regression on k-mers.

use super::support::{bases, r2};
use crate::coverage::{BinLayout, KmerBaseline, KmerSums};
use crate::random::Random;

const LAYOUT: BinLayout = BinLayout { resolution: 16, first: 2, count: 20 };
const WINDOW: usize = 16 * 24;

/// How often each k-mer is in a bin and a bin on either side.
fn features(window: &str, bin: usize) -> Vec<f64> {
    let start = (2 + bin) * 16;
    let around = &window.as_bytes()[start - 16..start + 32];
    let mut counts = vec![0.0; 1025];
    counts[1024] = 1.0;
    for kmer in around.windows(5) {
        let code = |base: &u8| b"ACGT".iter().position(|known| known == base);
        if let Some(code) = kmer.iter().try_fold(0, |sum, base| Some(4 * sum + code(base)?)) {
            counts[code] += 1.0;
        }
    }
    counts
}

/// Windows with N, and values of two targets: one of words, one of noise alone; some left out.
fn windows(random: &mut Random, count: usize) -> Vec<(String, Vec<f32>)> {
    let window = |random: &mut Random| {
        let mut text = bases(random, WINDOW);
        let at = random.below(300) as usize;
        text.replace_range(at..at + 7, "NNNNNNN");
        let words = |bin: usize| {
            let found = features(&text, bin);
            2.0 * found[0b01_10_01_10_01] + found[..64].iter().sum::<f64>()
        };
        let mut values: Vec<f32> =
            (0..20).map(|bin| (words(bin) + 0.1 * random.normal().abs()) as f32).collect();
        values.extend((0..20).map(|_| random.uniform() as f32));
        values[random.below(40) as usize] = f32::NAN;
        (text, values)
    };
    (0..count).map(|_| window(random)).collect()
}

fn sums(windows: &[(String, Vec<f32>)]) -> KmerSums {
    let mut sums = KmerSums::new(2, LAYOUT, None);
    for (text, values) in windows {
        sums.add(text.as_bytes(), values);
    }
    sums
}

#[test]
fn the_regression_is_ridge_regression_on_counts() {
    let mut random = Random::new(21);
    let (training, validation, test) =
        (windows(&mut random, 120), windows(&mut random, 30), windows(&mut random, 30));
    let fitted = KmerBaseline::fit(&sums(&training), &sums(&validation)).expect("bins");

    // All rows of the training windows, as they are defined.
    let rows: Vec<(Vec<f64>, [f64; 2])> = training
        .iter()
        .flat_map(|(text, values)| {
            (0..20)
                .filter(|bin| !values[*bin].is_nan() && !values[20 + bin].is_nan())
                .map(|bin| (features(text, bin), [f64::from(values[bin]), f64::from(values[20 + bin])]))
        })
        .collect();
    let count = rows.len() as f64;
    let variance = |feature: usize| {
        let (sum, square) = rows
            .iter()
            .fold((0.0, 0.0), |sums, (row, _)| (sums.0 + row[feature], sums.1 + row[feature] * row[feature]));
        square - sum * sum / count
    };
    let unit = (0..1024).map(variance).sum::<f64>() / 1024.0;
    for target in 0..2 {
        let weights = fitted.weights(target);
        let strength = fitted.strengths()[target] * unit;
        // Where the gradient of the squared errors and of the penalty vanishes.
        let mut gradient: Vec<f64> = weights.iter().map(|weight| weight * strength).collect();
        gradient[1024] = 0.0;
        for (row, values) in &rows {
            let error =
                row.iter().zip(weights).map(|(count, weight)| count * weight).sum::<f64>() - values[target];
            gradient.iter_mut().zip(row).for_each(|(sum, count)| *sum += error * count);
        }
        let largest = gradient.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest < 1e-6 * count, "{largest}");
    }

    // What words tell is predicted, noise is not, and nothing is negative.
    let mut pairs = [Vec::new(), Vec::new()];
    for (text, values) in &test {
        let predicted = fitted.predict(text.as_bytes());
        for (place, (found, value)) in predicted.iter().zip(values).enumerate() {
            assert!(*found >= 0.0);
            if !value.is_nan() {
                pairs[place / 20].push((f64::from(*found), f64::from(*value)));
            }
        }
    }
    let [words, noise] = pairs.map(|pairs| r2(&pairs).expect("values vary"));
    assert!(words > 0.9 && noise < 0.1, "{words} {noise}");
    assert!(fitted.strengths()[1] > fitted.strengths()[0], "{:?}", fitted.strengths());

    let again = KmerBaseline::fit(&sums(&training), &sums(&validation)).expect("bins");
    assert_eq!(again.predict(test[0].0.as_bytes()), fitted.predict(test[0].0.as_bytes()));
    assert!(KmerBaseline::fit(&sums(&[]), &sums(&validation)).is_none());
}

#[test]
fn a_window_ends_where_it_ends() {
    let mut random = Random::new(22);
    let layout = BinLayout { resolution: 16, first: 0, count: 24 };
    let text = bases(&mut random, WINDOW);
    let mut sums = KmerSums::new(1, layout, Some(1000));
    // The whole window is around every bin.
    sums.add(text.as_bytes(), &[3.0; 24]);
    let fitted = KmerBaseline::fit(&sums, &sums).expect("bins");
    for value in fitted.predict(text.as_bytes()) {
        assert!((value - 3.0).abs() < 1e-3, "{value}");
    }
    assert_eq!(fitted.predict(b"").len(), 24);
}
