//! A fine-tuned head. `classifier`: the probability that it gives class 1 of the alternate window, and the change of
//! class 1's log-odds from reference to alternate; where outputs are labels that each are there or not, label 1 takes
//! the place of class 1, or the only label. `regression`: a head of one output, its number and the number's change.

use vestore_schema::Strands;

use super::{EncoderKind, StrandScore, StrandView};
use crate::convert::single;
use crate::encoder::model::Description;
use crate::encoder::model::config::Problem;
use crate::encoder::pass::{TokenOutput, TokenPass, TokenPasses};
use crate::seam::ScoreKind;

/// Probability and log-odds of class 1.
pub(super) struct Classifier;

/// The number of a head of one output.
pub(super) struct Regression;

/// Whether each output of the head is a label of its own.
fn multi_label(model: &Description) -> bool {
    model.labels.is_some() && model.problem == Problem::Labels
}

impl EncoderKind for Classifier {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "classifier",
            description: "probability and log-odds of class 1 of a fine-tuned head",
            direction: "higher: class 1 is more probable",
        }
    }

    fn lacks(&self, model: &Description) -> Option<&'static str> {
        let classes = model.labels.is_some_and(|labels| labels >= 2) || multi_label(model);
        (!classes).then_some("a classification head of two or more classes, or of labels")
    }

    fn columns(&self, _: Strands) -> &'static [&'static str] {
        &["probability", "delta_logit"]
    }

    fn passes(&self, _: f64) -> f64 {
        2.0
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        Some(plan(passes, view, odds))
    }
}

impl EncoderKind for Regression {
    fn about(&self) -> &'static ScoreKind {
        &ScoreKind {
            name: "regression",
            description: "number of a fine-tuned head of one output, and its change",
            direction: "as the labels that the head was fine-tuned on",
        }
    }

    fn lacks(&self, model: &Description) -> Option<&'static str> {
        let number = model.labels == Some(1) && !multi_label(model);
        (!number).then_some("a head of one output that is a number")
    }

    fn columns(&self, _: Strands) -> &'static [&'static str] {
        &["value", "delta"]
    }

    fn passes(&self, _: f64) -> f64 {
        2.0
    }

    fn plan(&self, passes: &mut TokenPasses, view: &StrandView<'_>) -> Option<StrandScore> {
        Some(plan(passes, view, numbers))
    }
}

/// Wants the head's logits of both windows; `values` makes the score of them.
fn plan(
    passes: &mut TokenPasses,
    view: &StrandView<'_>,
    values: fn(&TokenOutput, &TokenOutput) -> [f32; 2],
) -> StrandScore {
    let [reference, alternate] = [view.reference, view.alternate].map(|tokens| {
        let sequence = passes.sequence(tokens);
        let (number, pass) = passes.pass(sequence, None);
        pass.classes = true;
        number as usize
    });
    Box::new(move |_: &[TokenPass], outputs: &[TokenOutput]| {
        values(&outputs[reference], &outputs[alternate]).to_vec()
    })
}

/// log(p / (1 − p)) of what the score is about.
fn odds_of(output: &TokenOutput) -> f64 {
    if output.labels {
        // Each logit is the log-odds of its label.
        let label = output.classes.get(1).or(output.classes.first());
        return label.map_or(f64::NAN, |logit| f64::from(*logit));
    }
    log_odds(&output.classes)
}

/// log(p / (1 − p)) of class 1: its logit less the log-sum-exp of the others.
fn log_odds(logits: &[f32]) -> f64 {
    let others =
        || logits.iter().enumerate().filter(|(label, _)| *label != 1).map(|(_, logit)| f64::from(*logit));
    let most = others().fold(f64::NEG_INFINITY, f64::max);
    let rest = most + others().map(|logit| (logit - most).exp()).sum::<f64>().ln();
    logits.get(1).map_or(f64::NAN, |logit| f64::from(*logit) - rest)
}

/// Class 1's probability of the alternate window, and its log-odds, alternate − reference.
fn odds(reference: &TokenOutput, alternate: &TokenOutput) -> [f32; 2] {
    let (reference, alternate) = (odds_of(reference), odds_of(alternate));
    let probability = 1.0 / (1.0 + (-alternate).exp());
    [single(probability), single(alternate - reference)]
}

/// The number of the alternate window, and alternate − reference.
fn numbers(reference: &TokenOutput, alternate: &TokenOutput) -> [f32; 2] {
    let [reference, alternate] =
        [reference, alternate].map(|output| output.classes.first().copied().unwrap_or(f32::NAN));
    [alternate, alternate - reference]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_odds_of_its_own() {
        let output = |classes: &[f32]| TokenOutput {
            classes: classes.to_vec(),
            labels: true,
            ..TokenOutput::default()
        };
        let [probability, change] = odds(&output(&[3.0, -1.0, 9.0]), &output(&[2.0, 0.5, -9.0]));
        assert!((probability - 0.622_459_3).abs() < 1e-6 && (change - 1.5).abs() < 1e-6);
        assert!((odds_of(&output(&[0.25])) - 0.25).abs() < 1e-12);
        assert!(odds_of(&output(&[])).is_nan());
    }

    #[test]
    fn log_odds_are_those_of_the_softmax() {
        assert!((log_odds(&[0.5, 2.0]) - 1.5).abs() < 1e-12);
        let logits = [0.1f32, 0.7, -0.4];
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let probability = f64::from(logits[1]).exp() / sum;
        assert!((log_odds(&logits) - (probability / (1.0 - probability)).ln()).abs() < 1e-12);
        assert!(log_odds(&[f32::NAN, 0.0]).is_nan());
    }
}
