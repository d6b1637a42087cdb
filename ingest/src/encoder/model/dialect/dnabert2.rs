//! DNABERT-2 and its fine-tuned forms: `ALiBi`, norms after, GEGLU, one matrix for query, key and
//! value. Source: the published config and the state dict of its `bert_layers.py`.

use super::{Dialect, LayerPart, Part, auto_map_names, has_rows_for};
use crate::checkpoint::{CheckpointError, ConfigFile};
use crate::encoder::model::config::{Activation, EncoderConfig, NormPlacement, Positions, Problem};
use crate::encoder::model::keys::{Keys, Only};
use crate::tokenize::{BpeTokenizer, Tokenizer, TokenizerError};

pub(super) static DIALECT: Dialect = Dialect {
    family: "dnabert2",
    prefix: "bert.",
    classifier: "BertForSequenceClassification",
    keys: KEYS,
    recognises: |config, checkpoint| {
        auto_map_names(config, "bert_layers.")
            || (matches!(config.text("model_type"), None | Some("bert"))
                && checkpoint.tensors().any(|(name, _)| name.ends_with(".mlp.gated_layers.weight")))
    },
    config,
    tokenizer: byte_pairs,
    name,
    ignored: &["embeddings.position_ids", "embeddings.token_type_ids"],
};

/// `BertConfig` of DNABERT-2's code, which reads neither the position type nor whether it is a decoder.
const KEYS: Keys = Keys {
    used: &[
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "num_attention_heads",
        "num_hidden_layers",
        "tie_word_embeddings",
        "type_vocab_size",
        "vocab_size",
    ],
    harmless: &[
        "add_cross_attention",
        // The first size of a table that grows.
        "alibi_starting_size",
        "is_decoder",
        "mask_token_id",
        "max_position_embeddings",
        // The embedding's row of it is not used; nothing is padded.
        "pad_token_id",
        "position_embedding_type",
    ],
    only: &[("hidden_act", Only::Text("gelu"))],
};

fn config(file: &ConfigFile) -> Result<EncoderConfig, CheckpointError> {
    let sizes = file.sizes()?;
    Ok(EncoderConfig {
        vocabulary: sizes.vocabulary,
        hidden: sizes.hidden,
        layers: sizes.layers,
        heads: sizes.heads,
        feed_forward: sizes.feed_forward,
        layer_norm_eps: sizes.layer_norm_eps,
        norm: NormPlacement::Post,
        // `position_embedding_type` says "absolute" and is not read by the reference either.
        positions: Positions::Alibi,
        activation: Activation::GeGlu,
        input_bias: false,
        output_bias: true,
        fused_attention: true,
        token_types: file.count("type_vocab_size", 1024)?,
        embedding_norm: true,
        final_norm: false,
        token_dropout: None,
        mask_token: None,
        tied_decoder: file.flag("tie_word_embeddings", true)?,
        max_tokens: None,
        multi_label: file.problem()? == Problem::Labels,
    })
}

/// The byte-pair tokenizer of a directory, which needs a row for each of its tokens.
pub(super) fn byte_pairs(
    directory: &std::path::Path,
    config: &EncoderConfig,
) -> Result<Tokenizer, TokenizerError> {
    let file = directory.join("tokenizer.json");
    let tokenizer = Tokenizer::Bpe(Box::new(BpeTokenizer::from_file(&file)?));
    let found = tokenizer.vocabulary_size();
    if !has_rows_for(config.vocabulary, found) {
        return Err(TokenizerError::WrongSize { file, expected: config.vocabulary, found });
    }
    Ok(tokenizer)
}

pub(super) fn name(part: Part) -> &'static str {
    match part {
        Part::WordEmbedding => "embeddings.word_embeddings",
        Part::PositionEmbedding => "embeddings.position_embeddings",
        Part::TokenTypeEmbedding => "embeddings.token_type_embeddings",
        Part::EmbeddingNorm => "embeddings.LayerNorm",
        Part::FinalNorm => "encoder.LayerNorm",
        Part::MaskedDense => "cls.predictions.transform.dense",
        Part::MaskedNorm => "cls.predictions.transform.LayerNorm",
        Part::MaskedDecoder => "cls.predictions.decoder",
        Part::MaskedBias => "cls.predictions.decoder.bias",
        Part::ClassDense => "pooler.dense",
        Part::ClassOutput => "classifier",
        Part::Layer(part) => match part {
            LayerPart::Query => "encoder.layer.{}.attention.self.query",
            LayerPart::Key => "encoder.layer.{}.attention.self.key",
            LayerPart::Value => "encoder.layer.{}.attention.self.value",
            LayerPart::Fused => "encoder.layer.{}.attention.self.Wqkv",
            LayerPart::AttentionOutput => "encoder.layer.{}.attention.output.dense",
            LayerPart::AttentionNorm => "encoder.layer.{}.attention.output.LayerNorm",
            LayerPart::FeedForwardInput => "encoder.layer.{}.mlp.gated_layers",
            LayerPart::FeedForwardOutput => "encoder.layer.{}.mlp.wo",
            LayerPart::FeedForwardNorm => "encoder.layer.{}.mlp.layernorm",
        },
    }
}
