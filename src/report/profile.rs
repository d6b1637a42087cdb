//! The importance of each layer, drawn.

use std::fmt::Write as _;

use super::drawing::Drawing;
use super::number::{figure, tick_labels, ticks};
use super::page::paragraph;
use super::summary::{Summary, label, spread};
use crate::markup::escaped;

/// Pixels around the plot, and its height.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 62.0;
const HEIGHT: f64 = 260.0;

/// The drawing with its caption.
pub(super) fn profile(summary: &Summary<'_>) -> String {
    let Some(drawing) = drawing(summary) else {
        return paragraph("", "The profile appears once the baseline and a layer are trained.");
    };
    let name = escaped(label(summary.primary().0));
    format!(
        "<figure>\n<div class=\"wide\" tabindex=\"0\">\n{}</div>\n<figcaption>{}</figcaption>\n</figure>\n",
        drawing.inline(""),
        caption(summary, &name, band(summary))
    )
}

/// One standard deviation of the baseline.
fn band(summary: &Summary<'_>) -> Option<f64> {
    spread(summary.baseline(), summary.primary().0).and_then(|baseline| baseline.deviation)
}

/// A bar for each layer, a dot for each seed, the baseline's deviation as a band around 0; nothing before the baseline
/// and a layer are trained.
pub(super) fn drawing(summary: &Summary<'_>) -> Option<Drawing> {
    let (metric, _) = summary.primary();
    let layers: Vec<Layer> = summary.study.layers.iter().map(|layer| Layer::new(summary, *layer)).collect();
    let band = band(summary);
    let values = || layers.iter().flat_map(|layer| layer.mean.iter().chain(&layer.seeds)).copied();
    values().next()?;
    let reach = values().chain(band.iter().flat_map(|band| [*band, -band]));
    let (low, high) = reach.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let ticks = ticks(low, high);
    let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
    let y = |value: f64| TOP + HEIGHT * (high - value) / (high - low);
    let step = (760.0 / layers.len() as f64).clamp(26.0, 90.0);
    let width = LEFT + step * layers.len() as f64 + RIGHT;
    let whole = TOP + HEIGHT + BOTTOM;
    let name = escaped(label(metric));
    let mut svg = String::new();
    let mut put =
        |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("writing to a string; this is a bug");
    let right = width - RIGHT;
    if let Some(band) = band {
        put(format_args!(
            "<rect class=\"band\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\n",
            y(band),
            right - LEFT,
            (y(-band) - y(band)).max(1.0)
        ));
    }
    for (tick, text) in ticks.iter().zip(tick_labels(&ticks)) {
        let class = if tick.abs() < 1e-12 { "zero" } else { "grid" };
        let at = y(*tick);
        put(format_args!(
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n"
        ));
        put(format_args!(
            "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>\n",
            LEFT - 8.0,
            at + 4.0
        ));
    }
    for (at, layer) in layers.iter().enumerate() {
        let middle = LEFT + step * (at as f64 + 0.5);
        let half = step * 0.31;
        put(format_args!("<g class=\"layer {}\">", layer.class));
        match layer.mean {
            Some(mean) => {
                put(format_args!("<title>layer {}: {}</title>", layer.number, figure(mean)));
                let (top, bottom) = (y(mean.max(0.0)), y(mean.min(0.0)));
                put(format_args!(
                    "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\"/>",
                    middle - half,
                    2.0 * half,
                    (bottom - top).max(1.0)
                ));
            }
            None => put(format_args!(
                "<text class=\"middle faint\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
                y(0.0) - 6.0,
                layer.absent
            )),
        }
        let apart = 1.3 * half / layer.seeds.len().max(1) as f64;
        for (seed, value) in layer.seeds.iter().enumerate() {
            let x = middle + apart * (seed as f64 - (layer.seeds.len() as f64 - 1.0) / 2.0);
            put(format_args!("<circle class=\"seed\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.1\"/>", y(*value)));
        }
        put(format_args!(
            "<text class=\"middle name\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            TOP + HEIGHT + 18.0,
            layer.number
        ));
        put(format_args!(
            "<text class=\"middle name\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text></g>\n",
            TOP + HEIGHT + 33.0,
            layer.mark
        ));
    }
    put(format_args!(
        "<text class=\"middle title\" x=\"{:.1}\" y=\"{:.1}\">layer left out</text>\n",
        f64::midpoint(LEFT, right),
        whole - 6.0
    ));
    put(format_args!(
        "<text class=\"middle title\" transform=\"translate(13,{:.1}) rotate(-90)\">importance ({name})</text>\n",
        TOP + HEIGHT / 2.0
    ));
    let label = format!("Importance of each layer by {name}; the table below has the numbers");
    Some(Drawing { width, height: whole, label, body: svg })
}

/// What the colours and shapes say.
fn caption(summary: &Summary<'_>, name: &str, band: Option<f64>) -> String {
    let turned = if summary.primary().1 { "" } else { ", with its sign turned, for less is better" };
    let mut parts = vec![format!(
        "Importance of a layer: the baseline’s mean of {name} − the mean without the layer{turned}. A dot is one seed."
    )];
    if let Some(band) = band {
        parts.push(format!(
            " <span class=\"key\"><span class=\"swatch band\"></span> ± one standard deviation of the baseline ({})\
             </span>",
            figure(band)
        ));
    }
    if summary.study.result.is_some() {
        let keys =
            [("cornerstone", "◆ cornerstone"), ("unfavourable", "○ unfavourable"), ("neither", "neither")];
        parts.extend(keys.map(|(class, text)| {
            format!(" <span class=\"key\"><span class=\"swatch {class}\"></span> {text}</span>")
        }));
    }
    parts.concat()
}

/// What is drawn of one layer.
struct Layer {
    number: u32,
    mean: Option<f64>,
    seeds: Vec<f64>,
    class: &'static str,
    mark: &'static str,
    absent: &'static str,
}

impl Layer {
    fn new(summary: &Summary<'_>, number: u32) -> Self {
        let (metric, _) = summary.primary();
        let runs = summary.without(number);
        let verdict = summary.verdict(number);
        let (class, mark) = match verdict {
            Some(verdict) if verdict.cornerstone => ("cornerstone", "◆"),
            Some(verdict) if verdict.unfavourable => ("unfavourable", "○"),
            _ => ("neither", ""),
        };
        Self {
            number,
            mean: spread(runs, metric).and_then(|found| summary.importance(found.mean)),
            seeds: runs.iter().filter_map(|run| summary.importance(run.value(metric)?)).collect(),
            class,
            mark,
            absent: if runs.is_empty() { "not run" } else { "undefined" },
        }
    }
}
