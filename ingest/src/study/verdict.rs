//! Which layers are cornerstones and which are unfavourable (Hegde, Nebel, Rahman, Genes 2025, 16(11):1358), and
//! how well cheaper rankings agree.

use vestore::{
    Agreement, BaselineFigure, LayerVerdict, Ranking, Study, StudyResult, StudyRun, Variation,
    mean_and_deviation,
};

use super::LayerRanking;
use crate::evaluate::order::{Order, spearman};

/// A metric is worse from this share of the baseline's mean on.
const WORSE: f64 = 0.05;

/// The four metrics of the definition of unfavourable layers.
const FOUR: [&str; 4] = ["accuracy", "auroc", "f1", "true_positive_rate"];

/// The verdicts over the layers of `study` by its `runs` on the validation rows, by the means over the seeds that have
/// a value. The definitions are over accuracy, AUROC, F1 and true-positive rate; studies without these four
/// (regression, more than two classes) take all their metrics. A layer is a cornerstone when without it every one of
/// them is at least 5 % worse than the baseline's mean, or undefined where the baseline's is not (as of predictions
/// that are all equal); unfavourable when, without it, at least three of the four, or all, are not below the
/// baseline's mean less its standard deviation (0 with one seed). Layers without runs have no verdict.
#[must_use]
pub(super) fn verdicts(study: &Study, runs: &[StudyRun], rankings: &[LayerRanking]) -> StudyResult {
    let values = |variation: &Variation, metric: &str| -> Option<Vec<f64>> {
        let runs = runs.iter().filter(|run| run.variation == *variation);
        let found: Vec<f64> = runs.filter_map(|run| run.validation_value(metric)).collect();
        (!found.is_empty()).then_some(found)
    };
    let directed = || study.metrics.iter().zip(&study.higher_is_better);
    let baseline: Vec<BaselineFigure> = study
        .metrics
        .iter()
        .filter_map(|metric| {
            let (mean, deviation) = mean_and_deviation(&values(&Variation::Baseline, metric)?)?;
            Some(BaselineFigure { metric: metric.clone(), mean, deviation })
        })
        .collect();
    let of = |metric: &str| baseline.iter().find(|figure| figure.metric == metric);
    let four = FOUR.iter().all(|metric| study.metrics.iter().any(|known| known == metric));
    let mut layers = Vec::new();
    for layer in &study.layers {
        let variation = Variation::Without { layer: *layer };
        let mean = |metric: &str| mean_and_deviation(&values(&variation, metric)?).map(|(mean, _)| mean);
        if !runs.iter().any(|run| run.variation == variation) {
            continue;
        }
        // How much worse a metric is without the layer; none where either is undefined.
        let loss = |(metric, higher): (&String, &bool)| {
            let change = of(metric)?.mean - mean(metric)?;
            Some(if *higher { change } else { -change })
        };
        let defining = || directed().filter(|(metric, _)| !four || FOUR.contains(&metric.as_str()));
        let cornerstone = defining().all(|(metric, higher)| match (loss((metric, higher)), of(metric)) {
            (Some(loss), Some(base)) => loss > 0.0 && loss >= WORSE * base.mean.abs(),
            (None, base) => base.is_some(),
            (Some(_), None) => false,
        });
        let spared: Vec<&String> = defining()
            .filter(|(metric, higher)| {
                let deviation = of(metric).and_then(|base| base.deviation).unwrap_or(0.0);
                loss((metric, higher)).is_some_and(|loss| loss <= deviation)
            })
            .map(|(metric, _)| metric)
            .collect();
        let enough = if four { 3 } else { study.metrics.len() };
        layers.push(LayerVerdict {
            layer: *layer,
            cornerstone,
            unfavourable: spared.len() >= enough && !cornerstone,
            importance: directed().next().and_then(loss),
            rankings: rankings
                .iter()
                .filter_map(|ranking| {
                    let place = study.layers.iter().position(|known| known == layer)?;
                    let value = *ranking.values.get(place)?;
                    Some(Ranking { name: ranking.name.to_owned(), value })
                })
                .collect(),
        });
    }
    let agreement = rankings.iter().map(|ranking| agreement(ranking, &layers)).collect();
    StudyResult { layers, agreement, baseline }
}

fn agreement(ranking: &LayerRanking, layers: &[LayerVerdict]) -> Agreement {
    let pairs: Vec<(f64, f64)> = layers
        .iter()
        .filter_map(|layer| {
            let found = layer.rankings.iter().find(|found| found.name == ranking.name)?;
            Some((found.value, layer.importance?))
        })
        .collect();
    let [ranks, importances] = [
        pairs.iter().map(|(value, _)| *value).collect::<Vec<f64>>(),
        pairs.iter().map(|(_, importance)| *importance).collect(),
    ]
    .map(|values| Order::new(&values));
    let spearman =
        if pairs.len() < 3 { None } else { spearman([&ranks, &importances], &vec![1; pairs.len()]) };
    let note = match spearman {
        Some(_) => format!("{}; over {} layers", ranking.note, pairs.len()),
        None if pairs.len() < 3 => format!("{}; undefined for {} layers", ranking.note, pairs.len()),
        None => format!("{}; undefined: all values are equal", ranking.note),
    };
    Agreement { name: ranking.name.to_owned(), spearman, note }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use vestore::StudyFigure;

    use super::*;

    fn study(metrics: &[&str], layers: &[u32]) -> Study {
        Study {
            name: "s".to_owned(),
            model: "m".to_owned(),
            model_id: [0; 32].into(),
            plan: Value::Null,
            plan_digest: [0; 32].into(),
            program: String::new(),
            device: "cpu".to_owned(),
            threads: 1,
            metrics: metrics.iter().map(|metric| (*metric).to_owned()).collect(),
            higher_is_better: vec![true; metrics.len()],
            layers: layers.to_vec(),
            started: 0,
            finished: None,
            result: None,
        }
    }

    fn run(study: &Study, variation: Variation, seed: u64, values: &[f64]) -> StudyRun {
        let figure = |(metric, value): (&String, &f64)| StudyFigure {
            metric: metric.clone(),
            value: value.is_finite().then_some(*value),
            low: None,
            high: None,
        };
        StudyRun {
            study: study.name.clone(),
            variation,
            seed,
            kept_layers: Vec::new(),
            method: "full".to_owned(),
            parameters: 1,
            trained_parameters: 1,
            steps: 1,
            best_step: 1,
            validation_loss: 0.0,
            validation_figures: study.metrics.iter().zip(values).map(figure).collect(),
            // Verdicts must not look at the test rows.
            figures: study.metrics.iter().map(|metric| figure((metric, &0.5))).collect(),
            training_seconds: 1.0,
            evaluation_seconds: 1.0,
            seconds_per_step: 1.0,
            peak_memory: None,
            rows: [1, 1, 1],
            model: None,
        }
    }

    #[test]
    fn layers_are_judged_by_the_definitions() {
        let study = study(&["auroc", "accuracy", "f1", "true_positive_rate"], &[0, 1, 2, 3, 4]);
        let baseline =
            |seed, by| run(&study, Variation::Baseline, seed, &[0.8 + by, 0.7 + by, 0.6 + by, 0.5 + by]);
        let without = |layer, values: &[f64]| run(&study, Variation::Without { layer }, 1, values);
        let runs = vec![
            baseline(1, -0.01),
            baseline(2, 0.0),
            baseline(3, 0.01),
            // Every metric is 5 % below the mean, to the last digit.
            without(0, &[0.8 * 0.95 - 1e-12, 0.7 * 0.95 - 1e-12, 0.6 * 0.95 - 1e-12, 0.5 * 0.95 - 1e-12]),
            // One is not.
            without(1, &[0.7, 0.6, 0.5, 0.476]),
            // Three are within one deviation (0.01), one is far below.
            without(2, &[0.7901, 0.6901, 0.5901, 0.3]),
            // Two are.
            without(3, &[0.7901, 0.6901, 0.5899, 0.3]),
            // What is undefined without the layer alone is worse.
            without(4, &[f64::NAN, 0.1, 0.1, 0.1]),
        ];
        let found = verdicts(&study, &runs, &[]);
        let shown: Vec<(bool, bool)> =
            found.layers.iter().map(|layer| (layer.cornerstone, layer.unfavourable)).collect();
        assert_eq!(shown, [(true, false), (false, false), (false, true), (false, false), (true, false)]);
        assert!((found.layers[1].importance.expect("a number") - 0.1).abs() < 1e-12);
        assert_eq!(found.layers[4].importance, None);
        assert!((found.baseline[0].deviation.expect("three seeds") - 0.01).abs() < 1e-12);
    }

    /// Neither a metric beyond the four nor a seed without a value spoils a verdict.
    #[test]
    fn other_metrics_and_undefined_seeds_change_no_verdict() {
        let study = study(&["auroc", "mcc", "accuracy", "f1", "true_positive_rate"], &[0]);
        let baseline = |seed, mcc| run(&study, Variation::Baseline, seed, &[0.8, mcc, 0.7, 0.6, 0.5]);
        let runs = [
            baseline(1, 0.4),
            baseline(2, f64::NAN),
            run(&study, Variation::Without { layer: 0 }, 1, &[0.5, 0.39, 0.5, 0.3, 0.2]),
        ];
        let found = verdicts(&study, &runs, &[]);
        assert!(found.layers[0].cornerstone);
        assert_eq!(found.baseline[1].mean, 0.4);
    }

    #[test]
    fn regression_takes_all_its_metrics_and_rankings_are_compared_with_the_importance() {
        let mut study = study(&["spearman", "loss"], &[0, 1, 2]);
        study.higher_is_better = vec![true, false];
        let baseline = |seed, by| run(&study, Variation::Baseline, seed, &[0.4 + by, 2.0 - by]);
        let without = |layer, values: &[f64]| run(&study, Variation::Without { layer }, 1, values);
        let runs = [
            baseline(1, -0.02),
            baseline(2, 0.02),
            without(0, &[0.3, 2.5]),
            without(1, &[0.39, 2.01]),
            without(2, &[0.39, 2.5]),
        ];
        let rankings = [
            LayerRanking { name: "greedy", values: vec![3.0, 1.0, 2.0], note: "n" },
            LayerRanking { name: "shapley", values: vec![1.0, 1.0, 1.0], note: "n" },
        ];
        let found = verdicts(&study, &runs, &rankings);
        let shown: Vec<(bool, bool)> =
            found.layers.iter().map(|layer| (layer.cornerstone, layer.unfavourable)).collect();
        assert_eq!(shown, [(true, false), (false, true), (false, false)]);
        assert_eq!(found.layers[0].rankings[0].value, 3.0);
        assert!(found.agreement[0].spearman.is_some_and(|value| value > 0.8));
        assert!(
            found.agreement[1].spearman.is_none() && found.agreement[1].note.contains("all values are equal")
        );
    }
}
