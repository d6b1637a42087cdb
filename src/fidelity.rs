//! May the scores of a faster recipe stand for those of the exact one? Figures, limits and a verdict, kept with the
//! track.

mod stored;

use serde::{Deserialize, Serialize};
use vestore_schema::Digest;

use crate::diff::Diff;

pub use self::stored::KeptFidelity;

/// Variants below which nothing is decided: their top 1 % would be fewer than ten.
const FEWEST: u64 = 1000;

/// How well scores stand for others, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every figure is within the strict limits: use either.
    Faithful,
    /// Every figure is within the loose limits: fit for ranking and screening.
    Close,
    /// Too few variants or labels to tell.
    Undecided,
    /// A figure is beyond the loose limits.
    Different,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faithful => "faithful",
            Self::Close => "close",
            Self::Undecided => "undecided",
            Self::Different => "different",
        }
    }
}

/// How the scores of a track compare with those of its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Name of the track.
    pub track: String,
    /// Its id.
    pub track_id: Digest,
    /// Name of the track that counts as exact.
    pub reference: String,
    /// Its id.
    pub reference_id: Digest,
    /// Rows that both have.
    pub in_both: u64,
    /// Rows that the track alone has.
    pub only_track: u64,
    /// Rows that the reference alone has.
    pub only_reference: u64,
    /// File name of the labels, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The columns compared.
    pub columns: Vec<ColumnFidelity>,
    /// The worst of the columns' verdicts.
    pub verdict: Verdict,
    /// Version of the program that compared them.
    pub program: String,
}

impl Fidelity {
    /// Rows of the track when it was compared.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.in_both.saturating_add(self.only_track)
    }

    /// Rows of the reference when they were compared.
    #[must_use]
    pub fn reference_rows(&self) -> u64 {
        self.in_both.saturating_add(self.only_reference)
    }
}

/// One score column on the rows that have it in both tracks. Differences are track minus reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnFidelity {
    /// The column.
    pub column: String,
    /// Variants with the score in both tracks.
    pub compared: u64,
    /// Spearman's correlation; missing when a side does not vary.
    pub spearman: Option<f64>,
    /// Largest absolute difference.
    pub largest_difference: f64,
    /// 99.9th percentile of the absolute differences.
    pub percentile_99_9_difference: f64,
    /// Standard deviation of the reference's scores, which differences are measured against.
    pub standard_deviation: f64,
    /// Overlap of the 1 % with the largest absolute scores; see [`Diff::top_1_percent_overlap`].
    pub top_1_percent_overlap: Option<f64>,
    /// Variants whose score is above 0 in one track and below 0 in the other.
    pub sign_changes: u64,
    /// Their fraction.
    pub sign_change_fraction: f64,
    /// What labels say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labelled: Option<LabelledFidelity>,
    /// The verdict on this column.
    pub verdict: Verdict,
}

/// How well both tracks separate labelled variants that both score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelledFidelity {
    /// Labelled variants.
    pub rows: u64,
    /// Positive ones.
    pub positives: u64,
    /// Whether scores were negated, because the reference gives positives the lower ones.
    pub negated: bool,
    /// Area under the receiver operating characteristic.
    pub auroc: PairedFigure,
    /// Average precision.
    pub auprc: PairedFigure,
}

/// A figure of both tracks, and its difference with a 95 % interval from resamples of the rows of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedFigure {
    /// Of the track.
    pub track: f64,
    /// Of the reference.
    pub reference: f64,
    /// Track minus reference.
    pub difference: f64,
    /// Lower bound of the difference; missing where no resample has both classes.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
}

/// A figure beside its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    /// What is limited.
    pub figure: &'static str,
    /// Its value; missing where it is undefined.
    pub value: Option<f64>,
    /// The limits of [`Verdict::Faithful`] and [`Verdict::Close`].
    pub limits: [f64; 2],
    /// Whether values must not be below the limits instead of not above.
    pub is_least: bool,
    /// What it says.
    pub verdict: Verdict,
}

impl Criterion {
    fn new(figure: &'static str, value: Option<f64>, limits: [f64; 2], is_least: bool) -> Self {
        let within = |limit: f64| value.map(|value| if is_least { value >= limit } else { value <= limit });
        let verdict = match limits.map(within) {
            [Some(true), _] => Verdict::Faithful,
            [_, Some(true)] => Verdict::Close,
            [_, Some(false)] => Verdict::Different,
            _ => Verdict::Undecided,
        };
        Self { figure, value, limits, is_least, verdict }
    }

    /// Of a difference that labels show: its lower bound. Where few labels make the interval wide, nothing is decided.
    fn labelled(figure: &'static str, paired: PairedFigure) -> Self {
        let limits = [-0.005, -0.02];
        let mut criterion = Self::new(figure, paired.low, limits, true);
        if criterion.verdict == Verdict::Different && paired.high.is_some_and(|high| high >= limits[1]) {
            criterion.verdict = Verdict::Undecided;
        }
        criterion
    }
}

impl ColumnFidelity {
    /// What `diff` (the reference first) and labels say of a column.
    #[must_use]
    pub fn new(diff: &Diff, labelled: Option<LabelledFidelity>) -> Self {
        let mut column = Self {
            column: diff.column.clone(),
            compared: diff.compared,
            spearman: diff.spearman,
            largest_difference: diff.largest_difference.into(),
            percentile_99_9_difference: diff.percentile_99_9_difference,
            standard_deviation: diff.standard_deviations[0],
            top_1_percent_overlap: diff.top_1_percent_overlap,
            sign_changes: diff.sign_changes,
            sign_change_fraction: diff.sign_changes as f64 / diff.compared.max(1) as f64,
            labelled,
            verdict: Verdict::Undecided,
        };
        if column.compared >= FEWEST {
            let verdicts = column.criteria().into_iter().map(|criterion| criterion.verdict);
            column.verdict = verdicts.max().unwrap_or(Verdict::Undecided);
        }
        column
    }

    /// The figures that the verdict follows from, with their limits.
    #[must_use]
    pub fn criteria(&self) -> Vec<Criterion> {
        let varies = self.standard_deviation > 0.0;
        let relative = varies.then(|| self.percentile_99_9_difference / self.standard_deviation);
        let signs = (self.compared > 0).then_some(self.sign_change_fraction);
        let mut criteria = vec![
            Criterion::new("Spearman", self.spearman, [0.999, 0.99], true),
            Criterion::new(
                "overlap of the top 1 % by magnitude",
                self.top_1_percent_overlap,
                [0.95, 0.8],
                true,
            ),
            Criterion::new("99.9th percentile / deviation", relative, [0.1, 0.5], false),
            Criterion::new("fraction of sign changes", signs, [0.01, 0.05], false),
        ];
        if let Some(labelled) = &self.labelled {
            criteria.push(Criterion::labelled("AUROC difference, lower bound", labelled.auroc));
            criteria.push(Criterion::labelled("AUPRC difference, lower bound", labelled.auprc));
        }
        criteria
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(change: impl FnOnce(&mut Diff)) -> ColumnFidelity {
        let mut diff = Diff {
            compared: 1000,
            spearman: Some(0.9995),
            percentile_99_9_difference: 0.02,
            standard_deviations: [0.5; 2],
            top_1_percent_overlap: Some(0.97),
            sign_changes: 10,
            ..Diff::default()
        };
        change(&mut diff);
        ColumnFidelity::new(&diff, None)
    }

    #[test]
    fn the_worst_figure_decides() {
        assert_eq!(column(|_| ()).verdict, Verdict::Faithful);
        let close: [fn(&mut Diff); 4] = [
            |diff| diff.spearman = Some(0.998),
            |diff| diff.top_1_percent_overlap = Some(0.9),
            |diff| diff.percentile_99_9_difference = 0.06,
            |diff| diff.sign_changes = 11,
        ];
        for change in close {
            assert_eq!(column(change).verdict, Verdict::Close);
        }
        assert_eq!(column(|diff| diff.spearman = Some(0.98)).verdict, Verdict::Different);
        assert_eq!(column(|diff| diff.spearman = None).verdict, Verdict::Undecided);
        assert_eq!(column(|diff| diff.compared = 999).verdict, Verdict::Undecided);
    }

    #[test]
    fn few_labels_decide_nothing() {
        let verdict = |low, high| {
            let paired = PairedFigure { track: 0.8, reference: 0.8, difference: 0.0, low, high };
            Criterion::labelled("AUROC", paired).verdict
        };
        assert_eq!(verdict(Some(-0.005), Some(0.01)), Verdict::Faithful);
        assert_eq!(verdict(Some(-0.02), Some(0.01)), Verdict::Close);
        assert_eq!(verdict(Some(-0.1), Some(0.1)), Verdict::Undecided);
        assert_eq!(verdict(Some(-0.1), Some(-0.03)), Verdict::Different);
        assert_eq!(verdict(None, None), Verdict::Undecided);
    }
}
