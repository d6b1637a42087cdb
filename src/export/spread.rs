//! What the scores of SNVs range over, for scales of colours.

use arrow::array::RecordBatch;
use vestore_schema::{Assembly, Position};

use super::ExportError;
use super::position::snvs;
use crate::store::StoreError;

/// Buckets of values that agree in sign, exponent and 7 bits of the fraction: edges within 1 in 128 of a value.
const BUCKETS: usize = 1 << 16;
/// Share of the values beyond each end of a scale.
const TAIL: f64 = 0.001;

/// Range of the scores of SNVs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// Least and greatest score; 0 without any.
    pub(super) least: f32,
    pub(super) greatest: f32,
    /// Scores that about 1 in 1,000 lie below, and above.
    pub(super) low: f32,
    pub(super) high: f32,
    /// The first SNV's contig and position.
    pub(super) first: Option<(u32, Position)>,
    /// Variants with a score that are not SNVs.
    pub(super) others: u64,
}

impl Spread {
    /// That of the last column of `rows`.
    pub(super) fn of(
        assembly: &Assembly,
        rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    ) -> Result<Self, ExportError> {
        let mut counts = vec![0_u64; BUCKETS];
        let mut spread = Self { least: 0.0, greatest: 0.0, low: 0.0, high: 0.0, first: None, others: 0 };
        spread.others = snvs(assembly, rows, |snv| {
            if spread.first.is_none() {
                spread.first = Some((snv.contig, snv.position));
                (spread.least, spread.greatest) = (snv.value, snv.value);
            }
            spread.least = spread.least.min(snv.value);
            spread.greatest = spread.greatest.max(snv.value);
            counts[bucket(snv.value)] += 1;
            Ok(())
        })?;
        let beyond = counts.iter().sum::<u64>() as f64 * TAIL;
        if let (Some(low), Some(high)) =
            (edge(&counts, 0..BUCKETS, beyond), edge(&counts, (0..BUCKETS).rev(), beyond))
        {
            spread.low = ends(low).0.max(spread.least);
            spread.high = ends(high).1.min(spread.greatest);
        }
        Ok(spread)
    }
}

/// The first of `buckets` that more than `beyond` values lie in or before.
fn edge(counts: &[u64], mut buckets: impl Iterator<Item = usize>, beyond: f64) -> Option<usize> {
    let mut seen = 0;
    buckets.find(|bucket| {
        seen += counts[*bucket];
        seen as f64 > beyond
    })
}

/// Bits of a score that sort like it.
fn bucket(score: f32) -> usize {
    let bits = score.to_bits();
    let sorted = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (sorted >> 16) as usize
}

/// The least and the greatest score of a bucket.
fn ends(bucket: usize) -> (f32, f32) {
    let score = |low: u32| {
        let sorted = (crate::narrow::to_u32(bucket) << 16) | low;
        f32::from_bits(if sorted >> 31 == 1 { sorted & !(1 << 31) } else { !sorted })
    };
    (score(0), score(0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_scores_in_order() {
        let mut last = 0;
        for score in [f32::MIN, -3.5, -1.0, -1e-30, -0.0, 0.0, 1e-30, 0.99, 1.0, 1.01, 7e8, f32::MAX] {
            let (low, high) = ends(bucket(score));
            assert!(low <= score && score <= high && bucket(score) >= last, "{score}: {low} {high}");
            assert!(high - low <= score.abs() / 127.0 || score.abs() < 1e-29, "{score}: {low} {high}");
            last = bucket(score);
        }
    }
}
