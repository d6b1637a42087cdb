//! Cross-validation: every row is predicted by a probe that has not seen its variant.

use std::collections::BTreeMap;

use thiserror::Error;

use super::features::Features;
use super::probe::{Probe, ProbeError};
use crate::convert::as_index;
use crate::random::Random;

/// How rows are cross-validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossValidation {
    /// Folds; at least 2.
    pub folds: u32,
    /// Whether labels are classes: then folds have equal shares of each (stratified).
    pub classes: bool,
    /// The random seed of the folds and of the probe.
    pub seed: u64,
}

/// Why rows cannot be cross-validated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FoldsError {
    /// A fold would have none of a class.
    #[error("{positives} positive and {negatives} negative variants are too few for {folds} folds")]
    FewOfAClass {
        /// Different variants with label 1.
        positives: usize,
        /// Different variants with label 0 alone.
        negatives: usize,
        /// As asked.
        folds: u32,
    },
    /// A fold would be empty.
    #[error("{variants} variants are too few for {folds} folds")]
    Few {
        /// Different variants.
        variants: usize,
        /// As asked.
        folds: u32,
    },
    /// The probe does not learn.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl CrossValidation {
    /// What `probe` says of each row among `places` that has features, after learning from the rows of the other folds.
    /// Rows of one variant are in one fold.
    ///
    /// # Errors
    /// The rows are too few, or the probe learns nothing from them.
    pub fn predict(
        self,
        probe: Probe,
        features: &Features,
        labels: &[f64],
        places: &[usize],
    ) -> Result<Vec<(usize, f64)>, FoldsError> {
        let rows: Vec<(usize, usize)> =
            places.iter().filter_map(|place| Some((*place, (*features.places.get(*place)?)?))).collect();
        let fold_of = self.assign(rows.iter().map(|(place, row)| (*row, labels[*place])))?;
        let mut predicted = Vec::with_capacity(rows.len());
        for fold in 0..self.folds {
            let here = |(_, row): &&(usize, usize)| fold_of[row] == fold;
            let of = |(place, _): &(usize, usize)| Some((features.get(*place)?, labels[*place]));
            let training: Vec<(&[f32], f64)> = rows.iter().filter(|row| !here(row)).filter_map(of).collect();
            let asked: Vec<(usize, usize)> = rows.iter().filter(here).copied().collect();
            let values: Vec<&[f32]> = asked.iter().filter_map(|row| Some(of(row)?.0)).collect();
            let seed = Random::of(&[self.seed, u64::from(fold)]).bits();
            let predictions = probe.learn(&training, self.classes, &values, seed)?;
            predicted.extend(asked.iter().map(|(place, _)| *place).zip(predictions));
        }
        Ok(predicted)
    }

    /// The fold of each variant, which is known by its row of features.
    fn assign(self, rows: impl Iterator<Item = (usize, f64)>) -> Result<BTreeMap<usize, u32>, FoldsError> {
        let mut positive: BTreeMap<usize, bool> = BTreeMap::new();
        for (row, label) in rows {
            *positive.entry(row).or_default() |= self.classes && label > 0.5;
        }
        let strata = [true, false].map(|class| -> Vec<usize> {
            positive.iter().filter(|(_, positive)| **positive == class).map(|(row, _)| *row).collect()
        });
        let [positives, negatives] = [strata[0].len(), strata[1].len()];
        let folds = self.folds;
        if self.classes && positives.min(negatives) < as_index(u64::from(folds)) {
            return Err(FoldsError::FewOfAClass { positives, negatives, folds });
        }
        if negatives < as_index(u64::from(folds)) {
            return Err(FoldsError::Few { variants: negatives, folds });
        }
        // Dealt out in turn, on from one class to the other, so that folds are of one size.
        let mut random = Random::of(&[self.seed, u64::from(folds)]);
        let mut dealt = Vec::with_capacity(positive.len());
        for mut stratum in strata {
            random.shuffle(&mut stratum);
            dealt.extend(stratum);
        }
        Ok(dealt.into_iter().zip((0..folds).cycle()).collect())
    }
}

#[cfg(test)]
#[expect(clippy::unreadable_literal, reason = "a number as another program printed it")]
mod tests {
    use super::*;
    use crate::evaluate::{Bootstrap, Metric, Sample};

    const HOW: CrossValidation = CrossValidation { folds: 8, classes: true, seed: 5 };

    /// 240 variants of six numbers and labels that two of these tell in part; the first 30 have two rows.
    fn data() -> (Features, Vec<f64>) {
        let mut random = Random::new(11);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..240 {
            let row: Vec<f32> = (0..6).map(|_| random.uniform() as f32).collect();
            let predicted = f64::from(row[1] + row[4]) + random.uniform();
            labels.push(f64::from(u8::from(predicted > 1.7)));
            values.extend(row);
        }
        let mut places: Vec<Option<usize>> = (0..240).map(Some).collect();
        places.extend((0..30).map(Some));
        labels.extend_from_within(0..30);
        (Features { width: 6, values, places, ..Features::default() }, labels)
    }

    #[test]
    fn folds_have_equal_shares_of_both_classes_and_whole_variants() {
        let (features, labels) = data();
        let rows = features.places.iter().flatten().copied().zip(labels.iter().copied());
        let folds = HOW.assign(rows.clone()).expect("folds");
        assert_eq!(folds.len(), 240);
        let positives = labels[..240].iter().sum::<f64>();
        for fold in 0..8 {
            let here = || folds.iter().filter(|(_, of)| **of == fold).map(|(row, _)| labels[*row]);
            assert_eq!(here().count(), 30);
            assert!((here().sum::<f64>() - positives / 8.0).abs() < 1.0);
        }
        assert_eq!(HOW.assign(rows.clone()).expect("folds"), folds);
        assert_ne!(CrossValidation { seed: 6, ..HOW }.assign(rows).expect("folds"), folds);
    }

    #[test]
    fn a_label_is_predicted_without_having_been_seen() {
        // Each variant has a number of its own, and those of one label do not neighbour each other: a forest that has
        // seen a row knows its label, in another row of the variant, too; one that has not knows nothing.
        let labels: Vec<f64> = (0..200).map(|at| f64::from(u8::from(at % 100 % 2 == 0))).collect();
        let values = (0..100).map(|at| ((at * 37) % 100) as f32).collect();
        let places = (0..200).map(|at| Some(at % 100)).collect();
        let features = Features { width: 1, values, places, ..Features::default() };
        let all: Vec<usize> = (0..200).collect();
        let predicted = HOW.predict(Probe::Forest, &features, &labels, &all).expect("predictions");
        let right = predicted
            .iter()
            .filter(|(place, predicted)| (*predicted > 0.5) == (labels[*place] > 0.5))
            .count();
        assert!(predicted.len() == 200 && right < 130, "{right}");
    }

    #[test]
    fn the_area_under_the_curve_is_that_of_the_reference_library() {
        let (features, labels) = data();
        let places: Vec<usize> = (0..270).collect();
        let mut predicted = HOW.predict(Probe::Forest, &features, &labels, &places).expect("predictions");
        predicted.sort_unstable_by_key(|(place, _)| *place);
        let scores: Vec<f64> = predicted.iter().map(|(_, predicted)| *predicted).collect();
        assert_eq!(scores[..30], scores[240..], "rows of one variant have one prediction");
        let sample = Sample::new(scores, labels, None);
        let figure = sample.figure(Metric::Auroc, Bootstrap { resamples: 200, seed: 1 });
        let auroc = figure.estimate.expect("a figure");
        // `roc_auc_score` of scikit-learn 1.9.1, of these predictions. Its own `RandomForestClassifier(100)` in the
        // folds of `StratifiedGroupKFold(8, shuffle=True)` has 0.8594 ± 0.0074 over 20 seeds.
        assert!((auroc - 0.8648320272158435).abs() < 1e-12, "{auroc}");
        assert!(figure.bounds.is_some_and(|(low, high)| low < auroc && auroc < high));
    }

    #[test]
    fn too_few_rows_are_an_error() {
        let (features, _) = data();
        let refusal = |labels: &[f64], classes, count: usize| {
            let how = CrossValidation { classes, ..HOW };
            let places: Vec<usize> = (0..count).collect();
            how.predict(Probe::Forest, &features, labels, &places).map_err(|error| error.to_string())
        };
        let one: Vec<f64> = (0..270).map(|at| f64::from(u8::from(at < 7))).collect();
        for (found, part) in [
            (refusal(&one, true, 200), "7 positive and 193 negative variants are too few for 8 folds"),
            (refusal(&one, false, 5), "5 variants are too few for 8 folds"),
            (refusal(&[1.5; 270], false, 50), "the same label"),
        ] {
            assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{found:?}");
        }
    }
}
