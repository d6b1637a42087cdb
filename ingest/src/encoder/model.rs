//! Models: a checkpoint as published, an optional adapter, a list of kept layers; described without
//! computing anything, or loaded and run.

mod attention;
pub(crate) mod blueprint;
pub(crate) mod config;
pub(crate) mod dialect;
mod encoder;
mod files;
pub(crate) mod head;
mod identity;
pub(crate) mod keys;
mod loader;

use std::cell::Ref;

use serde_json::Value;
use tch::{Device, Kind, Tensor};
use vestore_schema::TokenizerKind;

pub(crate) use attention::{PositionalEncoding, SelectedTokens};
pub(crate) use encoder::{Encoder, LayerStep};
pub(crate) use files::ModelFiles;
pub(crate) use loader::Loader;

use config::Problem;
use head::{ClassHead, MaskedHead};
use identity::Identity;

use crate::checkpoint::{Hash, ModelSource, card_field, card_license};
use crate::error::ModelError;
use crate::tokenize::Tokenizer;

/// What a model is, without its weights in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Name of the dialect: `nucleotide-transformer`, `dnabert2`, `dnagrinder`.
    pub family: &'static str,
    /// The options of the encoder ([`crate::EncoderConfig`]) as a JSON object.
    pub config: Value,
    /// Layers in the checkpoint.
    pub layers_in_checkpoint: u32,
    /// Original numbers of the kept layers, ascending.
    pub kept_layers: Vec<u32>,
    /// Length of a hidden vector.
    pub hidden: u32,
    /// Numbers in the weights that are used: kept layers, embeddings, heads; a tied decoder once.
    pub parameters: u64,
    /// Bytes of those numbers as stored.
    pub weight_bytes: u64,
    /// SHA-256 over the used weights of the whole checkpoint, however its files are cut.
    pub weights_digest: Hash,
    /// SHA-256 over the effective vocabulary and tokenization rules.
    pub tokenizer_digest: Hash,
    /// SHA-256 over the adapter's tensors and scalings.
    pub adapter_digest: Option<Hash>,
    /// `lora`, `dora`, `ia3`, `vera` or `houlsby`.
    pub adapter_kind: Option<&'static str>,
    /// The base model that the adapter's configuration names, when it is another than this checkpoint.
    pub adapter_base: Option<String>,
    /// The model's identity: SHA-256 over all of the above that decides its numbers.
    pub id: Hash,
    /// Whether it has a masked language model's head.
    pub has_masked_lm: bool,
    /// Whether its tokenizer has a token that hides another.
    pub has_mask_token: bool,
    /// Outputs of its classification head, if it has one.
    pub labels: Option<u32>,
    /// What they are.
    pub problem: Problem,
    /// What every weight's name begins with in the checkpoint, from a wrapper around the model that was saved; it is
    /// left out.
    pub wrapper: Option<String>,
    /// What kind of tokens it reads.
    pub tokenizer_kind: TokenizerKind,
    /// Most tokens of a window, special ones included, where the model states a limit.
    pub max_tokens: Option<u32>,
    /// The licence that the checkpoint's README.md states.
    pub license: Option<String>,
    /// The remark that the checkpoint's README.md makes in its front matter, such as "untrained".
    pub note: Option<String>,
}

/// Reads and checks everything about a model: configuration, weights, tokenizer, adapter, kept layers.
/// Computes its digests; runs nothing.
///
/// # Errors
/// Whatever would stop [`Model::load`], except a lack of memory.
pub fn describe(source: &ModelSource) -> Result<Description, ModelError> {
    let opened = ModelFiles::open(source)?;
    describe_opened(&opened, source)
}

fn describe_opened(opened: &ModelFiles, source: &ModelSource) -> Result<Description, ModelError> {
    let config = serde_json::to_value(&opened.config).expect("plain numbers and words; this is a bug");
    let identity = Identity::of(opened, &config)?;
    let (mut parameters, mut weight_bytes) = (0, 0);
    for (name, shape) in &opened.used {
        let layer = name.split('.').find_map(|part| part.parse::<u32>().ok());
        let kept = layer.is_none_or(|layer| opened.kept.contains(&layer));
        if let Some(found) = opened.stored(name).filter(|_| kept) {
            let count = shape.iter().product::<usize>() as u64;
            parameters += count;
            weight_bytes += count * found.dtype.size() as u64;
        }
    }
    Ok(Description {
        family: opened.dialect.family,
        layers_in_checkpoint: opened.config.layers,
        kept_layers: opened.kept.clone(),
        hidden: opened.config.hidden,
        parameters,
        weight_bytes,
        weights_digest: identity.weights,
        tokenizer_digest: identity.tokenizer,
        adapter_digest: identity.adapter,
        adapter_kind: opened.adapter.as_ref().map(crate::adapter::Adapter::kind),
        adapter_base: opened.adapter.as_ref().and_then(|adapter| adapter.other_base(&opened.names)),
        id: identity.model,
        has_masked_lm: opened.masked_lm,
        has_mask_token: opened.tokenizer.mask_id().is_some(),
        labels: opened.labels,
        problem: opened.problem,
        wrapper: opened.wrapper.clone(),
        tokenizer_kind: opened.tokenizer.kind(),
        max_tokens: opened.config.max_tokens,
        license: card_license(&source.checkpoint)?,
        note: card_field(&source.checkpoint, "note")?,
        config,
    })
}

/// A model in memory. All tensors it gives lie on its device.
pub struct Model {
    description: Description,
    tokenizer: Tokenizer,
    encoder: Encoder,
    masked: Option<MaskedHead>,
    classes: Option<ClassHead>,
    device: Device,
    kind: Kind,
}

impl Model {
    /// Loads a model onto `device` with weights cast to `kind` ([`Kind::Float`], or
    /// [`Kind::BFloat16`] for speed). Adapters are merged in float32 before the cast.
    ///
    /// # Errors
    /// When the files do not fit together (see [`describe`]) or memory runs out.
    pub fn load(source: &ModelSource, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let opened = ModelFiles::open(source)?;
        let description = describe_opened(&opened, source)?;
        let loader = Loader { opened: &opened, trained: None, kind, device };
        tch::no_grad(|| {
            let encoder = Encoder::load(&loader)?;
            let masked = opened.masked_lm.then(|| MaskedHead::load(&loader, encoder.words())).transpose()?;
            let classes = opened.labels.map(|_| ClassHead::load(&loader)).transpose()?;
            Ok(Self {
                description,
                tokenizer: opened.tokenizer.clone(),
                encoder,
                masked,
                classes,
                device,
                kind,
            })
        })
    }

    /// What the model is; the same as [`describe`] gives for its source.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The model's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Whether each output of its classification head is a label of its own.
    pub(crate) fn multi_label(&self) -> bool {
        self.description.problem == Problem::Labels
    }

    /// The number type it runs in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of kept layers.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.encoder.depth()
    }

    /// Token ids [batch, tokens] (int64) to embeddings [batch, tokens, hidden].
    ///
    /// # Errors
    /// When the windows are too long for the model or memory runs out.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        tch::no_grad(|| self.encoder.embed(&ids.f_to_device(self.device)?))
    }

    /// Runs the kept layers `range` (places in the list of kept layers) on a hidden state [batch,
    /// tokens, hidden] and gives the raw hidden state after them. With [`Model::embed`] and
    /// [`Model::finish`] it is [`Model::hidden`] in parts, so that ablations can share prefixes.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn layers(&self, hidden: &Tensor, range: std::ops::Range<usize>) -> Result<Tensor, ModelError> {
        tch::no_grad(|| {
            let encoding = self.encoder.positional_encoding(hidden.size3()?.1)?;
            self.run(hidden, range, &encoding, |_| Ok(()))
        })
    }

    /// What attention needs at `length` tokens, for [`Model::layer`].
    pub(crate) fn positional_encoding(&self, length: i64) -> Result<Ref<'_, PositionalEncoding>, ModelError> {
        self.encoder.positional_encoding(length)
    }

    /// The hidden state after the `index`-th kept layer.
    pub(crate) fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        step: LayerStep<'_>,
    ) -> Result<Tensor, ModelError> {
        Ok(self.encoder.layer(index, hidden, step)?)
    }

    /// Final hidden states [batch, chosen, hidden] of token ids [batch, tokens]: the last layer runs for
    /// the chosen tokens alone.
    pub(crate) fn hidden_at(&self, ids: &Tensor, chosen: &SelectedTokens) -> Result<Tensor, ModelError> {
        let encoding = self.positional_encoding(ids.size2()?.1)?;
        let embedded = self.encoder.embed(ids)?;
        let last = match self.depth().checked_sub(1) {
            None => chosen.of(&embedded)?,
            Some(last) => {
                let below = self.run(&embedded, 0..last, &encoding, |_| Ok(()))?;
                self.layer(last, &below, LayerStep { chosen: Some(chosen), ..LayerStep::whole(&encoding) })?
            }
        };
        Ok(self.encoder.finish(&last)?)
    }

    /// The final norm, for models that have one.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn finish(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        tch::no_grad(|| Ok(self.encoder.finish(hidden)?))
    }

    /// Token ids [batch, tokens] (int64), all of one exact length, to final hidden states [batch,
    /// tokens, hidden].
    ///
    /// # Errors
    /// When the windows are too long for the model or memory runs out.
    pub fn hidden(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let embedded = self.embed(ids)?;
        let last = self.layers(&embedded, 0..self.depth())?;
        self.finish(&last)
    }

    /// All hidden states of token ids [batch, tokens]: the embeddings, then one after each kept layer,
    /// the last one after the final norm.
    ///
    /// # Errors
    /// When the windows are too long for the model or memory runs out.
    pub fn hidden_states(&self, ids: &Tensor) -> Result<Vec<Tensor>, ModelError> {
        let embedded = self.embed(ids)?;
        let mut states = vec![embedded.shallow_clone()];
        let last = tch::no_grad(|| {
            let encoding = self.encoder.positional_encoding(embedded.size3()?.1)?;
            self.run(&embedded, 0..self.depth(), &encoding, |state| {
                states.push(state.shallow_clone());
                Ok(())
            })
        })?;
        states.pop();
        states.push(self.finish(&last)?);
        Ok(states)
    }

    fn run(
        &self,
        hidden: &Tensor,
        range: std::ops::Range<usize>,
        encoding: &PositionalEncoding,
        mut each: impl FnMut(&Tensor) -> Result<(), ModelError>,
    ) -> Result<Tensor, ModelError> {
        let mut hidden = hidden.shallow_clone();
        for index in range {
            hidden = self.encoder.layer(index, &hidden, LayerStep::whole(encoding))?;
            each(&hidden)?;
        }
        Ok(hidden)
    }

    /// Hidden vectors [n, hidden] to logits over the vocabulary [n, vocabulary], float32.
    ///
    /// # Errors
    /// When the model has no masked language model's head or memory runs out.
    pub fn masked_logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let head = self.masked.as_ref().ok_or(ModelError::NoHead { head: "masked language model" })?;
        tch::no_grad(|| Ok(head.forward(hidden)?))
    }

    /// Final hidden states [batch, tokens, hidden] to logits over the labels [batch, labels], float32.
    ///
    /// # Errors
    /// When the model has no classification head or memory runs out.
    pub fn class_logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let head = self.classes.as_ref().ok_or(ModelError::NoHead { head: "classification" })?;
        tch::no_grad(|| Ok(head.forward(hidden)?))
    }
}
