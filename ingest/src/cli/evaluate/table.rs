//! The table of an evaluation, as text.

use std::collections::HashSet;
use std::fmt::Write as _;

use vestore_ingest::ComparisonRow;

const HEADER: [&str; 11] =
    ["by", "group", "track", "versus", "metric", "n", "positives", "estimate", "low", "high", "note"];

fn cells(row: &ComparisonRow, number: impl Fn(f64) -> String) -> [String; 11] {
    let shown = |value: Option<f64>| value.map(&number).unwrap_or_default();
    [
        row.by.clone(),
        row.group.clone(),
        row.track.clone(),
        row.versus.clone().unwrap_or_default(),
        row.metric.to_owned(),
        row.n.to_string(),
        row.positives.map(|count| count.to_string()).unwrap_or_default(),
        shown(row.estimate),
        shown(row.low),
        shown(row.high),
        row.note.to_owned(),
    ]
}

/// A header, and a line a figure; floats in their shortest exact form, missing ones empty.
pub(super) fn tsv(rows: &[ComparisonRow]) -> String {
    let mut text = HEADER.join("\t") + "\n";
    for row in rows {
        text += &(cells(row, |value| value.to_string()).join("\t") + "\n");
    }
    text
}

/// Columns that stand below each other; those without any content are left out.
pub(super) fn table(rows: &[ComparisonRow]) -> String {
    let digits = |value: f64| if value.fract() == 0.0 { value.to_string() } else { format!("{value:.4}") };
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| cells(row, digits)));
    let used: HashSet<usize> =
        (0..HEADER.len()).filter(|at| lines[1..].iter().any(|line| !line[*at].is_empty())).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (at, cell) in line.iter().enumerate().filter(|(at, _)| used.contains(at)) {
            let gap = if shown.is_empty() { "" } else { "  " };
            // Writing to a string cannot fail.
            let _ = if (5..10).contains(&at) {
                write!(shown, "{gap}{cell:>0$}", widths[at])
            } else {
                write!(shown, "{gap}{cell:<0$}", widths[at])
            };
        }
        text += shown.trim_end();
        text.push('\n');
    }
    text
}
