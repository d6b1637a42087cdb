//! From the coverage of a bin's bases to what a model learns: Baskerville's transform, in its order.

use serde_json::json;

/// What is computed over the bases of a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    Sum,
    SumSqrt,
    Mean,
    MeanSqrt,
    Max,
}

/// The names that a table gives them.
pub(super) const STATISTICS: [(&str, Statistic); 7] = [
    ("sum", Statistic::Sum),
    ("sum_sqrt", Statistic::SumSqrt),
    ("mean", Statistic::Mean),
    ("avg", Statistic::Mean),
    ("mean_sqrt", Statistic::MeanSqrt),
    ("avg_sqrt", Statistic::MeanSqrt),
    ("max", Statistic::Max),
];

impl Statistic {
    /// The one of this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        STATISTICS.iter().find(|(known, _)| *known == name).map(|(_, statistic)| *statistic)
    }
}

/// How coverage becomes the values of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transform {
    /// What the coverage of each base is multiplied by.
    pub(super) scale: f64,
    pub(super) statistic: Statistic,
    /// Above it, values grow as a square root.
    pub(super) clip_soft: Option<f64>,
    /// The largest value.
    pub(super) clip: Option<f64>,
}

/// The value of a bin, and whether limits changed it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transformed {
    pub(super) value: f64,
    pub(super) soft: bool,
    pub(super) hard: bool,
}

impl Transform {
    /// The value of a bin of `bases`, from the sum and the maximum of their scaled coverage.
    pub(super) fn value(&self, sum: f64, max: f64, bases: u32) -> Transformed {
        let root = |value: f64| (1.0 + value).sqrt() - 1.0;
        let mean = sum / f64::from(bases);
        let mut value = match self.statistic {
            Statistic::Sum => sum,
            Statistic::SumSqrt => root(sum),
            Statistic::Mean => mean,
            Statistic::MeanSqrt => root(mean),
            Statistic::Max => max,
        };
        let soft = self.clip_soft.filter(|limit| value > *limit);
        if let Some(limit) = soft {
            value = limit - 1.0 + (value - limit + 1.0).sqrt();
        }
        let hard = self.clip.filter(|limit| value > *limit);
        Transformed { value: hard.unwrap_or(value), soft: soft.is_some(), hard: hard.is_some() }
    }

    /// The coverage of a bin, still scaled, that has this value; what `clip` cut stays cut. Less than 0 counts 0.
    pub(super) fn undo(&self, value: f64) -> f64 {
        let value = match self.clip_soft {
            Some(limit) if value > limit => limit - 1.0 + (value - limit + 1.0).powi(2),
            _ if value < 0.0 => 0.0,
            _ => value,
        };
        match self.statistic {
            Statistic::SumSqrt | Statistic::MeanSqrt => (value + 1.0).powi(2) - 1.0,
            Statistic::Sum | Statistic::Mean | Statistic::Max => value,
        }
    }

    /// What decides values beyond the table's digest.
    pub(super) fn identity(&self) -> serde_json::Value {
        json!([format!("{:?}", self.statistic), self.clip])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the published formulas, computed with numpy.
    #[test]
    fn values_are_those_of_baskerville() {
        let of = |name: &str, clip_soft, clip| {
            let transform =
                Transform { scale: 1.0, statistic: Statistic::parse(name).expect("known"), clip_soft, clip };
            transform.value(48.0, 4.5, 32)
        };
        for (name, expected) in [
            ("sum", 48.0),
            ("sum_sqrt", 6.0),
            ("mean", 1.5),
            ("avg", 1.5),
            ("mean_sqrt", 0.581_138_830_084_189_8),
            ("avg_sqrt", 0.581_138_830_084_189_8),
            ("max", 4.5),
        ] {
            let found = of(name, None, None);
            assert!((found.value - expected).abs() < 1e-12, "{name}: {found:?}");
            assert!(!found.soft && !found.hard);
        }
        // 33 - 1 + sqrt(48 - 33 + 1)
        assert_eq!(of("sum", Some(33.0), None), Transformed { value: 36.0, soft: true, hard: false });
        assert_eq!(of("sum", Some(33.0), Some(35.0)), Transformed { value: 35.0, soft: true, hard: true });
        assert_eq!(of("sum", Some(48.0), Some(48.0)), Transformed { value: 48.0, soft: false, hard: false });
        assert_eq!(Statistic::parse("median"), None);
    }

    #[test]
    fn values_are_undone() {
        for (name, statistic) in STATISTICS {
            let transform = Transform { scale: 1.0, statistic, clip_soft: Some(3.0), clip: None };
            for sum in [0.0, 1.5, 200.0] {
                let plain = Transform { clip_soft: None, ..transform }.value(sum, sum, 32).value;
                let undone = transform.undo(transform.value(sum, sum, 32).value);
                let mean = if name.starts_with("mean") || name.starts_with("avg") { 32.0 } else { 1.0 };
                assert!((undone * mean - sum).abs() < 1e-9 * sum.max(1.0), "{name}: {plain} {undone} {sum}");
            }
            assert_eq!(transform.undo(-1.0), 0.0);
            assert!(transform.undo(f64::NAN).is_nan());
        }
    }
}
