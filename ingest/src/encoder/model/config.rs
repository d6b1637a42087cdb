//! What kind of transformer encoder a checkpoint holds: the options of the one encoder, read from a
//! published `config.json` by a dialect.

use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::{CheckpointError, ConfigFile};

/// How tokens learn where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Positions {
    /// A table of `rows` vectors, added to the embeddings; token i takes row `first + i`.
    Learned {
        /// Rows of the table.
        rows: u32,
        /// Row of the first token.
        first: u32,
    },
    /// Queries and keys are rotated by angles position / base^(2i/d), halves paired.
    Rotary {
        /// Base of the wavelengths.
        base: f64,
    },
    /// A penalty linear in the distance, of another slope in each head (arXiv 2108.12409), both ways.
    Alibi,
}

/// Whether layer norms stand before or after attention and MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPlacement {
    /// x + f(norm(x)).
    Pre,
    /// norm(x + f(x)).
    Post,
}

/// The non-linearity of the MLP. The gated ones multiply the activated first half of the inner
/// vector by its second half. GELU is the exact one, with erf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// GELU.
    Gelu,
    /// SiLU-gated.
    SwiGlu,
    /// GELU-gated.
    GeGlu,
}

impl Activation {
    /// Whether the inner vector has two halves.
    #[must_use]
    pub fn is_gated(self) -> bool {
        self != Self::Gelu
    }
}

/// Options of the encoder. Together with the weights they decide every number it gives, so all of
/// them are part of a model's identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of published encoders")]
pub struct EncoderConfig {
    /// Rows of the embedding table.
    pub vocabulary: u32,
    /// Length of a token's vector.
    pub hidden: u32,
    /// Layers in the checkpoint.
    pub layers: u32,
    /// Attention heads.
    pub heads: u32,
    /// Inner length of the MLP (of each half, when gated).
    pub feed_forward: u32,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
    /// Where the layer norms stand.
    pub norm: NormPlacement,
    /// How tokens learn where they stand.
    pub positions: Positions,
    /// Non-linearity of the MLP.
    pub activation: Activation,
    /// Whether the MLP's first product adds a bias.
    pub input_bias: bool,
    /// Whether the MLP's second product adds a bias.
    pub output_bias: bool,
    /// Whether query, key and value are stored as one matrix.
    pub fused_attention: bool,
    /// Rows of the token type table, of which row 0 is added everywhere; 0 without one.
    pub token_types: u32,
    /// Whether the embeddings are normalized.
    pub embedding_norm: bool,
    /// Whether the last hidden state is normalized once more.
    pub final_norm: bool,
    /// Share of the embeddings' scale that was left in training by masking (0.88): embeddings are
    /// multiplied by it and divided by the unmasked share, masked ones are zero. `None` without.
    pub token_dropout: Option<f64>,
    /// Id of the mask token, where `token_dropout` needs it.
    pub mask_token: Option<u32>,
    /// Whether the masked language model's decoder is the embedding table.
    pub tied_decoder: bool,
    /// Most tokens that the model was made for; a hard limit where positions are a table.
    pub max_tokens: Option<u32>,
    /// Whether each output of a classification head is a label of its own (`problem_type`
    /// `multi_label_classification`), with a probability of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub multi_label: bool,
}

/// What the outputs of a classification head are, as `problem_type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It says nothing: classes of which one is right, or one number where there is one output.
    Unsaid,
    /// Classes of which one is right.
    OneClass,
    /// Labels that each are there or not.
    Labels,
    /// Numbers.
    Numbers,
}

impl ConfigFile {
    /// Base of the wavelengths of rotary positions: 10,000, or what newer configurations say under `rope_theta` or
    /// in `rope_parameters`. Stretched wavelengths are refused.
    pub(crate) fn rotary_base(&self) -> Result<f64, CheckpointError> {
        let mut base = None;
        for key in ["rope_parameters", "rope_scaling"] {
            let Some(value) = self.get(key) else { continue };
            let expected = || self.unsupported(key, "`rope_type` default, with no more than a `rope_theta`");
            for (name, value) in value.as_object().ok_or_else(expected)? {
                match name.as_str() {
                    "rope_type" | "type" if value == "default" => {}
                    "rope_theta" if value.is_number() => base = value.as_f64(),
                    "partial_rotary_factor" if value.as_f64() == Some(1.0) => {}
                    _ if value.is_null() => {}
                    _ => return Err(expected()),
                }
            }
        }
        if let Some(value) = self.get("partial_rotary_factor")
            && value.as_f64() != Some(1.0)
        {
            return Err(self.unsupported("partial_rotary_factor", "1"));
        }
        if let Some(value) = self.get("rope_theta") {
            let theta = value.as_f64().ok_or_else(|| self.unsupported("rope_theta", "a number over 1"))?;
            if base.is_some_and(|base| base != theta) {
                return Err(self.unsupported("rope_theta", "the same number as in `rope_parameters`"));
            }
            base = Some(theta);
        }
        let base = base.unwrap_or(10_000.0);
        if base > 1.0 && base.is_finite() {
            return Ok(base);
        }
        Err(self.unsupported("rope_theta", "a number over 1"))
    }

    /// What the outputs of a classification head are.
    pub(crate) fn problem(&self) -> Result<Problem, CheckpointError> {
        match self.get("problem_type") {
            None => Ok(Problem::Unsaid),
            Some(Value::String(text)) if text == "single_label_classification" => Ok(Problem::OneClass),
            Some(Value::String(text)) if text == "multi_label_classification" => Ok(Problem::Labels),
            Some(Value::String(text)) if text == "regression" => Ok(Problem::Numbers),
            Some(_) => Err(self.unsupported(
                "problem_type",
                "`single_label_classification`, `multi_label_classification` or `regression`",
            )),
        }
    }

    /// The sizes that every family states under the same names.
    pub(crate) fn sizes(&self) -> Result<Sizes, CheckpointError> {
        let eps = match self.get("layer_norm_eps") {
            None => 1e-12,
            Some(value) => value
                .as_f64()
                .filter(|eps| (0.0..0.1).contains(eps))
                .ok_or_else(|| self.unsupported("layer_norm_eps", "a number from 0 to 0.1"))?,
        };
        let sizes = Sizes {
            vocabulary: self.count("vocab_size", 1 << 24)?,
            hidden: self.count("hidden_size", 1 << 16)?,
            layers: self.count("num_hidden_layers", 1024)?,
            heads: self.count("num_attention_heads", 1024)?,
            feed_forward: self.count("intermediate_size", 1 << 20)?,
            layer_norm_eps: eps,
        };
        if !sizes.hidden.is_multiple_of(sizes.heads) {
            let expected = format!("a divisor of hidden_size, {}", sizes.hidden);
            return Err(self.unsupported("num_attention_heads", expected));
        }
        Ok(sizes)
    }
}

pub(crate) struct Sizes {
    pub(crate) vocabulary: u32,
    pub(crate) hidden: u32,
    pub(crate) layers: u32,
    pub(crate) heads: u32,
    pub(crate) feed_forward: u32,
    pub(crate) layer_norm_eps: f64,
}
