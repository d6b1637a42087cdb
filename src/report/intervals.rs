//! The primary metric of several trainings with their intervals, drawn.

use std::fmt::Write as _;

use super::drawing::Drawing;
use super::number::{figure, tick_labels, ticks};
use super::summary::{Runs, Summary, label, spread};
use crate::markup::escaped;

/// Pixels left of the plot, of its width, of a seed's row, and of a name above its rows.
const LEFT: f64 = 16.0;
const WIDTH: f64 = 440.0;
const NAME: f64 = 20.0;
const ROW: f64 = 15.0;

/// The drawing with its caption; nothing where the metric is undefined.
pub(super) fn intervals(summary: &Summary<'_>, groups: &[(String, &Runs<'_>)]) -> String {
    drawing(summary, groups).map_or_else(String::new, |drawing| {
        format!(
            "<figure>\n{}<figcaption>A dot is one seed with its 95 % interval over the test rows, a short line the \
             mean of the seeds, the dashed line the baseline’s mean.</figcaption>\n</figure>\n",
            drawing.inline("fits")
        )
    })
}

/// A dot and an interval for each seed, the baseline's mean as a line; nothing where the metric is undefined.
pub(super) fn drawing(summary: &Summary<'_>, groups: &[(String, &Runs<'_>)]) -> Option<Drawing> {
    let (metric, _) = summary.primary();
    let figures = |runs: &Runs<'_>| -> Vec<(f64, f64, f64)> {
        let of_run = |figure: &super::StudyFigure| {
            let value = figure.value?;
            Some((value, figure.low.unwrap_or(value), figure.high.unwrap_or(value)))
        };
        runs.iter()
            .filter_map(|run| of_run(run.figures.iter().find(|figure| figure.metric == metric)?))
            .collect()
    };
    let groups: Vec<_> =
        groups.iter().map(|(name, runs)| (name, spread(runs, metric), figures(runs))).collect();
    let all = || groups.iter().flat_map(|(_, _, figures)| figures);
    let low = all().map(|(_, low, _)| *low).reduce(f64::min);
    let high = all().map(|(_, _, high)| *high).reduce(f64::max);
    let ticks = ticks(low?, high?);
    let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
    let x = |value: f64| LEFT + WIDTH * (value - low) / (high - low);
    let rows: usize = groups.iter().map(|(_, _, figures)| figures.len().max(1)).sum();
    let plot = rows as f64 * ROW + groups.len() as f64 * (NAME + 8.0);
    let (width, height) = (LEFT + WIDTH + 24.0, plot + 44.0);
    let name = escaped(label(metric));
    let mut svg = String::new();
    let mut put =
        |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("writing to a string; this is a bug");
    for (tick, text) in ticks.iter().zip(tick_labels(&ticks)) {
        let at = x(*tick);
        put(format_args!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{plot:.1}\"/>\n"));
        put(format_args!("<text class=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{text}</text>\n", plot + 17.0));
    }
    if let Some(baseline) = spread(summary.baseline(), metric) {
        let at = x(baseline.mean);
        put(format_args!("<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{plot:.1}\"/>\n"));
    }
    let mut top = 2.0;
    for (name, spread, figures) in &groups {
        let tall = figures.len().max(1) as f64 * ROW;
        put(format_args!("<text class=\"name\" x=\"0\" y=\"{:.1}\">{name}</text>\n", top + 12.0));
        top += NAME;
        if let Some(spread) = spread {
            put(format_args!(
                "<line class=\"mean\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{top:.1}\" y2=\"{1:.1}\"><title>mean {2}</title></line>\n",
                x(spread.mean),
                top + tall,
                figure(spread.mean)
            ));
        } else {
            put(format_args!(
                "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\">undefined</text>\n",
                LEFT + 8.0,
                top + 11.0
            ));
        }
        for (at, (value, low, high)) in figures.iter().enumerate() {
            let y = top + ROW * (at as f64 + 0.5);
            put(format_args!(
                "<line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <circle class=\"seed\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.1\"><title>{} [{}, {}]</title></circle>\n",
                x(*low),
                x(*high),
                x(*value),
                figure(*value),
                figure(*low),
                figure(*high)
            ));
        }
        top += tall + 8.0;
    }
    put(format_args!(
        "<text class=\"middle title\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
        LEFT + WIDTH / 2.0,
        height - 6.0
    ));
    let label = format!("{name} of each seed with its interval; the table below has the numbers");
    Some(Drawing { width, height, label, body: svg })
}
