//! What a study found, as one figure.

use super::intervals;
use super::profile;
use super::study::{Study, StudyRun};
use super::summary::Summary;
use super::trained::tried;
use crate::markup::escaped;

/// The importance of each layer, or where layers were not studied the primary metric of each tuning method, as SVG.
/// Nothing before the baseline and one of these are trained.
#[must_use]
pub fn study_figure(study: &Study, runs: &[StudyRun]) -> Option<String> {
    let name = escaped(&study.name);
    if study.layers.is_empty() {
        let summary = Summary::new(study, runs);
        let drawing = intervals::drawing(&summary, &tried(&summary))?;
        let key = "dot: a seed with its 95 % interval over the test rows; short line: mean; dashed: mean of the baseline";
        return Some(drawing.whole(&format!("{name}: tuning methods"), key));
    }
    let judged: Vec<StudyRun> = runs.iter().map(StudyRun::judged).collect();
    let drawing = profile::drawing(&Summary::new(study, &judged))?;
    let mut key = "bar: mean; dot: a seed; band: ± one standard deviation of the baseline".to_owned();
    if study.result.is_some() {
        key.push_str("; ◆ cornerstone; ○ unfavourable");
    }
    Some(drawing.whole(&format!("{name}: importance of each layer"), &key))
}
