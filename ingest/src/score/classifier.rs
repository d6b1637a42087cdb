//! A fine-tuned head: the probability that it gives class 1 of the alternate window, and the change of
//! class 1's log-odds from reference to alternate; or of a head of one output, its number and the number's change.
//! Where outputs are labels that each are there or not, label 1 takes the place of class 1, or the only label.

use crate::batch::{ForwardOutput, Forwards};

use super::StrandTokens;

/// The passes of both windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    reference: u32,
    alternate: u32,
}

pub(super) fn plan(forwards: &mut Forwards, view: &StrandTokens<'_>) -> Plan {
    let [reference, alternate] = [view.reference, view.alternate].map(|tokens| {
        let sequence = forwards.sequence(tokens);
        let (pass, forward) = forwards.pass(sequence, None);
        forward.classes = true;
        pass
    });
    Plan { reference, alternate }
}

/// log(p / (1 − p)) of what the score is about.
fn odds_of(output: &ForwardOutput) -> f64 {
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

impl Plan {
    /// Class 1's probability of the alternate window, and its log-odds, alternate − reference.
    pub(super) fn odds(self, outputs: &[ForwardOutput]) -> [f32; 2] {
        let [reference, alternate] =
            [self.reference, self.alternate].map(|pass| odds_of(&outputs[pass as usize]));
        let probability = 1.0 / (1.0 + (-alternate).exp());
        [probability as f32, (alternate - reference) as f32]
    }

    /// The number of the alternate window, and alternate − reference.
    pub(super) fn numbers(self, outputs: &[ForwardOutput]) -> [f32; 2] {
        let [reference, alternate] = [self.reference, self.alternate]
            .map(|pass| outputs[pass as usize].classes.first().copied().unwrap_or(f32::NAN));
        [alternate, alternate - reference]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_odds_of_its_own() {
        let output = |classes: &[f32]| ForwardOutput {
            classes: classes.to_vec(),
            labels: true,
            ..ForwardOutput::default()
        };
        let outputs = [output(&[3.0, -1.0, 9.0]), output(&[2.0, 0.5, -9.0])];
        let [probability, change] = Plan { reference: 0, alternate: 1 }.odds(&outputs);
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
