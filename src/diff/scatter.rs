//! A scatter plot of two scores, as SVG.

use std::fmt::Write as _;

use super::Diff;
use crate::markup::escaped;

/// Pixels of the plot along each side, and of the margin around it.
const SIDE: f64 = 640.0;
const MARGIN: f64 = 70.0;
/// Numbers along each axis.
const TICKS: u32 = 5;

/// The plot of a comparison: the first track to the right, the second upwards, darker where more variants
/// are (by logarithm), the line of equal scores dashed.
#[must_use]
pub fn scatter(diff: &Diff) -> String {
    let mut svg = String::new();
    let whole = SIDE + 2.0 * MARGIN;
    let mut put = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).and_then(|()| svg.write_char('\n')).expect("writing to a string; this is a bug");
    };
    put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{whole}\" \
         viewBox=\"0 0 {whole} {whole}\" font-family=\"sans-serif\" font-size=\"13\">"
    ));
    put(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"));
    let correlation =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    put(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}: {} variants, Pearson {}, Spearman {}</text>",
        whole / 2.0,
        MARGIN / 2.0,
        escaped(&diff.column),
        diff.compared,
        correlation(diff.pearson),
        correlation(diff.spearman)
    ));
    let side = diff.cells.side.max(1);
    let step = SIDE / side as f64;
    let most = diff.cells.counts.iter().copied().max().unwrap_or(0).max(1);
    for (index, count) in diff.cells.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (column, row) = (index % side, index / side);
        let opacity = 0.15 + 0.85 * ((*count as f64).ln_1p() / (most as f64).ln_1p());
        put(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{step:.1}\" height=\"{step:.1}\" fill=\"#1f4e79\" \
             fill-opacity=\"{opacity:.2}\"/>",
            MARGIN + column as f64 * step,
            MARGIN + SIDE - (row + 1) as f64 * step
        ));
    }
    if diff.compared > 0 {
        let [(left, right), (bottom, top)] =
            diff.cells.ranges.map(|(low, high)| (f64::from(low), f64::from(high)));
        let x = |score: f64| MARGIN + (score - left) / (right - left).max(f64::MIN_POSITIVE) * SIDE;
        let y = |score: f64| MARGIN + SIDE - (score - bottom) / (top - bottom).max(f64::MIN_POSITIVE) * SIDE;
        let (from, to) = (left.max(bottom), right.min(top));
        if from < to {
            put(format_args!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#b03a2e\" \
                 stroke-dasharray=\"5 4\"/>",
                x(from),
                y(from),
                x(to),
                y(to)
            ));
        }
        for tick in 0..=TICKS {
            let share = f64::from(tick) / f64::from(TICKS);
            put(format_args!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{:.3}</text>",
                MARGIN + share * SIDE,
                MARGIN + SIDE + 20.0,
                left + share * (right - left)
            ));
            put(format_args!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.3}</text>",
                MARGIN - 8.0,
                MARGIN + SIDE - share * SIDE + 4.0,
                bottom + share * (top - bottom)
            ));
        }
    }
    put(format_args!(
        "<rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"black\"/>"
    ));
    put(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        whole / 2.0,
        whole - MARGIN / 4.0,
        escaped(&diff.tracks[0])
    ));
    put(format_args!(
        "<text transform=\"translate({},{}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        MARGIN / 4.0,
        whole / 2.0,
        escaped(&diff.tracks[1])
    ));
    put(format_args!("</svg>"));
    svg
}
