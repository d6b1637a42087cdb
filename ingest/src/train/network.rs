//! The weights in training as named leaves, and the one forward pass over the network made of them.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::leaves::{Leaves, Trainable};
use crate::checkpoint::ModelSource;
use crate::checkpoint::to_tensor;
use crate::convert::dimension;
use crate::encoder::model::Loader;
use crate::encoder::model::ModelFiles;
use crate::encoder::model::SelectedTokens;
use crate::encoder::model::{Encoder, LayerStep};
use crate::error::ModelError;
use crate::tokenize::Tokenizer;

/// A model's weights in float32, and what is needed to compute with them.
pub(crate) struct Network {
    opened: ModelFiles,
    /// All weights by the names that the encoder and the adapter know, without the family's prefix.
    leaves: Leaves,
    /// What products are computed in; the weights stay float32.
    kind: Kind,
}

impl Network {
    /// Opens a checkpoint to train all of its weights.
    pub(crate) fn open(directory: &Path, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let opened = ModelFiles::open(&ModelSource::new(directory))?;
        if !opened.masked_lm {
            return Err(ModelError::NoHead { head: "masked language model" });
        }
        let tensors = opened.used.keys().map(|name| Ok((name.clone(), Self::stored(&opened, name)?)));
        let tensors = tensors.collect::<Result<_, ModelError>>()?;
        Self::new(opened, tensors, |_| true, device, kind)
    }

    /// A network of weights in float32, of which those are trained whose names are `chosen`.
    pub(crate) fn new(
        opened: ModelFiles,
        tensors: BTreeMap<String, Tensor>,
        chosen: impl Fn(&str) -> bool,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        Ok(Self { opened, leaves: Leaves::new(tensors, chosen, device)?, kind })
    }

    /// A weight of an opened model as its files hold it, in float32.
    pub(crate) fn stored(opened: &ModelFiles, name: &str) -> Result<Tensor, ModelError> {
        let Some(found) = opened.find(name) else {
            panic!("`{name}` was found when the checkpoint was opened; this is a bug")
        };
        Ok(to_tensor(&found)?.f_to_kind(Kind::Float)?)
    }

    /// The model's files.
    pub(crate) fn opened(&self) -> &ModelFiles {
        &self.opened
    }

    /// All weights by name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        self.leaves.tensors()
    }

    /// Reads weights for an encoder and its head: those under training with their gradients.
    pub(crate) fn loader(&self) -> Loader<'_> {
        Loader { opened: &self.opened, trained: Some(self.tensors()), kind: self.kind, device: self.device() }
    }

    /// What computes.
    pub(crate) fn device(&self) -> Device {
        self.leaves.device()
    }

    /// The name that a checkpoint of the family gives a weight.
    pub(crate) fn published(&self, name: &str) -> String {
        self.opened.dialect.published(name)
    }

    /// The model's tokenizer.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.opened.tokenizer
    }

    /// The most tokens of a window, special ones included, where the model states a limit.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.opened.config.max_tokens
    }

    /// The encoder made of the weights as they are now.
    pub(crate) fn forward(&self) -> Result<Forward<'_>, ModelError> {
        Ok(Forward { network: self, encoder: Encoder::load(&self.loader())? })
    }
}

impl Trainable for Network {
    fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    fn leaves_mut(&mut self) -> &mut Leaves {
        &mut self.leaves
    }
}

/// The encoder of one step: whatever is computed with it has its gradients at the network's leaves.
pub(crate) struct Forward<'a> {
    network: &'a Network,
    encoder: Encoder,
}

impl Forward<'_> {
    /// Number of kept layers.
    pub(crate) fn depth(&self) -> usize {
        self.encoder.depth()
    }

    /// The encoder.
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Token ids [batch × tokens], `length` of a window, to final hidden states [batch, tokens, hidden], through the
    /// kept layers at the places `layers` alone; with `first_token`, the last of them runs for the first token of
    /// each window. `each` is given the place of every layer with the hidden states before and after it.
    pub(crate) fn hidden(
        &self,
        ids: &[i64],
        length: usize,
        layers: &[usize],
        first_token: bool,
        mut each: impl FnMut(usize, &Tensor, &Tensor) -> Result<(), TchError>,
    ) -> Result<Tensor, ModelError> {
        let device = self.network.device();
        let windows = ids.len() / length.max(1);
        let length = dimension(length);
        let ids = Tensor::f_from_slice(ids)?.f_to_device(device)?.f_view([-1, length])?;
        let first = if first_token {
            Some(SelectedTokens::new(&vec![vec![0]; windows], length, device)?)
        } else {
            None
        };
        let mut hidden = self.encoder.embed(&ids)?;
        let encoding = self.encoder.positional_encoding(length)?;
        for (number, layer) in layers.iter().enumerate() {
            let chosen = first.as_ref().filter(|_| number + 1 == layers.len());
            let step = LayerStep { chosen, ..LayerStep::whole(&encoding) };
            let after = self.encoder.layer(*layer, &hidden, step)?;
            each(*layer, &hidden, &after)?;
            hidden = after;
        }
        Ok(self.encoder.finish(&hidden)?)
    }
}
