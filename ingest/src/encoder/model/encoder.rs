//! The one transformer encoder. Families differ by options (see [`EncoderConfig`]), not by code.
//!
//! All batches hold windows of one exact token count, so there is no padding and no mask.

use std::cell::{Ref, RefCell};

use tch::{Kind, TchError, Tensor};
use vestore_schema::AblatedPart;

use super::attention::{PositionalEncoding, SelectedTokens, attend};
use super::config::{Activation, EncoderConfig, NormPlacement, Positions};
use super::dialect::{Dialect, LayerPart, Part};
use super::loader::Loader;
use crate::error::ModelError;
use crate::module::{Bottleneck, Linear, Norm};

/// The weights of the encoder's kept layers, ready to run.
pub(crate) struct Encoder {
    config: EncoderConfig,
    words: Tensor,
    positions: Option<Tensor>,
    token_type: Option<Tensor>,
    embedding_norm: Option<Norm>,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    /// What attention needs at the length that was run last: batches come sorted by length.
    encoding: RefCell<Option<(i64, PositionalEncoding)>>,
}

/// How a layer is run.
#[derive(Clone, Copy)]
pub(crate) struct LayerStep<'a> {
    /// What attention needs at the windows' length.
    pub(crate) encoding: &'a PositionalEncoding,
    /// The part of the layer that is left out.
    pub(crate) without: Option<&'a AblatedPart>,
    /// The tokens whose states are computed, where not all are wanted: the last layer's affair.
    pub(crate) chosen: Option<&'a SelectedTokens>,
}

impl<'a> LayerStep<'a> {
    /// The whole layer, for every token.
    pub(crate) fn whole(encoding: &'a PositionalEncoding) -> Self {
        Self { encoding, without: None, chosen: None }
    }
}

struct Layer {
    attention: Linear,
    attention_output: Linear,
    attention_adapter: Option<Bottleneck>,
    attention_norm: Norm,
    input: Linear,
    output: Linear,
    feed_forward_adapter: Option<Bottleneck>,
    feed_forward_norm: Norm,
}

impl Encoder {
    pub(crate) fn load(loader: &Loader<'_>) -> Result<Self, ModelError> {
        let (dialect, config) = (loader.opened.dialect, &loader.opened.config);
        let name = |part| dialect.name_of(part, 0);
        let positions = match config.positions {
            Positions::Learned { .. } => Some(loader.embedding(&name(Part::PositionEmbedding))?),
            Positions::Rotary { .. } | Positions::Alibi => None,
        };
        let token_type = if config.token_types > 0 {
            Some(loader.embedding(&name(Part::TokenTypeEmbedding))?.f_get(0)?)
        } else {
            None
        };
        let norm =
            |part, wanted: bool| wanted.then(|| loader.norm(&name(part), config.layer_norm_eps)).transpose();
        let layers = loader.opened.kept.iter().map(|layer| Layer::load(loader, dialect, *layer));
        Ok(Self {
            words: loader.embedding(&name(Part::WordEmbedding))?,
            positions,
            token_type,
            embedding_norm: norm(Part::EmbeddingNorm, config.embedding_norm)?,
            layers: layers.collect::<Result<_, _>>()?,
            final_norm: norm(Part::FinalNorm, config.final_norm)?,
            encoding: RefCell::new(None),
            config: config.clone(),
        })
    }

    pub(crate) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The embedding table [vocabulary, hidden], which a tied decoder shares.
    pub(crate) fn words(&self) -> &Tensor {
        &self.words
    }

    /// What attention needs at `length` tokens.
    pub(crate) fn positional_encoding(&self, length: i64) -> Result<Ref<'_, PositionalEncoding>, ModelError> {
        let known = self.encoding.borrow().as_ref().is_some_and(|(known, _)| *known == length);
        if !known {
            let heads = i64::from(self.config.heads);
            let head_length = i64::from(self.config.hidden) / heads;
            let like = (self.words.f_kind()?, self.words.device());
            let encoding = PositionalEncoding::new(self.config.positions, heads, head_length, length, like)?;
            self.encoding.replace(Some((length, encoding)));
        }
        let encoding =
            Ref::filter_map(self.encoding.borrow(), |known| known.as_ref().map(|(_, encoding)| encoding));
        Ok(encoding.unwrap_or_else(|_| panic!("the encoding was just set; this is a bug")))
    }

    /// Token ids [batch, tokens] to embeddings [batch, tokens, hidden].
    pub(crate) fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let (_, length) = ids.size2()?;
        let mut hidden = Tensor::f_embedding(&self.words, ids, -1, false, false)?;
        if let (Some(kept), Some(mask)) = (self.config.token_dropout, self.config.mask_token) {
            hidden = drop_tokens(&hidden, ids, kept, i64::from(mask))?;
        }
        if let (Some(table), Positions::Learned { rows, first }) = (&self.positions, self.config.positions) {
            let limit = rows - first;
            if length > i64::from(limit) {
                return Err(ModelError::TooLong { found: length, limit });
            }
            hidden = hidden.f_add(&table.f_narrow(0, i64::from(first), length)?)?;
        }
        if let Some(token_type) = &self.token_type {
            hidden = hidden.f_add(token_type)?;
        }
        if let Some(norm) = &self.embedding_norm {
            hidden = norm.forward(&hidden)?;
        }
        Ok(hidden)
    }

    /// The hidden state [batch, tokens, hidden] after the `index`-th kept layer.
    pub(crate) fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        step: LayerStep<'_>,
    ) -> Result<Tensor, TchError> {
        self.layers[index].forward(hidden, &self.config, step)
    }

    /// What follows the last layer: the final norm, where there is one.
    pub(crate) fn finish(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        self.final_norm.as_ref().map_or(Ok(hidden.shallow_clone()), |norm| norm.forward(hidden))
    }
}

/// Scales embeddings as training with masks did: zero where masked, times `kept` over the share that
/// is not masked. The true length counts, since nothing is padded.
fn drop_tokens(hidden: &Tensor, ids: &Tensor, kept: f64, mask: i64) -> Result<Tensor, TchError> {
    let (_, length) = ids.size2()?;
    let masked = ids.f_eq(mask)?;
    let share =
        masked.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?.f_div_scalar(length as f64)?;
    let unmasked = share.f_neg()?.f_add_scalar(1.0)?.f_unsqueeze(-1)?.f_to_kind(hidden.f_kind()?)?;
    hidden.f_masked_fill(&masked.f_unsqueeze(-1)?, 0.0)?.f_mul_scalar(kept)?.f_div(&unmasked)
}

impl Layer {
    fn load(loader: &Loader<'_>, dialect: &Dialect, layer: u32) -> Result<Self, ModelError> {
        let config = &loader.opened.config;
        let name = |part| dialect.name_of(Part::Layer(part), layer);
        let attention = if config.fused_attention {
            loader.linear(&name(LayerPart::Fused))?
        } else {
            loader.joined(&[LayerPart::Query, LayerPart::Key, LayerPart::Value].map(name))?
        };
        Ok(Self {
            attention,
            attention_output: loader.linear(&name(LayerPart::AttentionOutput))?,
            attention_adapter: loader.bottleneck(&format!("encoder.layer.{layer}.attention_adapter"))?,
            attention_norm: loader.norm(&name(LayerPart::AttentionNorm), config.layer_norm_eps)?,
            input: loader.linear(&name(LayerPart::FeedForwardInput))?,
            output: loader.linear(&name(LayerPart::FeedForwardOutput))?,
            feed_forward_adapter: loader.bottleneck(&format!("encoder.layer.{layer}.mlp_adapter"))?,
            feed_forward_norm: loader.norm(&name(LayerPart::FeedForwardNorm), config.layer_norm_eps)?,
        })
    }

    /// The hidden state after the layer, or after what is left of it without a part; of the chosen tokens.
    fn forward(
        &self,
        hidden: &Tensor,
        config: &EncoderConfig,
        step: LayerStep<'_>,
    ) -> Result<Tensor, TchError> {
        let keeps =
            |part: &str| step.without.is_none_or(|removed| !removed.is_block() && removed.as_str() != part);
        let mut stream = match step.chosen {
            Some(chosen) => chosen.of(hidden)?,
            None => hidden.shallow_clone(),
        };
        // Sums and products are written over what was just made for them: on a CPU fresh memory is dear.
        if keeps("attention") {
            stream = match config.norm {
                NormPlacement::Pre => {
                    let normed = self.attention_norm.forward(hidden)?;
                    self.attention(&normed, config, step)?.f_add_(&stream)?
                }
                NormPlacement::Post => {
                    let sum = self.attention(hidden, config, step)?.f_add_(&stream)?;
                    self.attention_norm.forward(&sum)?
                }
            };
        }
        if keeps("mlp") {
            stream = match config.norm {
                NormPlacement::Pre => {
                    let normed = self.feed_forward_norm.forward(&stream)?;
                    self.feed_forward(&normed, config.activation)?.f_add_(&stream)?
                }
                NormPlacement::Post => {
                    let sum = self.feed_forward(&stream, config.activation)?.f_add_(&stream)?;
                    self.feed_forward_norm.forward(&sum)?
                }
            };
        }
        Ok(stream)
    }

    fn attention(
        &self,
        input: &Tensor,
        config: &EncoderConfig,
        step: LayerStep<'_>,
    ) -> Result<Tensor, TchError> {
        let (batch, _, hidden) = input.size3()?;
        let heads = i64::from(config.heads);
        let split =
            |projected: &Tensor, parts: i64| projected.f_view([batch, -1, parts, heads, hidden / heads]);
        let (query, keys, value);
        if let Some(chosen) = step.chosen {
            let projected = self.attention.part(0, hidden)?.forward(&chosen.of(input)?)?;
            query = step.encoding.place(split(&projected, 1)?, Some(chosen))?;
            let projected = split(&self.attention.part(hidden, 2 * hidden)?.forward(input)?, 2)?;
            keys = step.encoding.place(projected.f_narrow(2, 0, 1)?, None)?;
            value = projected.f_select(2, 1)?;
        } else {
            let projected = split(&self.attention.forward(input)?, 3)?;
            let placed = step.encoding.place(projected.f_narrow(2, 0, 2)?, None)?;
            (query, keys) = (placed.f_narrow(2, 0, 1)?, placed.f_narrow(2, 1, 1)?);
            value = projected.f_select(2, 2)?;
        }
        let [query, key, value] =
            [query.f_squeeze_dim(2)?, keys.f_squeeze_dim(2)?, value].map(|part| part.f_transpose(1, 2));
        let mixed = attend(&query?, &key?, &value?, step.encoding, step.chosen)?;
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([batch, -1, hidden])?;
        adapted(self.attention_output.forward(&mixed)?, self.attention_adapter.as_ref())
    }

    fn feed_forward(&self, input: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
        let active = match activation {
            Activation::Gelu => self.input.forward(input)?.f_gelu("none")?,
            Activation::SwiGlu | Activation::GeGlu => {
                // As two products, whose results are each in one piece: a GPU reads them at its full rate.
                let inner = self.input.weight.size()[0] / 2;
                let [gate, factor] = [0, inner].map(|first| self.input.part(first, inner)?.forward(input));
                let mut gate = gate?;
                let mut gate =
                    if activation == Activation::SwiGlu { gate.f_silu_()? } else { gate.f_gelu("none")? };
                gate.f_mul_(&factor?)?
            }
        };
        adapted(self.output.forward(&active)?, self.feed_forward_adapter.as_ref())
    }
}

/// What a part gives, through its bottleneck where it has one.
fn adapted(output: Tensor, bottleneck: Option<&Bottleneck>) -> Result<Tensor, TchError> {
    match bottleneck {
        None => Ok(output),
        Some(bottleneck) => bottleneck.forward(&output),
    }
}
