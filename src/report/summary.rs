//! The runs of a study by what they vary.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::study::{LayerVerdict, Study, StudyRun, Variation, mean_and_deviation};

/// The runs of one variation by seed.
pub(super) type Runs<'a> = [&'a StudyRun];

/// A study with its runs in order.
pub(super) struct Summary<'a> {
    pub(super) study: &'a Study,
    groups: BTreeMap<&'a Variation, Vec<&'a StudyRun>>,
    /// Seeds that the plan names, or that some run had.
    pub(super) seeds: BTreeSet<u64>,
}

/// A metric over the seeds of one variation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Nothing of a single value.
    pub(super) deviation: Option<f64>,
    /// Seeds under which it is undefined.
    pub(super) undefined: usize,
}

impl<'a> Summary<'a> {
    pub(super) fn new(study: &'a Study, runs: &'a [StudyRun]) -> Self {
        let mut groups: BTreeMap<&Variation, Vec<&StudyRun>> = BTreeMap::new();
        for run in runs {
            groups.entry(&run.variation).or_default().push(run);
        }
        for runs in groups.values_mut() {
            runs.sort_by_key(|run| run.seed);
        }
        let planned = study.plan.get("seeds").and_then(|seeds| seeds.as_array()).into_iter().flatten();
        let seeds =
            planned.filter_map(serde_json::Value::as_u64).chain(runs.iter().map(|run| run.seed)).collect();
        Self { study, groups, seeds }
    }

    /// The runs of a variation, none where it was not trained.
    pub(super) fn runs(&self, variation: &Variation) -> &Runs<'a> {
        self.groups.get(variation).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all_runs(&self) -> impl Iterator<Item = &'a StudyRun> {
        self.groups.values().flatten().copied()
    }

    pub(super) fn baseline(&self) -> &Runs<'a> {
        self.runs(&Variation::Baseline)
    }

    pub(super) fn without(&self, layer: u32) -> &Runs<'a> {
        self.runs(&Variation::Without { layer })
    }

    /// The methods that were tried beside the baseline's with their runs, by what they train, most first.
    pub(super) fn methods(&self) -> Vec<(&'a str, &Runs<'a>)> {
        let mut found = Vec::new();
        for (variation, runs) in &self.groups {
            if let Variation::Method { method } = variation {
                found.push((method.as_str(), runs.as_slice()));
            }
        }
        found.sort_by_key(|(_, runs)| Reverse(runs.first().map(|run| run.trained_parameters)));
        found
    }

    /// The metrics with their directions.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&'a str, bool)> {
        let directions = self.study.higher_is_better.iter().copied();
        self.study.metrics.iter().map(String::as_str).zip(directions)
    }

    /// The primary metric and whether more of it is better.
    pub(super) fn primary(&self) -> (&'a str, bool) {
        self.metrics().next().unwrap_or(("", true))
    }

    /// How important a value of the primary metric makes what was left out: the baseline's mean − the value,
    /// turned where less is better.
    pub(super) fn importance(&self, value: f64) -> Option<f64> {
        let (metric, higher) = self.primary();
        let lost = spread(self.baseline(), metric)?.mean - value;
        Some(if higher { lost } else { -lost })
    }

    pub(super) fn verdict(&self, layer: u32) -> Option<&'a LayerVerdict> {
        self.study.result.as_ref()?.layers.iter().find(|verdict| verdict.layer == layer)
    }

    /// Layers whose verdict is as asked.
    pub(super) fn judged(&self, wanted: impl Fn(&LayerVerdict) -> bool) -> Vec<u32> {
        let verdicts = self.study.result.iter().flat_map(|result| &result.layers);
        verdicts.filter(|verdict| wanted(verdict)).map(|verdict| verdict.layer).collect()
    }

    /// Whether labels are classes; else they are numbers.
    pub(super) fn of_classes(&self) -> bool {
        let of_numbers = ["spearman", "pearson", "r2", "window_pearson", "window_r2"];
        self.metrics().any(|(metric, _)| !of_numbers.contains(&metric))
    }
}

/// A metric over runs; nothing where no run has a value.
pub(super) fn spread(runs: &Runs<'_>, metric: &str) -> Option<Spread> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.value(metric)).collect();
    let (mean, deviation) = mean_and_deviation(&values)?;
    Some(Spread { mean, deviation, undefined: runs.len() - values.len() })
}

/// Mean of something that every run has; nothing without a run.
pub(super) fn mean(runs: &Runs<'_>, of: impl Fn(&StudyRun) -> f64) -> Option<f64> {
    let values: Vec<f64> = runs.iter().map(|run| of(run)).collect();
    mean_and_deviation(&values).map(|(mean, _)| mean)
}

/// What people call a metric.
pub(super) fn label(metric: &str) -> &str {
    match metric {
        "auroc" => "AUROC",
        "auprc" => "AUPRC",
        "f1" => "F1",
        "mcc" => "MCC",
        "r2" => "R²",
        "accuracy" => "Accuracy",
        "spearman" => "Spearman",
        "pearson" => "Pearson",
        "window_pearson" => "Pearson of windows",
        "window_r2" => "R² of windows",
        "true_positive_rate" | "tpr" | "tp" => "True-positive rate",
        other => other,
    }
}

/// What people call a tuning method.
pub(super) fn method_label(method: &str) -> &str {
    match method {
        "full" => "Full fine-tuning",
        "linear" => "Linear probe",
        "lora" => "LoRA",
        "locon" => "LoRA with convolutions (Locon)",
        "ia3" => "IA³",
        "houlsby" => "Houlsby adapters",
        "houlsby-se" => "Houlsby adapters with squeeze-and-excite",
        "k-mer ridge" => "Ridge regression on k-mers, without the model",
        other => other,
    }
}

/// Layers as people list them: `0, 2–5`.
pub(super) fn layer_list(layers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for layer in layers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *layer => *last = *layer,
            _ => parts.push((*layer, *layer)),
        }
    }
    let part = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    };
    if parts.is_empty() { "none".to_owned() } else { parts.iter().map(part).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_follow_each_other_are_drawn_together() {
        assert_eq!(layer_list(&[]), "none");
        assert_eq!(layer_list(&[0, 2, 3, 4, 7, 8]), "0, 2–4, 7, 8");
    }
}
