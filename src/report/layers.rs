//! What leaving out each layer does.

use super::cells::{changed_cell, memory_cell, metric_titles, spread_cell, time_cell};
use super::page::{Table, absent, paragraph};
use super::profile::profile;
use super::summary::Summary;

/// The profile, and a row for every layer.
pub(super) fn layers(summary: &Summary<'_>) -> String {
    let head = ["Layer left out", "Verdict"].map(str::to_owned).into_iter();
    let costs = ["Training", "Evaluation", "Most memory"].map(str::to_owned);
    let head = head.chain(metric_titles(summary)).chain(costs).collect();
    let mut table = Table::new(
        "Mean ± standard deviation over the seeds, on the validation rows; below, the change against the baseline’s mean",
        head,
    );
    let costs = |runs| {
        [
            time_cell(runs, |run| run.training_seconds),
            time_cell(runs, |run| run.evaluation_seconds),
            memory_cell(runs),
        ]
    };
    let baseline = summary.baseline();
    let mut cells = vec!["none (baseline)".to_owned(), String::new()];
    cells.extend(summary.metrics().map(|(metric, _)| spread_cell(baseline, metric)));
    cells.extend(costs(baseline));
    table.row("reference", cells);
    for layer in &summary.study.layers {
        let runs = summary.without(*layer);
        let mut cells = vec![layer.to_string(), verdict(summary, *layer)];
        cells.extend(summary.metrics().map(|metric| changed_cell(summary, runs, metric, true)));
        cells.extend(costs(runs));
        table.row("", cells);
    }
    let key = "<span class=\"change worse\">◆</span> at least 5 % worse than the baseline’s mean · \
               <span class=\"change held\">○</span> not below the baseline’s mean minus its standard deviation. \
               ◆ for every metric of the definition makes a cornerstone; ○ is what makes a layer unfavourable (see the definitions).";
    profile(summary) + &table.html() + &paragraph("note", key)
}

/// A layer's verdict in a word.
fn verdict(summary: &Summary<'_>, layer: u32) -> String {
    match summary.verdict(layer) {
        None => absent("none yet"),
        Some(verdict) if verdict.cornerstone => {
            "<span class=\"verdict cornerstone\">◆ cornerstone</span>".to_owned()
        }
        Some(verdict) if verdict.unfavourable => {
            "<span class=\"verdict unfavourable\">○ unfavourable</span>".to_owned()
        }
        Some(_) => "—".to_owned(),
    }
}
