//! Nucleotide Transformer v1 (`EsmForMaskedLM`: learned positions, GELU) and v2 (rotary positions,
//! `SwiGLU` without bias). Source: the published configs and the state dicts of transformers' ESM.

use super::{Dialect, LayerPart, Part, auto_map_names, has_rows_for};
use crate::checkpoint::{CheckpointError, ConfigFile};
use crate::encoder::model::config::{Activation, EncoderConfig, NormPlacement, Positions, Problem};
use crate::encoder::model::keys::{Keys, Only};
use crate::tokenize::{BaseTokenizer, KmerTokenizer, SpecialOrder, Tokenizer, TokenizerError, has_file};

pub(super) static DIALECT: Dialect = Dialect {
    family: "nucleotide-transformer",
    prefix: "esm.",
    classifier: "EsmForSequenceClassification",
    keys: KEYS,
    recognises: |config, _| {
        config.text("model_type") == Some("esm") || auto_map_names(config, "modeling_esm.")
    },
    config,
    tokenizer,
    name,
    // The contact head and the pooler serve no score; rotary tables are computed; a rotary model's
    // file still carries a position table.
    ignored: &[
        "contact_head.regression.weight",
        "contact_head.regression.bias",
        "embeddings.position_ids",
        "rotary_embeddings.inv_freq",
        "pooler.dense.weight",
        "pooler.dense.bias",
    ],
};

/// transformers' `EsmConfig` (4.57 and 5) and that of Nucleotide Transformer v2.
const KEYS: Keys = Keys {
    used: &[
        "add_bias_fnn",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "partial_rotary_factor",
        "position_embedding_type",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "tie_word_embeddings",
        "token_dropout",
        "vocab_size",
    ],
    // The activation is GELU whatever `hidden_act` says; the last two are for protein folding.
    harmless: &["hidden_act", "esmfold_config", "vocab_list"],
    only: &[
        ("add_cross_attention", Only::Off),
        ("emb_layer_norm_before", Only::Off),
        // Every token would see only those before it.
        ("is_decoder", Only::Off),
        ("is_folding_model", Only::Off),
        ("mask_token_id", Only::Number(2)),
        ("pad_token_id", Only::Number(1)),
        ("rescaling_factor", Only::Off),
    ],
};

fn config(file: &ConfigFile) -> Result<EncoderConfig, CheckpointError> {
    let sizes = file.sizes()?;
    // Only v2's own code has the key, and all of it is gated.
    let gated = file.get("add_bias_fnn").is_some() || auto_map_names(file, "modeling_esm.");
    let bias = !gated || file.flag("add_bias_fnn", true)?;
    let rows = file.count("max_position_embeddings", 1 << 24)?;
    let positions = match file.text("position_embedding_type") {
        None | Some("absolute") => Positions::Learned { rows, first: 2 },
        Some("rotary") => {
            if !(sizes.hidden / sizes.heads).is_multiple_of(2) {
                return Err(
                    file.unsupported("num_attention_heads", "heads of even length, for rotary positions")
                );
            }
            Positions::Rotary { base: file.rotary_base()? }
        }
        Some(_) => return Err(file.unsupported("position_embedding_type", "`absolute` or `rotary`")),
    };
    if rows < 3 {
        return Err(file.unsupported("max_position_embeddings", "at least 3"));
    }
    Ok(EncoderConfig {
        vocabulary: sizes.vocabulary,
        hidden: sizes.hidden,
        layers: sizes.layers,
        heads: sizes.heads,
        feed_forward: sizes.feed_forward,
        layer_norm_eps: sizes.layer_norm_eps,
        norm: NormPlacement::Pre,
        positions,
        activation: if gated { Activation::SwiGlu } else { Activation::Gelu },
        input_bias: bias,
        output_bias: bias,
        fused_attention: false,
        token_types: 0,
        embedding_norm: false,
        final_norm: true,
        token_dropout: file.flag("token_dropout", false)?.then_some(1.0 - 0.15 * 0.8),
        mask_token: Some(2),
        tied_decoder: file.flag("tie_word_embeddings", true)?,
        max_tokens: Some(rows - 2),
        multi_label: file.problem()? == Problem::Labels,
    })
}

fn tokenizer(directory: &std::path::Path, config: &EncoderConfig) -> Result<Tokenizer, TokenizerError> {
    let order = match config.positions {
        Positions::Learned { .. } => SpecialOrder::Last,
        Positions::Rotary { .. } | Positions::Alibi => SpecialOrder::First,
    };
    let vocabulary = directory.join("vocab.txt");
    if let Some(tokenizer) = BaseTokenizer::of_vocabulary(&vocabulary)? {
        let tokenizer = Tokenizer::Base(tokenizer);
        let found = tokenizer.vocabulary_size();
        if !has_rows_for(config.vocabulary, found) {
            return Err(TokenizerError::WrongSize { file: vocabulary, expected: config.vocabulary, found });
        }
        return Ok(tokenizer);
    }
    let (file, made) = if has_file(&vocabulary)? {
        (vocabulary.clone(), Some(KmerTokenizer::from_vocabulary(&vocabulary)?))
    } else {
        // The longest words that leave no more rows than padding does.
        let padded = || {
            let mut lengths = (1..=10).rev().filter_map(|length| KmerTokenizer::new(length, order));
            lengths
                .find(|made| has_rows_for(config.vocabulary, Tokenizer::Kmer(made.clone()).vocabulary_size()))
        };
        let exact = KmerTokenizer::of_rows(config.vocabulary, order);
        (directory.join("config.json"), exact.or_else(padded))
    };
    let Some(made) = made else {
        let reason = format!("no k-mer vocabulary has {} tokens; add vocab.txt", config.vocabulary);
        return Err(TokenizerError::Malformed { file, reason });
    };
    let tokenizer = Tokenizer::Kmer(made);
    let found = tokenizer.vocabulary_size();
    // v1 checkpoints may carry two more rows, for `<eos>` and `<bos>`, which are never used.
    let with_ends = order == SpecialOrder::Last && found + 2 == config.vocabulary;
    if !with_ends && !has_rows_for(config.vocabulary, found) {
        return Err(TokenizerError::WrongSize { file, expected: config.vocabulary, found });
    }
    Ok(tokenizer)
}

fn name(part: Part) -> &'static str {
    match part {
        Part::WordEmbedding => "embeddings.word_embeddings",
        Part::PositionEmbedding => "embeddings.position_embeddings",
        Part::TokenTypeEmbedding => "embeddings.token_type_embeddings",
        Part::EmbeddingNorm => "embeddings.layer_norm",
        Part::FinalNorm => "encoder.emb_layer_norm_after",
        Part::MaskedDense => "lm_head.dense",
        Part::MaskedNorm => "lm_head.layer_norm",
        Part::MaskedDecoder => "lm_head.decoder",
        Part::MaskedBias => "lm_head.bias",
        Part::ClassDense => "classifier.dense",
        Part::ClassOutput => "classifier.out_proj",
        Part::Layer(part) => match part {
            LayerPart::Query => "encoder.layer.{}.attention.self.query",
            LayerPart::Key => "encoder.layer.{}.attention.self.key",
            LayerPart::Value => "encoder.layer.{}.attention.self.value",
            LayerPart::Fused => "encoder.layer.{}.attention.self.Wqkv",
            LayerPart::AttentionOutput => "encoder.layer.{}.attention.output.dense",
            LayerPart::AttentionNorm => "encoder.layer.{}.attention.LayerNorm",
            LayerPart::FeedForwardInput => "encoder.layer.{}.intermediate.dense",
            LayerPart::FeedForwardOutput => "encoder.layer.{}.output.dense",
            LayerPart::FeedForwardNorm => "encoder.layer.{}.LayerNorm",
        },
    }
}
