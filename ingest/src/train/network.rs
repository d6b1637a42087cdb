//! The weights under training, and the network made of them.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::masking::Masked;
use super::state::StateError;
use crate::model::encoder::{Encoder, LayerStep};
use crate::model::error::ModelError;
use crate::model::head::MaskedHead;
use crate::model::linear::Loader;
use crate::model::source::{ModelSource, Opened};
use crate::model::to_tensor;
use crate::tokenize::Tokenizer;

/// A model's weights in float32, and what is needed to compute with them.
pub(crate) struct Network {
    opened: Opened,
    /// All weights by the names that the encoder and the adapter know, without the family's prefix.
    tensors: BTreeMap<String, Tensor>,
    /// Those of them that are trained, each a leaf of its own.
    weights: BTreeMap<String, Tensor>,
    device: Device,
    /// What products are computed in; the weights stay float32.
    kind: Kind,
}

impl Network {
    /// Opens a checkpoint to train all of its weights.
    pub(crate) fn open(directory: &Path, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let opened = Opened::open(&ModelSource::new(directory))?;
        if !opened.masked_lm {
            return Err(ModelError::NoHead { head: "masked language model" });
        }
        let tensors = opened.used.keys().map(|name| Ok((name.clone(), Self::stored(&opened, name)?)));
        let tensors = tensors.collect::<Result<_, ModelError>>()?;
        Self::new(opened, tensors, |_| true, device, kind)
    }

    /// A network of weights in float32, of which those are trained whose names are `chosen`.
    pub(crate) fn new(
        opened: Opened,
        tensors: BTreeMap<String, Tensor>,
        chosen: impl Fn(&str) -> bool,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        let mut network = Self { opened, tensors: BTreeMap::new(), weights: BTreeMap::new(), device, kind };
        for (name, tensor) in tensors {
            let tensor = tensor.f_to_device(device)?.f_set_requires_grad(chosen(&name))?;
            if tensor.requires_grad() {
                network.weights.insert(name.clone(), tensor.shallow_clone());
            }
            network.tensors.insert(name, tensor);
        }
        Ok(network)
    }

    /// A weight of an opened model as its files hold it, in float32.
    pub(crate) fn stored(opened: &Opened, name: &str) -> Result<Tensor, ModelError> {
        let Some(found) = opened.find(name) else {
            panic!("`{name}` was found when the checkpoint was opened; this is a bug")
        };
        Ok(to_tensor(&found)?.f_to_kind(Kind::Float)?)
    }

    /// The model's files.
    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// All weights by name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Reads weights for an encoder and its head: those under training with their gradients.
    pub(crate) fn loader(&self) -> Loader<'_> {
        Loader { opened: &self.opened, trained: Some(&self.tensors), kind: self.kind, device: self.device }
    }

    /// What computes.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// The trained weights by name.
    pub(crate) fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.weights
    }

    /// Takes weights as a state holds them, and moves the optimizer's means to where the weights are.
    pub(crate) fn restore(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        means: BTreeMap<String, [Tensor; 2]>,
        file: &Path,
    ) -> Result<BTreeMap<String, [Tensor; 2]>, StateError> {
        let fits = self.weights.keys().eq(weights.keys())
            && self.weights.iter().all(|(name, weight)| {
                let same = |tensor: &Tensor| tensor.size() == weight.size();
                same(&weights[name]) && means.get(name).is_some_and(|means| means.iter().all(same))
            });
        if !fits {
            let reason = "its weights are not those of the model".to_owned();
            return Err(StateError::Malformed { file: file.to_owned(), reason });
        }
        for (name, weight) in &mut self.weights {
            *weight = weights[name].f_to_device(self.device)?.f_set_requires_grad(true)?;
            self.tensors.insert(name.clone(), weight.shallow_clone());
        }
        let moved = means.into_iter().map(|(name, [mean, square])| {
            Ok((name, [mean.f_to_device(self.device)?, square.f_to_device(self.device)?]))
        });
        moved.collect()
    }

    /// The name that a checkpoint of the family gives a weight.
    pub(crate) fn published(&self, name: &str) -> String {
        self.opened.dialect.published(name)
    }

    /// Puts other numbers of the same shapes into the trained weights.
    pub(crate) fn replace(&mut self, weights: &BTreeMap<String, Tensor>) -> Result<(), TchError> {
        tch::no_grad(|| {
            for (name, weight) in &mut self.weights {
                if let Some(other) = weights.get(name) {
                    weight.detach().f_copy_(&other.f_to_device(self.device)?)?;
                }
            }
            Ok(())
        })
    }

    /// The model's tokenizer.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.opened.tokenizer
    }

    /// The most tokens of a window, special ones included, where the model states a limit.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.opened.config.max_tokens
    }

    /// Numbers in all weights.
    pub(crate) fn parameters(&self) -> u64 {
        self.tensors.values().map(|weight| weight.numel() as u64).sum()
    }

    /// The weighted sum of the cross entropies of the hidden tokens, in nats, as a scalar with its gradient.
    /// All windows have one token count.
    pub(crate) fn masked_loss(&self, windows: &[Masked]) -> Result<Tensor, ModelError> {
        let loader = self.loader();
        let encoder = Encoder::load(&loader)?;
        let head = MaskedHead::load(&loader, encoder.words())?;
        let length = windows.first().map_or(0, |window| window.ids.len()) as i64;
        let ids: Vec<i64> = windows.iter().flat_map(|window| window.ids.iter().copied()).collect();
        let flat: Vec<i64> = (0..)
            .zip(windows)
            .flat_map(|(index, window)| {
                window.places.iter().map(move |place| index * length + i64::from(*place))
            })
            .collect();
        let labels: Vec<i64> = windows.iter().flat_map(|window| window.labels.iter().copied()).collect();
        let weights: Vec<f32> = windows.iter().flat_map(|window| window.weights.iter().copied()).collect();
        let here = |tensor: Tensor| tensor.f_to_device(self.device);
        let ids = here(Tensor::f_from_slice(&ids)?)?.f_view([-1, length])?;
        let mut hidden = encoder.embed(&ids)?;
        {
            let place = encoder.place(length)?;
            for layer in 0..encoder.depth() {
                hidden = encoder.layer(layer, &hidden, LayerStep::whole(&place))?;
            }
        }
        let hidden = encoder.finish(&hidden)?;
        let width = hidden.size3()?.2;
        let chosen =
            hidden.f_reshape([-1, width])?.f_index_select(0, &here(Tensor::f_from_slice(&flat)?)?)?;
        let logits = head.forward(&chosen)?;
        let losses = logits.f_cross_entropy_loss(
            &here(Tensor::f_from_slice(&labels)?)?,
            None::<Tensor>,
            tch::Reduction::None,
            -100,
            0.0,
        )?;
        Ok(losses.f_dot(&here(Tensor::f_from_slice(&weights)?)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};

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
            network.masked_loss(&windows).expect("a loss").backward();
            let loss = || network.masked_loss(&windows).expect("a loss").double_value(&[]);
            let length = |tensor: &Tensor| tensor.square().sum(Kind::Double).sqrt().double_value(&[]);
            let mut checked = 0;
            for (name, weight) in network.weights() {
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
            assert!(checked * 2 > network.weights().len(), "{family:?}: {checked} checked");
        }
    }
}
