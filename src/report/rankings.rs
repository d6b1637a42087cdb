//! Rankings that need no training, beside what the study found.

use super::number::figure;
use super::page::{Table, absent, paragraph};
use super::summary::{Summary, label, spread};
use crate::markup::escaped;

/// The values of each layer, and how well they order the layers as the study does.
pub(super) fn rankings(summary: &Summary<'_>) -> String {
    let Some(result) = &summary.study.result else {
        return paragraph("", "Rankings are compared once every layer is done.");
    };
    let mut names: Vec<&str> = Vec::new();
    for ranking in result.layers.iter().flat_map(|verdict| &verdict.rankings) {
        if !names.contains(&ranking.name.as_str()) {
            names.push(&ranking.name);
        }
    }
    if names.is_empty() && result.agreement.is_empty() {
        return paragraph("", "No other ranking was made.");
    }
    let mut agreement = Table::new(
        "Agreement with the study: Spearman’s correlation over the layers",
        ["Ranking", "Spearman", "Note"].map(str::to_owned).to_vec(),
    );
    for found in &result.agreement {
        let spearman = found.spearman.map_or_else(|| absent("undefined"), figure);
        agreement.row("", vec![escaped(&found.name), spearman, escaped(&found.note)]);
    }
    let (metric, _) = summary.primary();
    let head = ["Layer".to_owned(), format!("Study ({})", escaped(label(metric)))].into_iter();
    let head = head.chain(names.iter().map(|name| escaped(name))).collect();
    let mut table = Table::new(
        "Values by layer, higher is more important; in brackets the place, 1 the most important",
        head,
    );
    let places = |values: Vec<Option<f64>>| -> Vec<String> {
        let place = |value: f64| 1 + values.iter().flatten().filter(|other| **other > value).count();
        let cell = |value: &Option<f64>| {
            value.map_or_else(
                || absent("none"),
                |value| format!("{} <span class=\"spread\">({})</span>", significant(value), place(value)),
            )
        };
        values.iter().map(cell).collect()
    };
    let study =
        |layer: u32| spread(summary.without(layer), metric).and_then(|found| summary.importance(found.mean));
    let mut columns = vec![places(result.layers.iter().map(|verdict| study(verdict.layer)).collect())];
    for name in &names {
        let of_layer = |rankings: &[super::Ranking]| {
            rankings.iter().find(|ranking| ranking.name == *name).map(|ranking| ranking.value)
        };
        columns.push(places(result.layers.iter().map(|verdict| of_layer(&verdict.rankings)).collect()));
    }
    for (at, verdict) in result.layers.iter().enumerate() {
        let cells = columns.iter().map(|column| column[at].clone());
        table.row("", [verdict.layer.to_string()].into_iter().chain(cells).collect());
    }
    let (few, many) = (result.agreement.is_empty(), names.is_empty());
    let tables = [(few, agreement), (many, table)].into_iter().filter(|(empty, _)| !empty);
    tables.map(|(_, table)| table.html()).collect()
}

/// Three digits that count: rankings have scales of their own.
fn significant(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e5).contains(&size) {
        return figure(value);
    }
    format!("{value:.2e}").replace('-', "\u{2212}")
}
