//! What stands on top of the encoder: the masked language model's head and the classification head.

use tch::{Kind, TchError, Tensor};

use super::blueprint::{class_dense, class_output, decoder_parameters};
use super::dialect::Part;
use super::loader::Loader;
use crate::error::ModelError;
use crate::module::{Linear, Norm};

/// Dense, GELU, norm, decoder.
pub(crate) struct MaskedHead {
    dense: Linear,
    norm: Norm,
    decoder: Linear,
}

impl MaskedHead {
    /// The head of a checkpoint that has one; a tied decoder shares `words`.
    pub(crate) fn load(loader: &Loader<'_>, words: &Tensor) -> Result<Self, ModelError> {
        let (dialect, config) = (loader.opened.dialect, &loader.opened.config);
        let [_, (bias, _)] = decoder_parameters(dialect, config);
        let (module, table) =
            (dialect.name_of(Part::MaskedDecoder, 0), dialect.name_of(Part::WordEmbedding, 0));
        let weight = if !config.tied_decoder {
            loader.linear(&module)?.weight
        } else if loader.is_changed(&module) || loader.is_changed(&table) {
            // An adapter changes the one or the other: PEFT trains them as two.
            loader.other_weight(&module, &table)?
        } else {
            words.shallow_clone()
        };
        Ok(Self {
            dense: loader.linear(&dialect.name_of(Part::MaskedDense, 0))?,
            norm: loader.norm(&dialect.name_of(Part::MaskedNorm, 0), config.layer_norm_eps)?,
            decoder: Linear { weight, bias: Some(loader.tensor(&bias)?) },
        })
    }

    /// Hidden vectors [n, hidden] to logits [n, vocabulary] in float32.
    pub(crate) fn forward(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        let inner = self.norm.forward(&self.dense.forward(hidden)?.f_gelu("none")?)?;
        self.decoder.forward(&inner)?.f_to_kind(Kind::Float)
    }
}

/// Dense, tanh, output, over the first token.
pub(crate) struct ClassHead {
    dense: Linear,
    output: Linear,
}

impl ClassHead {
    pub(crate) fn load(loader: &Loader<'_>) -> Result<Self, ModelError> {
        let (dialect, config) = (loader.opened.dialect, &loader.opened.config);
        Ok(Self {
            dense: loader.linear(&class_dense(dialect, config).0)?,
            output: loader.linear(&class_output(dialect, config, 0).0)?,
        })
    }

    /// Hidden states [batch, tokens, hidden] to logits [batch, labels] in float32.
    pub(crate) fn forward(&self, hidden: &Tensor) -> Result<Tensor, TchError> {
        let first = hidden.f_select(1, 0)?;
        self.output.forward(&self.dense.forward(&first)?.f_tanh()?)?.f_to_kind(Kind::Float)
    }
}
