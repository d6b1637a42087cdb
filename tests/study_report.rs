//! `vestore study list`, `show`, `report`, `remove`, over studies from a seed.

use std::path::{Path, PathBuf};

use vestore::{Store, Study, StudyRun, Variation, mean_and_deviation, study_figure, study_report};

use crate::programs::{fails, ok, png_size, rows, said};
use crate::study::{CLASSES, NUMBERS, put, study};
use crate::support::new_store;

/// The elements of a page, each as its path from the root, and its text. Panics where a tag is not closed, an
/// attribute not quoted, or a character not escaped.
fn parse(html: &str) -> (Vec<String>, String) {
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap();
    let (mut open, mut paths, mut text) = (Vec::<String>::new(), Vec::new(), String::new());
    while let Some(at) = rest.find('<') {
        text.push_str(&unescaped(&rest[..at]));
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains('<'), "<{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in disorder");
            text.push('\n');
            continue;
        }
        let inner = tag.strip_suffix('/').unwrap_or(tag);
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{tag}>");
        let quoted: Vec<&str> = attributes.split('"').collect();
        assert!(quoted.len() % 2 == 1, "<{tag}>");
        for pair in quoted.chunks_exact(2) {
            assert!(pair[0].trim().ends_with('=') && !pair[0].trim().contains(' '), "<{tag}>");
            unescaped(pair[1]);
        }
        paths.push(format!("{}/{inner}", open.join("/")));
        if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    (paths, text)
}

fn unescaped(text: &str) -> String {
    let (mut rest, mut out) = (text, String::new());
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let names = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')];
        let (name, character) = names.iter().find(|(name, _)| rest[at..].starts_with(name)).unwrap();
        out.push(*character);
        rest = &rest[at + name.len()..];
    }
    assert!(!rest.contains('>'), "{rest}");
    out + rest
}

/// A report, which must be well-formed and ask for nothing outside itself: its elements and its text.
fn checked(html: &str) -> (Vec<String>, String) {
    for outside in ["http", "//", "url(", "@import", "<script", "<link", "<img", "NaN", ">inf"] {
        assert!(!html.contains(outside), "{outside}");
    }
    parse(html)
}

/// One section of a report.
fn section<'a>(html: &'a str, id: &str) -> &'a str {
    html.split_once(&format!("<section id=\"{id}\"")).unwrap().1.split_once("</section>").unwrap().0
}

/// A store with the given studies.
fn store_of(folder: &Path, studies: &[(Study, Vec<StudyRun>)]) -> PathBuf {
    let store = new_store(&folder.join("s"), &["1"]);
    for study in studies {
        put(&store, study);
    }
    store.root().to_owned()
}

fn mean_of(runs: &[StudyRun], variation: &Variation, metric: &str) -> (f64, Option<f64>) {
    let of = runs.iter().filter(|run| run.variation == *variation);
    mean_and_deviation(&of.filter_map(|run| run.value(metric)).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_report_of_a_study_is_one_page_with_all_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let made = study("pruning", &CLASSES, 12, 3);
    let store = store_of(folder.path(), std::slice::from_ref(&made));
    let file = folder.path().join("report.html");
    let told = said("study report {} pruning -o {}", &[&store, &file]);
    assert!(told.contains("report.html"), "{told}");
    let html = std::fs::read_to_string(&file).unwrap();
    assert_eq!(html, ok("study report {} pruning", &[&store]));
    let (elements, text) = checked(&html);
    assert!(!html.contains("id=\"missing\"") && !text.contains("not run"), "{text}");

    let (study, runs) = &made;
    for fact in
        [&study.model_id.to_string(), &study.plan_digest.to_string(), "4,096 for training", "2 threads"]
    {
        assert!(text.contains(fact), "{fact}");
    }
    for setting in ["learning_rate\n0.00005", "split.training\nchr1, chr2", "seeds\n0, 1, 2"] {
        assert!(text.contains(setting), "{setting}");
    }
    // Baseline: mean, deviation, and each seed with its interval.
    let baseline = section(&html, "baseline");
    for metric in CLASSES {
        let (mean, deviation) = mean_of(runs, &Variation::Baseline, metric);
        assert!(baseline.contains(&format!("{mean:.4}</span>")), "{metric}");
        assert!(baseline.contains(&format!("± {:.4}", deviation.unwrap())), "{metric}");
    }
    for figure in runs[..3].iter().flat_map(|run| &run.figures) {
        assert!(baseline.contains(&format!("{:.4}</span>", figure.value.unwrap())));
        assert!(baseline.contains(&format!("[{:.4}, {:.4}]", figure.low.unwrap(), figure.high.unwrap())));
    }
    // Layers: a row each, with the change in per cent and the verdict; a bar each, a dot for each seed.
    let layers = section(&html, "layers");
    for layer in 0..12 {
        let row = layers
            .split_once(&format!("<th scope=\"row\">{layer}</th>"))
            .unwrap()
            .1
            .split_once("</tr>")
            .unwrap()
            .0;
        let verdict = &study.result.as_ref().unwrap().layers[layer as usize];
        assert_eq!(row.contains("◆ cornerstone"), verdict.cornerstone, "{layer}");
        assert_eq!(row.contains("○ unfavourable"), verdict.unfavourable, "{layer}");
        for metric in CLASSES {
            let (mean, _) = mean_of(runs, &Variation::Without { layer }, metric);
            let (baseline, _) = mean_of(runs, &Variation::Baseline, metric);
            let percent = format!("{:+.1} %", 100.0 * (mean - baseline) / baseline).replace('-', "−");
            assert!(
                row.contains(&format!("{mean:.4}</span>")) && row.contains(&percent),
                "{layer} {percent}"
            );
        }
    }
    let in_layers = parse(&format!("<!DOCTYPE html><section id=\"layers\"{layers}</section>")).0;
    let of_class =
        |class: &str| in_layers.iter().filter(|path| path.contains(&format!("class=\"{class}\""))).count();
    assert_eq!((of_class("bar"), of_class("seed"), of_class("band")), (12, 36, 1));
    assert_eq!((of_class("layer cornerstone"), of_class("layer unfavourable")), (4, 4));
    // Derived models and methods: three of each, three seeds each; parameters with their share.
    let derived = section(&html, "derived");
    assert!(
        derived.contains("0, 2, 3, 5, 6, 8, 9, 11")
            && derived.contains("4,080,000")
            && derived.contains("71.3\u{a0}%")
    );
    let methods = section(&html, "methods");
    for method in ["Full fine-tuning (baseline)", "Linear probe", "LoRA", "IA³", "Houlsby adapters"] {
        assert!(methods.contains(&format!("<th scope=\"row\">{method}</th>")), "{method}");
    }
    assert!(methods.contains("68,640") && methods.contains("1.2\u{a0}%"));
    for run in &runs[39..] {
        let value = format!("{:.4}</span>", run.figures[3].value.unwrap());
        assert!(derived.contains(&value) || methods.contains(&value), "{} {}", run.variation, run.seed);
    }
    let rankings = section(&html, "rankings");
    assert!(rankings.contains("0.8125") && rankings.contains("every layer has the same value"));
    assert!(text.contains("With 3 seeds") && text.contains("accuracy, AUROC, F1 and true-positive rate"));
    assert!(elements.iter().any(|path| path == "html/head/style"));
}

#[test]
fn a_study_is_drawn_as_svg_and_png() {
    let folder = tempfile::tempdir().unwrap();
    let made = study("pruning", &CLASSES, 12, 3);
    let mut methods = study("methods", &CLASSES, 0, 2);
    methods.0.layers.clear();
    (methods.0.finished, methods.0.result) = (None, None);
    let mut bare = study("bare", &CLASSES, 3, 1);
    (bare.0.finished, bare.0.result) = (None, None);
    bare.1.truncate(1);
    let store = store_of(folder.path(), &[made.clone(), methods.clone(), bare]);
    let at = |name: &str| folder.path().join(name);
    let text = ok("study show {} pruning --plot {}", &[&store, &at("a.svg")]);
    assert_eq!(text, ok("study show {} pruning", &[&store]));
    let svg = std::fs::read_to_string(at("a.svg")).unwrap();
    assert_eq!(Some(&svg), study_figure(&made.0, &made.1).as_ref());
    let (elements, words) = parse(&format!("<!DOCTYPE html>{svg}"));
    let of_class =
        |class: &str| elements.iter().filter(|path| path.contains(&format!("class=\"{class}\""))).count();
    assert_eq!((of_class("bar"), of_class("seed"), of_class("band")), (12, 36, 1));
    assert!(
        words.contains("pruning: importance of each layer") && words.contains("◆ cornerstone"),
        "{words}"
    );
    ok("study show {} pruning --format tsv --plot {}", &[&store, &at("a.png")]);
    let size = |name: &str| {
        let svg = std::fs::read_to_string(at(name)).unwrap();
        ["width", "height"].map(|side| {
            let value = svg.split_once(&format!("{side}=\"")).unwrap().1.split_once('"').unwrap().0;
            value.parse::<u32>().unwrap()
        })
    };
    assert_eq!(png_size(&at("a.png")), size("a.svg").map(|side| 2 * side));

    ok("study show {} methods --plot {}", &[&store, &at("m.svg")]);
    let svg = std::fs::read_to_string(at("m.svg")).unwrap();
    assert!(
        svg.contains("methods: tuning methods") && svg.contains("LoRA") && svg.contains("class=\"whisker\"")
    );
    ok("study show {} methods --plot {}", &[&store, &at("m.png")]);

    assert!(fails(1, "study show {} pruning --plot {}", &[&store, &at("a.png")]).contains("--force"));
    ok("study show {} pruning --plot {} --force", &[&store, &at("a.png")]);
    assert!(fails(2, "study show {} pruning --plot {}", &[&store, &at("a.pdf")]).contains(".svg or .png"));
    assert!(fails(2, "study show {} pruning --force", &[&store]).contains("--plot"));
    let told = fails(1, "study show {} bare --plot {}", &[&store, &at("b.png")]);
    assert!(told.contains("nothing to draw of study `bare`") && !at("b.png").exists(), "{told}");
}

#[test]
fn the_report_of_an_unfinished_study_says_what_is_missing() {
    let (mut study, mut runs) = study("open", &CLASSES, 12, 3);
    (study.finished, study.result) = (None, None);
    runs.truncate(3 + 4 * 3 + 2);
    let html = study_report(&study, &runs);
    let (_, text) = checked(&html);
    let missing = section(&html, "missing");
    for told in
        ["without layers 5–11", "Without layer 4, seed 2 to be trained", "Verdicts follow", "continues where"]
    {
        assert!(missing.contains(told), "{told}: {missing}");
    }
    assert!(!missing.contains("for the baseline"), "{missing}");
    let layers = section(&html, "layers");
    assert_eq!(layers.matches("not run").count(), 7 * (4 + 3) + 7, "cells of the table, and in the profile");
    assert!(!layers.contains("cornerstone</span>") && text.contains("not finished"));
    assert!(!section(&html, "derived").contains("<table>"));

    // Nothing at all: the seeds that the plan names are known.
    let html = study_report(&study, &[]);
    checked(&html);
    assert!(section(&html, "missing").contains("Not trained yet for the baseline: seeds 0, 1, 2"));
    assert!(section(&html, "missing").contains("without layers 0–11"));
    study.plan = serde_json::Value::Null;
    assert!(section(&study_report(&study, &[]), "missing").contains("No training is done yet"));
}

#[test]
fn layers_are_judged_on_other_rows_than_models_are_compared_on() {
    let (study, mut runs) = study("rows", &CLASSES, 3, 1);
    for run in &mut runs {
        run.validation_figures[0].value = Some(0.123_456);
        run.figures[0].value = Some(0.654_321);
    }
    let html = study_report(&study, &runs);
    for (part, shown, hidden) in [
        ("layers", "0.1235", "0.6543"),
        ("baseline", "0.6543", "0.1235"),
        ("derived", "0.6543", "0.1235"),
        ("methods", "0.6543", "0.1235"),
    ] {
        let part = section(&html, part);
        assert!(part.contains(shown) && !part.contains(hidden), "{part}");
    }
}

#[test]
fn what_is_undefined_is_said_to_be_so_and_is_no_zero() {
    let (mut study, mut runs) = study("undefined", &CLASSES, 3, 3);
    for run in &mut runs {
        let everywhere = run.variation == Variation::Without { layer: 0 };
        let once = run.variation == Variation::Without { layer: 1 } && run.seed == 2;
        if everywhere || once {
            for figure in [&mut run.figures[0], &mut run.validation_figures[0]] {
                (figure.value, figure.low, figure.high) = (None, None, None);
            }
        }
        run.peak_memory = None;
    }
    study.result.as_mut().unwrap().layers[0].importance = None;
    let html = study_report(&study, &runs);
    checked(&html);
    let layers = section(&html, "layers");
    let row = |layer: u32| {
        let from = layers.split_once(&format!("<th scope=\"row\">{layer}</th>")).unwrap().1;
        from.split_once("</tr>").unwrap().0.to_owned()
    };
    assert_eq!(row(0).matches(">undefined<").count(), 1, "{}", row(0));
    assert!(row(1).contains("undefined in 1 of 3"), "{}", row(1));
    assert!(!row(0).contains("0.0000") && row(0).contains("not measured"));
    // Its bar and dots are not drawn either.
    assert_eq!(layers.matches("class=\"bar\"").count(), 2);
    assert_eq!(layers.matches("class=\"seed\"").count(), 2 + 3);
    assert!(section(&html, "rankings").contains("none"));
}

#[test]
fn names_that_people_chose_stay_text() {
    let evil = "</td><script>alert(1)</script>&\"'\u{1}";
    let (mut study, mut runs) = study("evil", &CLASSES, 2, 1);
    for metric in &mut study.metrics {
        metric.push_str(evil);
    }
    study.model = evil.to_owned();
    study.device = evil.to_owned();
    study.program = evil.to_owned();
    study.plan = serde_json::json!({ evil: { "nested": [evil, { evil: evil }] } });
    let result = study.result.as_mut().unwrap();
    result.agreement[0].note = evil.to_owned();
    result.agreement[0].name = evil.to_owned();
    result.layers[0].rankings[0].name = evil.to_owned();
    for run in &mut runs {
        run.method = evil.to_owned();
        for figure in run.figures.iter_mut().chain(&mut run.validation_figures) {
            figure.metric.push_str(evil);
        }
        if let Variation::Method { method } = &mut run.variation {
            method.push_str(evil);
        }
    }
    let (elements, text) = checked(&study_report(&study, &runs));
    let names = elements.iter().filter_map(|path| path.split(' ').next());
    assert!(!names.into_iter().any(|path| path.ends_with("script")));
    assert!(text.contains("<script>alert(1)</script>&\"'\u{fffd}"));
    assert!(!text.contains('\u{1}'));
    study.name = evil.to_owned();
    let (elements, text) = parse(&format!("<!DOCTYPE html>{}", study_figure(&study, &runs).unwrap()));
    assert!(!elements.iter().any(|path| path.contains("script")));
    assert!(
        text.contains("</td><script>alert(1)</script>&\"'\u{fffd}: importance") && !text.contains('\u{1}')
    );
}

#[test]
fn a_study_of_numbers_with_one_seed_says_how_little_that_is() {
    let (study, runs) = study("numbers", &NUMBERS, 4, 1);
    let html = study_report(&study, &runs);
    let (_, text) = checked(&html);
    assert!(text.contains("With one seed there is no standard deviation"));
    assert!(section(&html, "definitions").contains("study of numbers"));
    assert!(text.contains("Spearman") && text.contains("R²"));
    assert!(
        !section(&html, "baseline").contains('±') || section(&html, "baseline").matches('±').count() == 1
    );
    assert!(!section(&html, "layers").contains("class=\"band\""));
}

#[test]
fn studies_are_listed_shown_and_removed_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut open) = (study("first", &CLASSES, 3, 2), study("open", &NUMBERS, 2, 1));
    (open.0.finished, open.0.result) = (None, None);
    let store = store_of(folder.path(), &[first.clone(), open.clone()]);
    let list = ok("study list {}", &[&store]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["first", "small", "3", "20", "finished", "auroc,accuracy,f1,true_positive_rate"]);
    assert_eq!(lines[2][4..], ["open", "spearman,r2"]);
    let listed: Vec<Study> = serde_json::from_str(&ok("study list {} --format json", &[&store])).unwrap();
    assert_eq!(listed, [first.0.clone(), open.0]);

    let runs = Store::open(&store).unwrap().study_runs("first").unwrap();
    let shown: serde_json::Value =
        serde_json::from_str(&ok("study show {} first --format json", &[&store])).unwrap();
    assert_eq!(serde_json::from_value::<Study>(shown["study"].clone()).unwrap(), first.0);
    assert_eq!(serde_json::from_value::<Vec<StudyRun>>(shown["runs"].clone()).unwrap(), runs);
    let tsv = rows(&ok("study show {} first --format tsv", &[&store]));
    assert_eq!(tsv.len(), runs.len());
    for (row, run) in tsv.iter().zip(&runs) {
        assert_eq!(row["variation"], run.variation.to_string());
        assert_eq!(row["auroc"].parse(), Ok(run.figures[0].value.unwrap()));
        assert_eq!(row["f1_high"].parse(), Ok(run.figures[2].high.unwrap()));
        assert_eq!(row["peak_memory"], run.peak_memory.map_or_else(String::new, |bytes| bytes.to_string()));
        let verdict = match run.variation {
            Variation::Without { layer: 0 } => "cornerstone",
            Variation::Without { layer: 1 } => "unfavourable",
            Variation::Without { .. } => "-",
            _ => "",
        };
        assert_eq!(row["verdict"], verdict, "{}", run.variation);
    }
    let table = ok("study show {} first", &[&store]);
    assert_eq!(table.lines().filter(|line| line.starts_with("without 0 ")).count(), 2);
    assert!(table.contains("cornerstone") && table.contains("block influence"), "{table}");
    assert!(ok("study show {} open", &[&store]).contains("no verdicts yet"));

    let told = fails(1, "study show {} nothing", &[&store]);
    assert!(told.contains("no study `nothing`; it has first, open"), "{told}");
    assert!(said("study remove {} first", &[&store]).contains("20 runs"));
    assert!(fails(1, "study remove {} first", &[&store]).contains("it has open"));
    assert_eq!(ok("study list {}", &[&store]).lines().count(), 2);
}

#[test]
fn help_lists_every_verb_and_those_of_the_engine_are_handed_over() {
    let help = ok("study --help", &[]);
    for verb in ["layers", "loss", "context", "pretrain", "list", "show", "report", "remove"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{verb} "))),
            "{verb}: {help}"
        );
    }
    for verb in ["loss", "context", "pretrain"] {
        let help = ok(&format!("study {verb} --help"), &[]);
        assert!(help.contains(&format!("Usage: vestore study {verb}")), "{help}");
    }
    assert!(fails(2, "study nothing", &[]).contains("nothing"));
}
