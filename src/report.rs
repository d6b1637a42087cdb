//! What a study found, as one HTML page that needs nothing else: no script, no font, no network.
//!
//! Every number is taken from the runs; verdicts, rankings and agreement from the study's result.

mod cells;
mod definitions;
mod drawing;
mod figure;
mod intervals;
mod layers;
mod number;
mod page;
mod profile;
mod rankings;
mod setting;
mod stored;
mod study;
mod summary;
mod trained;

pub use figure::study_figure;
pub use study::{
    Agreement, BaselineFigure, LayerVerdict, Ranking, Study, StudyError, StudyFigure, StudyResult, StudyRun,
    Variation, mean_and_deviation,
};

use crate::markup::escaped;
use page::section;
use summary::Summary;

/// The report of a study and its runs. A study that is not finished gives a report that says what is missing.
#[must_use]
pub fn study_report(study: &Study, runs: &[StudyRun]) -> String {
    let summary = Summary::new(study, runs);
    // Layers are judged by rows that the models are not compared on.
    let judged: Vec<StudyRun> = runs.iter().map(StudyRun::judged).collect();
    let judged = Summary::new(study, &judged);
    let name = escaped(&study.name);
    let layered = !study.layers.is_empty();
    let of_layers = |id: &str, title: &str, body: String| {
        if layered { section(id, title, &body) } else { String::new() }
    };
    let sections = [
        setting::missing(&summary),
        setting::findings(&summary),
        section("setting", "What was studied", &setting::setting(&summary)),
        section("baseline", "Baseline", &trained::baseline(&summary)),
        of_layers("layers", "Layers, each left out in turn", layers::layers(&judged)),
        of_layers("derived", "Derived models", trained::derived(&summary)),
        section("methods", "Tuning methods", &trained::methods(&summary)),
        of_layers("rankings", "Cheaper rankings", rankings::rankings(&judged)),
        section("plan", "Plan", &setting::plan(&summary)),
        section("definitions", "Definitions", &definitions::definitions(&summary)),
    ];
    page::page(&name, &setting::heading(&summary), &sections.concat())
}
