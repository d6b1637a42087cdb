//! Distributions against a plain computation over all scores.

use vestore_schema::Scale;

use super::distribution::{Builder, Distribution};
use crate::fixture::Random;
use crate::ordered::ordered;

/// As SciPy's `percentileofscore(scores, score, kind="rank")`, and the rank that ties share.
fn plain(sorted: &[f32], score: f32) -> [f64; 2] {
    let less = sorted.partition_point(|other| *other < score);
    let up_to = sorted.partition_point(|other| *other <= score);
    let (rows, equal) = (sorted.len() as f64, usize::from(up_to > less));
    let percentile = (less + up_to + equal) as f64 * 50.0 / rows;
    let share = (sorted.len() - less).max(1) as f64 / rows;
    [percentile, -10.0 * share.log10() + 0.0]
}

fn built(sorted: &[f32]) -> Distribution {
    let mut builder = Builder::new(sorted.len() as u64);
    // In pieces that part equal scores.
    for part in sorted.chunks(1000) {
        builder.add(&part.iter().map(|score| ordered(*score)).collect::<Vec<_>>());
    }
    builder.finish(Vec::new())
}

fn scores(random: &mut Random, count: usize, distinct: u64) -> Vec<f32> {
    let mut scores: Vec<f32> =
        (0..count).map(|_| random.below(distinct) as f32 / 1000.0 - distinct as f32 / 2500.0).collect();
    scores.sort_by(f32::total_cmp);
    scores
}

#[test]
fn few_distinct_scores_are_exact() {
    let mut random = Random::new(1);
    for (count, distinct) in [(1, 1), (2, 1), (10, 3), (1000, 37), (20_000, 1 << 30), (200_000, 5000)] {
        let sorted = scores(&mut random, count, distinct);
        let distribution = built(&sorted);
        assert!(distribution.is_whole());
        assert_eq!(distribution.rows(), count as u64);
        let read = Distribution::read(&distribution.record()).unwrap();
        assert_eq!(read, distribution);
        let beside = (0..500).map(|_| random.below(distinct + 2) as f32 / 999.0 - distinct as f32 / 2500.0);
        let extremes = [f32::MIN, f32::MAX, 0.0, -0.0];
        for score in sorted.iter().step_by(1 + count / 500).copied().chain(beside).chain(extremes) {
            let expected = plain(&sorted, score);
            let found = Scale::ALL.map(|scale| read.at(scale, score));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{score} of {count}: {found} {expected}");
            }
        }
    }
}

#[test]
fn many_distinct_scores_are_close_and_their_tail_is_exact() {
    let mut random = Random::new(2);
    for distinct in [1 << 62, 3_000_000] {
        let sorted = scores(&mut random, 2_500_000, distinct);
        let distribution = built(&sorted);
        assert!(!distribution.is_whole());
        let read = Distribution::read(&distribution.record()).unwrap();
        let mut tail = sorted.clone();
        tail.dedup();
        let tail = tail[tail.len() - (1 << 16)];
        for score in sorted.iter().step_by(317).copied().chain([tail, f32::MAX, f32::MIN]) {
            let [percentile, phred] = plain(&sorted, score);
            let most = if score >= tail { 1e-9 } else { 1e-4 };
            assert!((read.at(Scale::Percentile, score) - percentile).abs() <= most, "{score}");
            assert!((read.at(Scale::Phred, score) - phred).abs() <= most, "{score}");
        }
    }
}

#[test]
fn the_least_score_that_reaches_a_number_is_found() {
    let mut random = Random::new(3);
    let sorted = scores(&mut random, 5000, 700);
    let distribution = built(&sorted);
    for scale in Scale::ALL {
        for number in [-1.0, 0.0, 0.02, 3.0, 20.0, 36.0, 50.0, 99.98, 100.0, 100.1] {
            let least = distribution.least(scale, number);
            for score in sorted.iter().copied().chain([f32::MIN, f32::MAX, 0.1]) {
                let reaches = distribution.at(scale, score) >= number;
                assert_eq!(reaches, least.is_some_and(|least| score >= least), "{score} {number} {least:?}");
            }
        }
    }
}

#[test]
fn a_distribution_that_was_changed_is_refused() {
    let distribution = built(&scores(&mut Random::new(4), 300, 100));
    let record = serde_json::to_value(distribution.record()).unwrap();
    let read =
        |record: &serde_json::Value| Distribution::read(&serde_json::from_value(record.clone()).unwrap());
    assert_eq!(read(&record).unwrap().digest(), distribution.digest());
    for (field, value) in [
        ("rows", serde_json::json!(299)),
        ("bins", serde_json::json!(0)),
        ("bins", serde_json::json!(1_u64 << 40)),
        ("values", serde_json::json!("AAAA")),
        ("values", serde_json::json!("not base64")),
        ("means", serde_json::json!([0.5])),
    ] {
        let mut changed = record.clone();
        changed[field] = value;
        assert!(read(&changed).is_err(), "{field}");
    }
}
