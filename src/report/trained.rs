//! The baseline, the derived models and the tuning methods.

use super::study::Variation;

use super::cells::{changed_cell, interval_cell, memory_cell, metric_titles, spread_cell, time_cell};
use super::intervals::intervals;
use super::number::{count, figure, share};
use super::page::{Table, absent, paragraph};
use super::setting::derived_models;
use super::summary::{Runs, Summary, label, layer_list, mean, method_label};
use crate::markup::escaped;

/// Each metric over the seeds, and each seed with its interval.
pub(super) fn baseline(summary: &Summary<'_>) -> String {
    let runs = summary.baseline();
    let Some(first) = runs.first() else { return paragraph("", "The baseline has not been trained yet.") };
    let seeds = runs.iter().map(|run| format!("Seed {}", run.seed));
    let head = ["Metric".to_owned(), "Mean ± deviation".to_owned()].into_iter().chain(seeds).collect();
    let mut table =
        Table::new("The whole model, with the 95 % interval of each seed over the test rows", head);
    for (metric, _) in summary.metrics() {
        let mut cells = vec![escaped(label(metric)), spread_cell(runs, metric)];
        cells.extend(runs.iter().map(|run| interval_cell(run, metric)));
        table.row("", cells);
    }
    let loss = mean(runs, |run| run.validation_loss).unwrap_or_default();
    let steps: Vec<String> =
        runs.iter().map(|run| format!("{} of {}", count(run.best_step), count(run.steps))).collect();
    let text = format!(
        "{} of {} layers, {} parameters, {} of them trained. Means over the seeds: training {}, evaluation {}, \
         validation loss {}. Most memory: {}. Best step of each seed: {}.",
        escaped(method_label(&first.method)),
        first.kept_layers.len(),
        count(first.parameters),
        share(first.trained_parameters, first.parameters),
        time_cell(runs, |run| run.training_seconds),
        time_cell(runs, |run| run.evaluation_seconds),
        figure(loss),
        memory_cell(runs),
        steps.join(", ")
    );
    table.html() + &paragraph("", &text)
}

/// The models that the verdicts suggest, beside the baseline.
pub(super) fn derived(summary: &Summary<'_>) -> String {
    let mut groups: Vec<(String, &Runs<'_>)> = vec![("Baseline".to_owned(), summary.baseline())];
    let mut html = String::new();
    let judged = [
        summary.judged(|verdict| verdict.unfavourable).len(),
        summary.judged(|verdict| verdict.cornerstone).len(),
    ];
    for ((variation, name), judged) in derived_models().into_iter().zip(judged) {
        let runs = summary.runs(&variation);
        if !runs.is_empty() {
            let title = match variation {
                Variation::CornerstonesOnly => "Cornerstones only",
                _ => "Without unfavourable layers",
            };
            groups.push((title.to_owned(), runs));
        } else if summary.study.result.is_some() && judged == 0 {
            html.push_str(&paragraph("", &format!("There is no model {name}: no layer is one of these.")));
        } else {
            html.push_str(&paragraph("", &format!("The model {name} is not trained.")));
        }
    }
    if groups.len() < 2 {
        return html;
    }
    let head = ["Model", "Layers kept", "Parameters"].map(str::to_owned).into_iter();
    let costs = ["Training", "Evaluation", "Most memory"].map(str::to_owned);
    let head = head.chain(metric_titles(summary)).chain(costs).collect();
    let mut table = Table::new("Means over the seeds, and changes against the baseline’s means", head);
    let whole = summary.baseline().first().map(|run| run.parameters);
    for (at, (name, runs)) in groups.iter().enumerate() {
        let mut cells = vec![name.clone()];
        cells
            .extend(runs.first().map(|run| layer_list(&run.kept_layers)).or_else(|| Some(absent("not run"))));
        let parameters = runs.first().map(|run| match whole {
            Some(whole) => format!(
                "{}<br/><span class=\"change\">{}</span>",
                count(run.parameters),
                share(run.parameters, whole)
            ),
            None => count(run.parameters),
        });
        cells.push(parameters.unwrap_or_else(|| absent("not run")));
        push_metrics(summary, runs, at > 0, &mut cells);
        cells.push(time_cell(runs, |run| run.training_seconds));
        cells.push(time_cell(runs, |run| run.evaluation_seconds));
        cells.push(memory_cell(runs));
        table.row(if at == 0 { "reference" } else { "" }, cells);
    }
    table.html() + &html + &seeds(summary, &groups)
}

/// The ways of tuning with their runs, the baseline's first; names are escaped.
pub(super) fn tried<'a>(summary: &'a Summary<'a>) -> Vec<(String, &'a Runs<'a>)> {
    let own =
        summary.baseline().first().map(|run| format!("{} (baseline)", escaped(method_label(&run.method))));
    let mut groups: Vec<(String, &Runs<'_>)> =
        own.into_iter().map(|name| (name, summary.baseline())).collect();
    groups.extend(summary.methods().into_iter().map(|(method, runs)| (escaped(method_label(method)), runs)));
    groups
}

/// The ways of tuning beside each other, the baseline's first.
pub(super) fn methods(summary: &Summary<'_>) -> String {
    let groups = tried(summary);
    let compared = usize::from(!summary.baseline().is_empty());
    if groups.len() == compared {
        return paragraph("", "No other method was compared.");
    }
    let head = ["Method", "Trained parameters", "Time a step", "Most memory", "Training"].map(str::to_owned);
    let head = head.into_iter().chain(metric_titles(summary)).collect();
    let mut table = Table::new(
        "The whole model, tuned in other ways: means over the seeds, and changes against the baseline’s means",
        head,
    );
    for (at, (name, runs)) in groups.iter().enumerate() {
        let trained = runs.first().map(|run| {
            let part = share(run.trained_parameters, run.parameters);
            format!("{}<br/><span class=\"change\">{part}</span>", count(run.trained_parameters))
        });
        let mut cells = vec![name.clone(), trained.unwrap_or_default()];
        cells.push(time_cell(runs, |run| run.seconds_per_step));
        cells.push(memory_cell(runs));
        cells.push(time_cell(runs, |run| run.training_seconds));
        push_metrics(summary, runs, at >= compared, &mut cells);
        table.row(if at < compared { "reference" } else { "" }, cells);
    }
    table.html() + &seeds(summary, &groups)
}

fn push_metrics(summary: &Summary<'_>, runs: &Runs<'_>, changed: bool, cells: &mut Vec<String>) {
    cells.extend(summary.metrics().map(|metric| {
        if changed { changed_cell(summary, runs, metric, false) } else { spread_cell(runs, metric.0) }
    }));
}

/// The primary metric drawn, and every metric of every seed with its interval.
fn seeds(summary: &Summary<'_>, groups: &[(String, &Runs<'_>)]) -> String {
    let head = ["Seed".to_owned()].into_iter().chain(metric_titles(summary)).collect();
    let mut table = Table::new("Each seed with its 95 % interval over the test rows", head);
    for (name, runs) in groups {
        for run in *runs {
            let mut cells = vec![format!("{name}, seed {}", run.seed)];
            cells.extend(summary.metrics().map(|(metric, _)| interval_cell(run, metric)));
            table.row("", cells);
        }
    }
    intervals(summary, groups) + &table.html()
}
