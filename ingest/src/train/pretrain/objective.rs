//! The loss of masked language modelling: windows drawn for each step, tokens hidden, and the cross entropy of what
//! stood there.

use rayon::prelude::*;
use tch::Tensor;

use super::PretrainingData;
use super::masking::{Masked, Masking};
use super::plan::PretrainingPlan;
use super::windows::{Windows, WindowsError};
use crate::convert::dimension;
use crate::encoder::model::head::MaskedHead;
use crate::error::ModelError;
use crate::genome::KnownRegions;
use crate::random::Random;
use crate::tokenize::Tokenizer;
use crate::train::error::TrainError;
use crate::train::network::Network;
use crate::train::trainer::{Objective, StepLoss};

/// Held-out windows whose loss is watched.
const WATCHED: u64 = 64;

/// Held-out windows that are computed at once.
const AT_ONCE: usize = 16;

/// What a stream of random numbers is for.
const TRAINING: u64 = 1;
const WATCHING: u64 = 2;

/// Masked language modelling by a plan.
pub(super) struct MaskedObjective<'a> {
    plan: &'a PretrainingPlan,
    data: &'a PretrainingData<'a>,
    tokenizer: Tokenizer,
    /// Held-out windows with their masks, the same at every evaluation.
    watched: Vec<Masked>,
}

impl<'a> MaskedObjective<'a> {
    /// The objective for `network`.
    pub(super) fn new(
        plan: &'a PretrainingPlan,
        data: &'a PretrainingData<'a>,
        network: &Network,
    ) -> Result<Self, TrainError> {
        let tokenizer = network.tokenizer().clone();
        check_lengths(plan, data, &tokenizer, network.max_tokens())?;
        let watched = watched(plan, data, &tokenizer)?;
        Ok(Self { plan, data, tokenizer, watched })
    }
}

impl Objective for MaskedObjective<'_> {
    type Network = Network;

    fn backward(&mut self, network: &Network, step: u64) -> Result<StepLoss, TrainError> {
        let batch = training_batch(self.plan, self.data, &self.tokenizer, step)?;
        let weight = weight(&batch);
        let mut sum = 0.0;
        for part in batch.chunks(batch.len().div_ceil(self.plan.parts as usize)) {
            let loss = masked_loss(network, part)?;
            loss.f_div_scalar(weight)?.f_backward()?;
            sum += loss.f_double_value(&[])?;
        }
        let tokens = batch.len() as u64 * u64::from(self.plan.lengths.tokens(step));
        Ok(StepLoss { sum, weight, computed: tokens })
    }

    fn evaluate(&self, network: &Network) -> Result<Option<f64>, TrainError> {
        if self.watched.is_empty() {
            return Ok(None);
        }
        let mut sum = 0.0;
        for part in self.watched.chunks(AT_ONCE) {
            sum += tch::no_grad(|| masked_loss(network, part))?.f_double_value(&[])?;
        }
        Ok(Some(sum / weight(&self.watched)))
    }
}

/// What all hidden tokens of `windows` count for.
fn weight(windows: &[Masked]) -> f64 {
    windows.iter().flat_map(|window| &window.weights).map(|weight| f64::from(*weight)).sum()
}

/// The windows of one step, as the model sees them: what [`super::pretrain`] trains on, for whoever wants to compare.
///
/// # Errors
/// When the data are too short, or the tokenizer has no mask.
pub fn training_batch(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    tokenizer: &Tokenizer,
    step: u64,
) -> Result<Vec<Masked>, TrainError> {
    let tokens = plan.lengths.tokens(step);
    let windows = windows(plan, data, data.training, tokenizer, tokens)?;
    let masking = masking(plan, tokenizer)?;
    let draw = |index| {
        let mut random = Random::of(&[TRAINING, plan.seed, step, index]);
        Ok(masking.apply(windows.draw(&mut random)?, &mut random))
    };
    (0..u64::from((plan.batch_tokens / tokens).max(1))).into_par_iter().map(draw).collect()
}

/// Held-out windows with their masks.
fn watched(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    tokenizer: &Tokenizer,
) -> Result<Vec<Masked>, TrainError> {
    if data.held_out.bases() == 0 {
        return Ok(Vec::new());
    }
    let windows = windows(plan, data, data.held_out, tokenizer, plan.lengths.last)?;
    let masking = masking(plan, tokenizer)?;
    let draw = |index| {
        let mut random = Random::of(&[WATCHING, index]);
        Ok(masking.apply(windows.draw(&mut random)?, &mut random))
    };
    (0..WATCHED).map(draw).collect()
}

/// The longest windows must fit the model and the data, which is better known at once than after a day.
fn check_lengths(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    tokenizer: &Tokenizer,
    limit: Option<u32>,
) -> Result<(), TrainError> {
    let tokens = plan.lengths.last;
    let windows = windows(plan, data, data.training, tokenizer, tokens)?;
    let longest = windows.draw(&mut Random::new(0))?.ids.len();
    match limit {
        Some(limit) if longest > limit as usize => TrainError::setting(
            "window length in tokens",
            format!("{tokens} ({longest} with special tokens)"),
            &format!("at most the model's {limit}"),
        ),
        _ => Ok(()),
    }
}

fn windows<'a>(
    plan: &PretrainingPlan,
    data: &PretrainingData<'a>,
    regions: &'a KnownRegions,
    tokenizer: &'a Tokenizer,
    tokens: u32,
) -> Result<Windows<'a>, WindowsError> {
    let alleles = data.alleles.filter(|_| std::ptr::eq(regions, data.training));
    Windows::new(data.genome, regions, alleles, tokenizer, tokens, plan.repeat_weight)
}

fn masking(plan: &PretrainingPlan, tokenizer: &Tokenizer) -> Result<Masking, TrainError> {
    let mask = tokenizer.mask_id().ok_or(TrainError::NoMask)?;
    Ok(Masking { rate: plan.mask_rate, mask, words: tokenizer.words() })
}

/// The weighted sum of the cross entropies of the hidden tokens, in nats, as a scalar with its gradient. All windows
/// have one token count.
fn masked_loss(network: &Network, windows: &[Masked]) -> Result<Tensor, ModelError> {
    let forward = network.forward()?;
    let head = MaskedHead::load(&network.loader(), forward.encoder().words())?;
    let length = windows.first().map_or(0, |window| window.ids.len());
    let ids: Vec<i64> = windows.iter().flat_map(|window| window.ids.iter().copied()).collect();
    let hidden_tokens = (0..).zip(windows).flat_map(|(index, window)| {
        window.places.iter().map(move |place| index * dimension(length) + i64::from(*place))
    });
    let hidden_tokens: Vec<i64> = hidden_tokens.collect();
    let labels: Vec<i64> = windows.iter().flat_map(|window| window.labels.iter().copied()).collect();
    let weights: Vec<f32> = windows.iter().flat_map(|window| window.weights.iter().copied()).collect();
    let here = |tensor: Tensor| tensor.f_to_device(network.device());
    let layers: Vec<usize> = (0..forward.depth()).collect();
    let states = forward.hidden(&ids, length, &layers, false, |_, _, _| Ok(()))?;
    let width = states.size3()?.2;
    let read = here(Tensor::f_from_slice(&hidden_tokens)?)?;
    let logits = head.forward(&states.f_reshape([-1, width])?.f_index_select(0, &read)?)?;
    let losses = logits.f_cross_entropy_loss(
        &here(Tensor::f_from_slice(&labels)?)?,
        None::<Tensor>,
        tch::Reduction::None,
        -100,
        0.0,
    )?;
    Ok(losses.f_dot(&here(Tensor::f_from_slice(&weights)?)?)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};
    use crate::train::leaves::Trainable;

    fn windows(network: &Network) -> Vec<Masked> {
        let mut random = Random::new(11);
        let bases: Vec<u8> = (0..240).map(|_| b"ACGT"[random.below(4) as usize]).collect();
        let mut windows = Vec::new();
        for window in bases.chunks(120) {
            let ids = network.tokenizer().encode(window).expect("tokens").ids[..18].to_vec();
            let labels = vec![ids[2], ids[9], ids[17]];
            windows.push(Masked { ids, places: vec![2, 9, 17], labels, weights: vec![1.0, 0.5, 2.0] });
        }
        windows
    }

    /// The loss a step to either side of the weights along one gradient differs by that gradient's length: the
    /// encoder writes over what it has just computed, which autograd must have noticed.
    #[test]
    fn gradients_are_slopes_in_every_family() {
        for family in [
            SyntheticFamily::NucleotideTransformerV1,
            SyntheticFamily::NucleotideTransformerV2,
            SyntheticFamily::Dnabert2,
            SyntheticFamily::Dnagrinder,
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            let shape = SyntheticShape { layers: 2, ..SyntheticShape::tiny(family) };
            write_checkpoint(directory.path(), &shape, 3).expect("written");
            let network = Network::open(directory.path(), Device::Cpu, Kind::Float).expect("a network");
            let windows = windows(&network);
            masked_loss(&network, &windows).expect("a loss").backward();
            let loss = || masked_loss(&network, &windows).expect("a loss").double_value(&[]);
            let length = |tensor: &Tensor| tensor.square().sum(Kind::Double).sqrt().double_value(&[]);
            let mut checked = 0;
            for (name, weight) in network.leaves().weights() {
                let gradient = weight.grad();
                assert!(gradient.defined(), "{family:?}: {name} has no gradient");
                let slope = length(&gradient);
                // Shifting all keys alike changes no attention: the gradient is rounding.
                if slope < 0.05 {
                    continue;
                }
                let step = (&gradient / slope).detach() * (0.02 / slope.max(1.0));
                let mut moved = weight.detach();
                let size = length(&step);
                let _ = moved.f_add_(&step).expect("moved");
                let above = loss();
                let _ = moved.f_sub_(&(&step * 2.0)).expect("moved");
                let below = loss();
                let _ = moved.f_add_(&step).expect("moved");
                let found = (above - below) / (2.0 * size);
                assert!((found / slope - 1.0).abs() < 0.03, "{family:?}: {name}: {found} for {slope}");
                checked += 1;
            }
            assert!(checked * 2 > network.leaves().weights().len(), "{family:?}: {checked} checked");
        }
    }
}
