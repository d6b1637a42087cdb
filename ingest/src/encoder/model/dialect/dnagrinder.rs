//! Encoders of dnaGrinder's shape (arXiv 2409.15697: byte pairs, `ALiBi` or rotary positions, `SwiGLU`,
//! norms after). No checkpoint of it is published, so the layout is our own and documented here.
//!
//! `config.json` holds `"model_type": "dnagrinder"`, `vocab_size`, `hidden_size`,
//! `num_hidden_layers`, `num_attention_heads`, `intermediate_size` (of each half), optionally
//! `layer_norm_eps` (1e-12), `positions` (`"alibi"` or `"rotary"`), `rope_theta` (10,000), `mlp` (`"swiglu"` or `"geglu"`),
//! `tie_word_embeddings` (true), `max_tokens`. The weights are named as DNABERT-2's, except that
//! query, key and value are matrices of their own (`encoder.layer.{i}.attention.self.query` …) and
//! that there are no token types; the encoder's names may carry the prefix `dnagrinder.`. The
//! tokenizer is `tokenizer.json` (byte pairs) or `vocab.txt` (one token a base).

use super::{Dialect, dnabert2, has_rows_for};
use crate::checkpoint::{CheckpointError, ConfigFile};
use crate::encoder::model::config::{Activation, EncoderConfig, NormPlacement, Positions, Problem};
use crate::encoder::model::keys::{Keys, Only};
use crate::tokenize::{BaseTokenizer, Tokenizer, TokenizerError, has_file};

pub(super) static DIALECT: Dialect = Dialect {
    family: "dnagrinder",
    prefix: "dnagrinder.",
    classifier: "DnaGrinderForSequenceClassification",
    keys: KEYS,
    recognises: |config, _| config.text("model_type") == Some("dnagrinder"),
    config,
    tokenizer,
    name: dnabert2::name,
    ignored: &[],
};

/// The keys of the layout above.
const KEYS: Keys = Keys {
    used: &[
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_tokens",
        "mlp",
        "num_attention_heads",
        "num_hidden_layers",
        "partial_rotary_factor",
        "positions",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "tie_word_embeddings",
        "vocab_size",
    ],
    harmless: &["mask_token_id", "max_position_embeddings", "pad_token_id"],
    only: &[("add_cross_attention", Only::Off), ("is_decoder", Only::Off)],
};

fn config(file: &ConfigFile) -> Result<EncoderConfig, CheckpointError> {
    let sizes = file.sizes()?;
    let positions = match file.text("positions") {
        None | Some("alibi") => Positions::Alibi,
        Some("rotary") if (sizes.hidden / sizes.heads).is_multiple_of(2) => {
            Positions::Rotary { base: file.rotary_base()? }
        }
        Some(_) => {
            return Err(file.unsupported("positions", "`alibi`, or `rotary` with heads of even length"));
        }
    };
    let activation = match file.text("mlp") {
        None | Some("swiglu") => Activation::SwiGlu,
        Some("geglu") => Activation::GeGlu,
        Some(_) => return Err(file.unsupported("mlp", "`swiglu` or `geglu`")),
    };
    Ok(EncoderConfig {
        vocabulary: sizes.vocabulary,
        hidden: sizes.hidden,
        layers: sizes.layers,
        heads: sizes.heads,
        feed_forward: sizes.feed_forward,
        layer_norm_eps: sizes.layer_norm_eps,
        norm: NormPlacement::Post,
        positions,
        activation,
        input_bias: false,
        output_bias: true,
        fused_attention: false,
        token_types: 0,
        embedding_norm: true,
        final_norm: false,
        token_dropout: None,
        mask_token: None,
        tied_decoder: file.flag("tie_word_embeddings", true)?,
        max_tokens: file.get("max_tokens").map(|_| file.count("max_tokens", 1 << 24)).transpose()?,
        multi_label: file.problem()? == Problem::Labels,
    })
}

fn tokenizer(directory: &std::path::Path, config: &EncoderConfig) -> Result<Tokenizer, TokenizerError> {
    let vocabulary = directory.join("vocab.txt");
    if !has_file(&vocabulary)? || has_file(&directory.join("tokenizer.json"))? {
        return dnabert2::byte_pairs(directory, config);
    }
    let tokenizer = Tokenizer::Base(BaseTokenizer::from_vocabulary(&vocabulary)?);
    let found = tokenizer.vocabulary_size();
    if !has_rows_for(config.vocabulary, found) {
        return Err(TokenizerError::WrongSize { file: vocabulary, expected: config.vocabulary, found });
    }
    Ok(tokenizer)
}
