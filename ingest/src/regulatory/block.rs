//! One block of the transformer: attention, then a feed-forward network, each over normed tokens and added to them.

use tch::{TchError, Tensor};
use vestore_schema::AblatedPart;

use super::attention::Attention;
use super::config::RegulatoryConfig;
use super::loader::Loader;
use super::positions::Positions;
use crate::error::ModelError;
use crate::module::{Bottleneck, Linear, Norm};

pub(super) struct Block {
    attention_norm: Norm,
    attention: Attention,
    attention_adapter: Option<Bottleneck>,
    feed_forward_norm: Norm,
    input: Linear,
    output: Linear,
    feed_forward_adapter: Option<Bottleneck>,
    /// The share of numbers that a training leaves out.
    dropout: f64,
}

impl Block {
    /// The block `number` of the checkpoint.
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &RegulatoryConfig,
        number: u32,
        eps: f64,
    ) -> Result<Self, ModelError> {
        let [attention, feed_forward] = [0, 1].map(|part| format!("transformer.{number}.{part}.fn"));
        Ok(Self {
            attention_norm: loader.norm(&format!("{attention}.0"), eps)?,
            attention: Attention::load(loader, config, &format!("{attention}.1"))?,
            attention_adapter: loader.bottleneck(&format!("transformer.{number}.attention_adapter"))?,
            feed_forward_norm: loader.norm(&format!("{feed_forward}.0"), eps)?,
            input: loader.linear(&format!("{feed_forward}.1"))?,
            output: loader.linear(&format!("{feed_forward}.4"))?,
            feed_forward_adapter: loader.bottleneck(&format!("transformer.{number}.mlp_adapter"))?,
            dropout: loader.dropout,
        })
    }

    /// Tokens [batch, tokens, hidden] after the block, or after what is left of it without a part.
    pub(super) fn forward(
        &self,
        tokens: &Tensor,
        positions: &Positions,
        without: Option<&AblatedPart>,
    ) -> Result<Tensor, TchError> {
        let keeps =
            |part: &str| without.is_none_or(|without| !without.is_block() && without.as_str() != part);
        let mut tokens = tokens.shallow_clone();
        if keeps("attention") {
            tokens = self.attended(&tokens, positions)?.f_add_(&tokens)?;
        }
        if keeps("mlp") {
            let inner = self.input.forward(&self.feed_forward_norm.forward(&tokens)?)?;
            let inner = self.dropped(inner)?.f_relu_()?;
            let change = self.dropped(self.output.forward(&inner)?)?;
            let change = adapted(&change, self.feed_forward_adapter.as_ref())?;
            tokens = tokens.f_add(&change)?;
        }
        Ok(tokens)
    }

    /// What attention adds.
    pub(super) fn attended(&self, tokens: &Tensor, positions: &Positions) -> Result<Tensor, TchError> {
        let change = self.attention.forward(&self.attention_norm.forward(tokens)?, positions)?;
        adapted(&self.dropped(change)?, self.attention_adapter.as_ref())
    }

    /// In training, without some of the numbers.
    fn dropped(&self, numbers: Tensor) -> Result<Tensor, TchError> {
        if self.dropout == 0.0 { Ok(numbers) } else { numbers.f_dropout(self.dropout, true) }
    }
}

fn adapted(change: &Tensor, adapter: Option<&Bottleneck>) -> Result<Tensor, TchError> {
    adapter.map_or(Ok(change.shallow_clone()), |adapter| adapter.forward(change))
}
