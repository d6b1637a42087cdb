//! What correlation needs of pairs of numbers, so that pairs can be pooled and counted several times.

/// Number, means, and sums of squares and products about the means of pairs: predicted, then measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    count: f64,
    means: [f64; 2],
    squares: [f64; 2],
    product: f64,
}

impl Moments {
    /// Those of pairs.
    pub(super) fn of(pairs: impl Iterator<Item = [f64; 2]> + Clone) -> Self {
        let Some(first) = pairs.clone().next() else { return Self::default() };
        // Differences to a pair, so that equal numbers have a spread of 0 and not of a rounding.
        let (mut count, mut sums) = (0.0, [0.0; 2]);
        for pair in pairs.clone() {
            count += 1.0;
            (0..2).for_each(|side| sums[side] += pair[side] - first[side]);
        }
        let means = [0, 1].map(|side| first[side] + sums[side] / count);
        let mut found = Self { count, means, ..Self::default() };
        for pair in pairs {
            found.spread(1.0, [pair[0] - means[0], pair[1] - means[1]]);
        }
        found
    }

    /// That of one pair.
    pub(super) fn point(means: [f64; 2]) -> Self {
        Self { count: 1.0, means, ..Self::default() }
    }

    /// Those of the pairs of all parts, each counted as often as it says.
    pub(super) fn pool(parts: impl Iterator<Item = (Self, u32)> + Clone) -> Self {
        let parts = parts.filter(|(part, times)| *times > 0 && part.count > 0.0);
        let Some((first, _)) = parts.clone().next() else { return Self::default() };
        let (mut count, mut sums) = (0.0, [0.0; 2]);
        for (part, times) in parts.clone() {
            let weight = f64::from(times) * part.count;
            count += weight;
            (0..2).for_each(|side| sums[side] += weight * (part.means[side] - first.means[side]));
        }
        let means = [0, 1].map(|side| first.means[side] + sums[side] / count);
        let mut pooled = Self { count, means, ..Self::default() };
        for (part, times) in parts {
            let times = f64::from(times);
            (0..2).for_each(|side| pooled.squares[side] += times * part.squares[side]);
            pooled.product += times * part.product;
            pooled.spread(times * part.count, [part.means[0] - means[0], part.means[1] - means[1]]);
        }
        pooled
    }

    fn spread(&mut self, weight: f64, differences: [f64; 2]) {
        (0..2).for_each(|side| self.squares[side] += weight * differences[side] * differences[side]);
        self.product += weight * differences[0] * differences[1];
    }

    /// Number of pairs.
    pub(super) fn count(&self) -> f64 {
        self.count
    }

    /// The pair of means; none without pairs.
    pub(super) fn means(&self) -> Option<[f64; 2]> {
        (self.count > 0.0).then_some(self.means)
    }

    /// Pearson's correlation; none where a side does not vary or is not finite.
    pub(super) fn pearson(&self) -> Option<f64> {
        let spread = (self.squares[0] * self.squares[1]).sqrt();
        let found = self.product / spread;
        (spread > 0.0 && found.is_finite()).then(|| found.clamp(-1.0, 1.0))
    }

    /// 1 − Σ(measured − predicted)² / Σ(measured − mean)²; none where measurements do not vary or a side is not finite.
    pub(super) fn r2(&self) -> Option<f64> {
        let bias = self.means[0] - self.means[1];
        let errors = self.squares[0] + self.squares[1] - 2.0 * self.product + self.count * bias * bias;
        let found = 1.0 - errors / self.squares[1];
        (self.squares[1] > 0.0 && found.is_finite()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn pooled_pairs_are_as_the_pairs_themselves() {
        let mut random = Random::new(2);
        for _ in 0..50 {
            let mut all = Vec::new();
            let parts: Vec<(Moments, u32)> = (0..6)
                .map(|_| {
                    let pair = |random: &mut Random| [1e6 + random.normal(), 5.0 * random.normal()];
                    let pairs: Vec<[f64; 2]> = (0..random.below(5)).map(|_| pair(&mut random)).collect();
                    let times = random.below(4) as u32;
                    (0..times).for_each(|_| all.extend_from_slice(&pairs));
                    (Moments::of(pairs.into_iter()), times)
                })
                .collect();
            let (pooled, whole) = (Moments::pool(parts.into_iter()), Moments::of(all.iter().copied()));
            assert_eq!(pooled.count(), whole.count());
            for (pooled, whole) in [(pooled.pearson(), whole.pearson()), (pooled.r2(), whole.r2())] {
                let (Some(pooled), Some(whole)) = (pooled, whole) else {
                    assert_eq!(pooled.is_some(), whole.is_some());
                    continue;
                };
                assert!((pooled - whole).abs() < 1e-6 * whole.abs().max(1.0), "{pooled} {whole}");
            }
        }
    }

    #[test]
    fn what_does_not_vary_has_no_figure() {
        let of = |pairs: &[[f64; 2]]| Moments::of(pairs.iter().copied());
        // Thirds, whose sums are rounded.
        let constant = of(&[[0.1 / 3.0, 1.0]; 7]);
        assert_eq!((constant.pearson(), constant.r2()), (None, None));
        let pooled = Moments::pool([(constant, 3), (constant, 1), (of(&[[0.1 / 3.0, 2.0]]), 1)].into_iter());
        assert_eq!(pooled.pearson(), None);
        assert!(pooled.r2().is_some());
        let infinite = of(&[[f64::NAN, 1.0], [1.0, 2.0]]);
        assert_eq!((infinite.pearson(), infinite.r2()), (None, None));
        assert_eq!(Moments::default().pearson(), None);
        let perfect = of(&[[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]);
        assert_eq!((perfect.pearson(), perfect.r2()), (Some(1.0), Some(1.0)));
    }
}
