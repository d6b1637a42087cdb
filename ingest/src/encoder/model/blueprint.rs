//! The weights that a configuration asks for: which module has which shape. Checkpoints are checked
//! against it before anything is computed, and adapters find their targets in it.

use super::config::{EncoderConfig, Positions};
use super::dialect::{Dialect, LayerPart, Part};
use crate::module::{Module, Modules};

/// The modules of the encoder itself, all layers of the checkpoint.
pub(crate) fn encoder_modules(dialect: &Dialect, config: &EncoderConfig) -> Modules {
    let hidden = config.hidden as usize;
    let inner = config.feed_forward as usize * if config.activation.is_gated() { 2 } else { 1 };
    let norm = Module::Norm { length: hidden };
    let linear = |outputs, inputs, bias| Module::Linear { outputs, inputs, bias };
    let embedding = |rows: u32| Module::Embedding { rows: rows as usize, length: hidden };
    let mut modules = Modules::new();
    let mut add = |part, layer, module| {
        modules.insert(dialect.name_of(part, layer), module);
    };
    add(Part::WordEmbedding, 0, embedding(config.vocabulary));
    if let Positions::Learned { rows, .. } = config.positions {
        add(Part::PositionEmbedding, 0, embedding(rows));
    }
    if config.token_types > 0 {
        add(Part::TokenTypeEmbedding, 0, embedding(config.token_types));
    }
    if config.embedding_norm {
        add(Part::EmbeddingNorm, 0, norm);
    }
    if config.final_norm {
        add(Part::FinalNorm, 0, norm);
    }
    for layer in 0..config.layers {
        let mut part = |part, module| add(Part::Layer(part), layer, module);
        if config.fused_attention {
            part(LayerPart::Fused, linear(3 * hidden, hidden, true));
        } else {
            for split in [LayerPart::Query, LayerPart::Key, LayerPart::Value] {
                part(split, linear(hidden, hidden, true));
            }
        }
        part(LayerPart::AttentionOutput, linear(hidden, hidden, true));
        part(LayerPart::AttentionNorm, norm);
        part(LayerPart::FeedForwardInput, linear(inner, hidden, config.input_bias));
        part(LayerPart::FeedForwardOutput, linear(hidden, config.feed_forward as usize, config.output_bias));
        part(LayerPart::FeedForwardNorm, norm);
    }
    modules
}

/// The modules of the masked language model's head, less its decoder and the decoder's bias, which
/// may be shared or named apart.
pub(crate) fn masked_modules(dialect: &Dialect, config: &EncoderConfig) -> Modules {
    let hidden = config.hidden as usize;
    Modules::from([
        (
            dialect.name_of(Part::MaskedDense, 0),
            Module::Linear { outputs: hidden, inputs: hidden, bias: true },
        ),
        (dialect.name_of(Part::MaskedNorm, 0), Module::Norm { length: hidden }),
    ])
}

/// The decoder's own weights: its matrix and its bias.
pub(crate) fn decoder_parameters(dialect: &Dialect, config: &EncoderConfig) -> [(String, Vec<usize>); 2] {
    let (rows, hidden) = (config.vocabulary as usize, config.hidden as usize);
    [
        (format!("{}.weight", dialect.name_of(Part::MaskedDecoder, 0)), vec![rows, hidden]),
        (dialect.name_of(Part::MaskedBias, 0), vec![rows]),
    ]
}

/// The masked language model's decoder; its bias is a weight of its own.
pub(crate) fn decoder(dialect: &Dialect, config: &EncoderConfig) -> (String, Module) {
    let (outputs, inputs) = (config.vocabulary as usize, config.hidden as usize);
    (dialect.name_of(Part::MaskedDecoder, 0), Module::Linear { outputs, inputs, bias: false })
}

/// The dense layer of the classification head, which also serves as a pooler.
pub(crate) fn class_dense(dialect: &Dialect, config: &EncoderConfig) -> (String, Module) {
    let hidden = config.hidden as usize;
    (dialect.name_of(Part::ClassDense, 0), Module::Linear { outputs: hidden, inputs: hidden, bias: true })
}

/// The output layer of the classification head.
pub(crate) fn class_output(dialect: &Dialect, config: &EncoderConfig, labels: usize) -> (String, Module) {
    let inputs = config.hidden as usize;
    (dialect.name_of(Part::ClassOutput, 0), Module::Linear { outputs: labels, inputs, bias: true })
}

/// The modules of the classification head; its output of one label.
pub(crate) fn class_modules(dialect: &Dialect, config: &EncoderConfig) -> [(String, Module); 2] {
    [class_dense(dialect, config), class_output(dialect, config, 1)]
}
