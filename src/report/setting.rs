//! What was studied, what came of it in short, and what is missing.

use super::study::Variation;
use serde_json::Value;

use super::cells::change;
use super::number::{count, date, share, signed};
use super::page::{Table, paragraph};
use super::summary::{Runs, Summary, label, layer_list};
use crate::markup::escaped;

/// The title, and below it of what and when.
pub(super) fn heading(summary: &Summary<'_>) -> String {
    let study = summary.study;
    let state = match study.finished {
        Some(second) => format!("<p><span class=\"badge\">finished {}</span></p>", date(second)),
        None => {
            format!("<p><span class=\"badge open\">not finished, started {}</span></p>", date(study.started))
        }
    };
    format!(
        "<p class=\"kicker\">{}</p>\n<h1>{}</h1>\n<p class=\"sub\">Model <b>{}</b>: {}, {} under each \
         variation</p>\n{state}\n",
        if study.layers.is_empty() { "Study of methods" } else { "Layer study" },
        escaped(&study.name),
        escaped(&study.model),
        match study.layers.len() {
            0 => format!("{} methods beside the baseline's", summary.methods().len()),
            layers => format!("{layers} layers"),
        },
        match summary.seeds.len() {
            1 => "one seed".to_owned(),
            seeds => format!("{seeds} seeds"),
        }
    )
}

/// Numbers as people list them.
fn listed(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

fn seed_list(seeds: &[u64]) -> String {
    let name = if seeds.len() == 1 { "seed" } else { "seeds" };
    format!("{name} {}", listed(seeds.iter().copied()))
}

/// What an unfinished study lacks; nothing where nothing is missing.
pub(super) fn missing(summary: &Summary<'_>) -> String {
    let study = summary.study;
    let lacking = |runs: &Runs<'_>| -> Vec<u64> {
        summary.seeds.iter().copied().filter(|seed| runs.iter().all(|run| run.seed != *seed)).collect()
    };
    let mut items = Vec::new();
    let baseline = lacking(summary.baseline());
    if summary.seeds.is_empty() {
        items.push("No training is done yet.".to_owned());
    } else {
        if !baseline.is_empty() {
            items.push(format!("Not trained yet for the baseline: {}.", seed_list(&baseline)));
        }
        let (mut whole, mut partly) = (Vec::new(), Vec::new());
        for layer in &study.layers {
            match lacking(summary.without(*layer)) {
                seeds if seeds.is_empty() => {}
                seeds if seeds.len() == summary.seeds.len() => whole.push(*layer),
                seeds => partly.push(format!("Without layer {layer}, {} to be trained.", seed_list(&seeds))),
            }
        }
        if !whole.is_empty() {
            items.push(format!("Not trained yet without layers {}.", layer_list(&whole)));
        }
        items.extend(partly);
    }
    if study.result.is_none() && !study.layers.is_empty() {
        items.push("Verdicts follow once the baseline and every layer are trained.".to_owned());
    }
    if study.finished.is_none() && !study.layers.is_empty() {
        for (variation, name) in derived_models() {
            if summary.runs(&variation).is_empty() {
                items.push(format!("The model {name} is not trained."));
            }
        }
    }
    if items.is_empty() && study.finished.is_some() {
        return String::new();
    }
    if study.finished.is_none() {
        items.push("The same command continues where the study stopped.".to_owned());
    }
    let items: Vec<String> = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    format!(
        "<section id=\"missing\" class=\"notice\">\n<h2>Not complete</h2>\n<ul>\n{}</ul>\n</section>\n",
        items.concat()
    )
}

/// The derived models and how they are spoken of.
pub(super) fn derived_models() -> [(Variation, &'static str); 2] {
    [
        (Variation::WithoutUnfavourable, "without the unfavourable layers"),
        (Variation::CornerstonesOnly, "of the cornerstones only"),
    ]
}

/// The verdicts and derived models in a few words, and how far they can be trusted.
pub(super) fn findings(summary: &Summary<'_>) -> String {
    let mut cards = Vec::new();
    let mut card = |class: &str, title: &str, value: &str, note: &str| {
        cards.push(format!(
            "<div class=\"card {class}\"><h3>{title}</h3><p class=\"big\">{value}</p><p>{note}</p></div>\n"
        ));
    };
    if summary.study.result.is_some() && !summary.study.layers.is_empty() {
        let groups = [
            ("cornerstone", "◆ Cornerstones", summary.judged(|verdict| verdict.cornerstone)),
            ("unfavourable", "○ Unfavourable", summary.judged(|verdict| verdict.unfavourable)),
        ];
        for (class, title, layers) in groups {
            let of = format!("{} of {} layers", layers.len(), summary.study.layers.len());
            card(class, title, &layer_list(&layers), &of);
        }
    }
    let (metric, higher) = summary.primary();
    for (variation, name) in derived_models() {
        let runs = summary.runs(&variation);
        let (Some(first), Some(baseline)) = (runs.first(), summary.baseline().first()) else { continue };
        let change = change(summary, runs, metric, higher).and_then(|change| change.percent);
        let change = change.map_or_else(
            || format!("{} undefined", escaped(label(metric))),
            |percent| format!("{} {} %", escaped(label(metric)), signed(percent, 1)),
        );
        let kept = format!(
            "against the baseline, with {} layers and {} of its parameters",
            first.kept_layers.len(),
            share(first.parameters, baseline.parameters)
        );
        card("", &format!("Model {name}"), &change, &kept);
    }
    let cards = if cards.is_empty() {
        String::new()
    } else {
        format!("<div class=\"cards\">\n{}</div>\n", cards.concat())
    };
    cards + &caution(summary)
}

fn caution(summary: &Summary<'_>) -> String {
    let text = match summary.seeds.len() {
        1 if summary.study.layers.is_empty() => "With one seed there is no standard deviation: nothing here tells what a \
              method does from what another seed would have done."
            .to_owned(),
        1 => "With one seed there is no standard deviation: nothing here tells what leaving out a layer does from what \
              another seed would have done. The rule for unfavourable layers then takes the deviation as 0."
            .to_owned(),
        seeds @ 2..=5 if summary.study.layers.is_empty() => {
            format!("With {seeds} seeds, means and standard deviations are themselves uncertain.")
        }
        seeds @ 2..=5 => format!(
            "With {seeds} seeds, means and standard deviations are themselves uncertain. A layer near the border of a \
             definition may fall on its other side with other seeds."
        ),
        _ => return String::new(),
    };
    paragraph("caution", &format!("<b>Caution.</b> {text}"))
}

/// Model, rows, machine, and the plan with all that decides the numbers.
pub(super) fn setting(summary: &Summary<'_>) -> String {
    let study = summary.study;
    let metrics: Vec<String> = summary
        .metrics()
        .map(|(metric, higher)| {
            format!("{} ({} is better)", escaped(label(metric)), if higher { "higher" } else { "lower" })
        })
        .collect();
    let mut rows: Vec<[u64; 3]> = summary.all_runs().map(|run| run.rows).collect();
    rows.sort_unstable();
    rows.dedup();
    let rows = match rows.as_slice() {
        [] => "no run yet".to_owned(),
        [[training, validation, test]] => {
            format!(
                "{} for training, {} for validation, {} for test",
                count(*training),
                count(*validation),
                count(*test)
            )
        }
        several => format!("they differ between runs: {several:?} for training, validation, test"),
    };
    let layers = if study.layers.is_empty() {
        "all, under every method".to_owned()
    } else {
        format!("{} (numbered as in the checkpoint)", layer_list(&study.layers))
    };
    let facts = [
        ("Model", format!("{} <code>{}</code>", escaped(&study.model), study.model_id)),
        ("Layers", layers),
        ("Metrics", format!("{}; the first is the primary one", metrics.join(", "))),
        ("Rows", rows),
        (
            "Seeds",
            if summary.seeds.is_empty() {
                "none yet".to_owned()
            } else {
                listed(summary.seeds.iter().copied())
            },
        ),
        ("Program", escaped(&study.program)),
        ("Device", format!("{}, {} threads", escaped(&study.device), study.threads)),
        ("Started", date(study.started)),
        ("Finished", study.finished.map_or_else(|| "not yet".to_owned(), date)),
        ("Plan", format!("<code>{}</code>", study.plan_digest)),
    ];
    let facts: Vec<String> =
        facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
    format!("<dl>\n{}</dl>\n", facts.concat())
}

/// The plan, a row for every setting.
pub(super) fn plan(summary: &Summary<'_>) -> String {
    let mut table =
        Table::new("All that decides the numbers", vec!["Setting".to_owned(), "Value".to_owned()]);
    let mut plan = Vec::new();
    flatten("", &summary.study.plan, &mut plan);
    for (key, value) in plan {
        table.row("", vec![escaped(&key), escaped(&value)]);
    }
    format!("<div class=\"plan\">\n{}</div>\n", table.html())
}

/// The leaves of a JSON value by their paths; lists of plain values stay one.
fn flatten(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let nested = |value: &Value| value.is_object() || value.is_array();
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&below(key), value, into);
            }
        }
        Value::Array(items) if items.iter().any(nested) => {
            for (at, value) in items.iter().enumerate() {
                flatten(&below(&at.to_string()), value, into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            into.push((path.to_owned(), items.iter().map(plain).collect::<Vec<_>>().join(", ")));
        }
        Value::Object(_) | Value::Array(_) | Value::Null => into.push((path.to_owned(), "none".to_owned())),
        value => into.push((path.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}
