//! Random numbers that are the same on every machine (splitmix64; Steele, Lea, Flood 2014), with a stream of
//! their own for every list of numbers they start from: a step of training, a window of it.

use crate::convert::as_index;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of `seed`, far from those of its neighbours: of two seeds that differ by one, [`Random::new`] gives
    /// the same numbers one step apart.
    pub(crate) fn mixed(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A stream for each list of numbers.
    #[must_use]
    pub fn of(parts: &[u64]) -> Self {
        let start = parts.iter().fold(0, |state, part| Self(state ^ part.rotate_left(17)).bits());
        Self(start)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A whole number below `bound`, which is not 0. Uneven by less than `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Puts `items` into random order (Fisher and Yates' shuffle).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, as_index(self.below(last as u64 + 1)));
        }
    }

    /// The whole numbers below `count` in random order.
    pub(crate) fn order(mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.shuffle(&mut order);
        order
    }

    /// A number of mean 0 and variance 1 (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_they_should_be() {
        let mut random = Random::new(5);
        let mut counts = [0u32; 6];
        (0..60_000).for_each(|_| counts[random.below(6) as usize] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        let normal: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f64>() / 1e5;
        let variance = normal.iter().map(|number| number * number).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn an_order_holds_every_number_once_and_depends_on_its_seed() {
        let order = |seed| Random::of(&[1, seed]).order(100);
        let mut found = order(2);
        assert_eq!(found, order(2));
        assert_ne!(found, order(3));
        found.sort_unstable();
        assert!(found.into_iter().eq(0..100));
    }

    #[test]
    fn streams_differ_by_every_number_and_their_order() {
        let first = |parts: &[u64]| Random::of(parts).bits();
        let all = [first(&[1, 2]), first(&[2, 1]), first(&[1, 3]), first(&[1, 2, 0]), first(&[1])];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other != one));
        }
        assert_eq!(first(&[1, 2]), all[0]);
    }
}
