//! Cells that several tables share.

use super::study::StudyRun;

use super::number::{bytes, deviation, duration, figure, signed};
use super::page::absent;
use super::summary::{Runs, Summary, label, mean, spread};
use crate::markup::escaped;

/// A metric beside the baseline's.
pub(super) struct Change {
    /// Mean − the baseline's mean, in per cent of the size of that; nothing where that is 0.
    pub(super) percent: Option<f64>,
    /// At least 5 % worse than the baseline's mean.
    pub(super) worse: bool,
    /// Not below the baseline's mean minus its standard deviation, which one seed does not have: it counts as 0.
    pub(super) held: bool,
}

/// How a metric of `runs` differs from the baseline's, where both have one.
pub(super) fn change(summary: &Summary<'_>, runs: &Runs<'_>, metric: &str, higher: bool) -> Option<Change> {
    let (baseline, here) = (spread(summary.baseline(), metric)?, spread(runs, metric)?);
    let difference = here.mean - baseline.mean;
    let gain = if higher { difference } else { -difference };
    let size = baseline.mean.abs();
    Some(Change {
        percent: (size > 0.0).then_some(100.0 * difference / size),
        worse: gain < 0.0 && -gain >= 0.05 * size,
        held: gain >= -baseline.deviation.unwrap_or(0.0),
    })
}

/// Mean and standard deviation over the seeds.
pub(super) fn spread_cell(runs: &Runs<'_>, metric: &str) -> String {
    let Some(found) = spread(runs, metric) else {
        return absent(if runs.is_empty() { "not run" } else { "undefined" });
    };
    let mut parts = vec![format!("<span class=\"value\">{}</span>", figure(found.mean))];
    if let Some(spread) = found.deviation {
        parts.push(format!(" <span class=\"spread\">± {}</span>", deviation(spread)));
    }
    if found.undefined > 0 {
        let some = format!("undefined in {} of {}", found.undefined, runs.len());
        parts.push(format!("<br/>{}", absent(&some)));
    }
    parts.concat()
}

/// As [`spread_cell`], and the change against the baseline below; `judged` marks the conditions of verdicts.
pub(super) fn changed_cell(
    summary: &Summary<'_>,
    runs: &Runs<'_>,
    (metric, higher): (&str, bool),
    judged: bool,
) -> String {
    let cell = spread_cell(runs, metric);
    let Some(change) = change(summary, runs, metric, higher) else { return cell };
    let class = match (judged && change.worse, judged && change.held) {
        (true, _) => "change worse",
        (_, true) => "change held",
        _ => "change",
    };
    let mark = match class {
        "change worse" => "◆ ",
        "change held" => "○ ",
        _ => "",
    };
    let percent = change
        .percent
        .map_or_else(|| "no percentage of 0".to_owned(), |percent| format!("{} %", signed(percent, 1)));
    format!("{cell}<br/><span class=\"{class}\">{mark}{percent}</span>")
}

/// A metric of one run with its interval.
pub(super) fn interval_cell(run: &StudyRun, metric: &str) -> String {
    let found = run.figures.iter().find(|figure| figure.metric == metric);
    let Some((found, value)) = found.and_then(|found| Some((found, found.value?))) else {
        return absent("undefined");
    };
    let interval = match (found.low, found.high) {
        (Some(low), Some(high)) => {
            format!("<span class=\"spread\">[{}, {}]</span>", figure(low), figure(high))
        }
        _ => absent("no interval"),
    };
    format!("<span class=\"value\">{}</span> {interval}", figure(value))
}

/// Mean of a time.
pub(super) fn time_cell(runs: &Runs<'_>, of: impl Fn(&StudyRun) -> f64) -> String {
    mean(runs, of).map_or_else(|| absent("not run"), duration)
}

/// The most memory of any of the runs.
pub(super) fn memory_cell(runs: &Runs<'_>) -> String {
    let most = runs.iter().filter_map(|run| run.peak_memory).max();
    most.map_or_else(|| absent(if runs.is_empty() { "not run" } else { "not measured" }), bytes)
}

/// The titles of the columns of all metrics.
pub(super) fn metric_titles<'a>(summary: &Summary<'a>) -> impl Iterator<Item = String> + use<'a> {
    let titles: Vec<String> = summary.metrics().map(|(metric, _)| escaped(label(metric))).collect();
    titles.into_iter()
}
