//! The keys of a family's config class, sorted: what a dialect reads, what cannot change an output, and what is
//! refused unless it is off or at its default.
//!
//! A key that stands in no table is one that the family's published code never reads, so it cannot change an
//! output and is ignored; unless its name is about what an encoder computes, because then code beside the
//! checkpoint (`auto_map`) may read it: such a key is refused unless it is off.

use serde_json::Value;

use crate::checkpoint::{CheckpointError, ConfigFile};

/// The only value of a key that is supported, beside a missing one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Only {
    /// `null`, `false`, 0 or an empty collection.
    Off,
    Text(&'static str),
    Number(i64),
}

/// The keys of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Read by the dialect, which checks their values.
    pub(crate) used: &'static [&'static str],
    /// Read by the published code, and without influence on an output of the model.
    pub(crate) harmless: &'static [&'static str],
    /// With influence, and supported with one value alone.
    pub(crate) only: &'static [(&'static str, Only)],
}

/// Keys of transformers' `PretrainedConfig`, of every family: names, training, generation, how much is returned,
/// which kernel runs.
const COMMON: &[&str] = &[
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cls_token_id",
    "cross_attention_hidden_size",
    "custom_pipelines",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "id2label",
    "initializer_range",
    "label2id",
    "length_penalty",
    "license",
    "max_length",
    "max_new_tokens",
    "min_length",
    "model_type",
    "name_or_path",
    "no_repeat_ngram_size",
    "note",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    "problem_type",
    "summary_activation",
    "summary_use_proj",
    "is_composition",
    "low_cpu_mem_usage",
];

/// Keys of `PretrainedConfig` that make another model of any family.
const COMMON_ONLY: &[(&str, Only)] =
    &[("is_encoder_decoder", Only::Off), ("pruned_heads", Only::Off), ("quantization_config", Only::Off)];

/// Parts of names that are about what an encoder computes.
const TELLING: &[&str] = &[
    "activation",
    "alibi",
    "bias",
    "causal",
    "clip",
    "decoder",
    "expert",
    "glu",
    "hidden_act",
    "norm",
    "position",
    "prun",
    "quant",
    "residual",
    "rope",
    "rotary",
    "scale",
    "scaling",
    "softmax",
    "temperature",
    "window",
];

/// Parts of names that are about training or about kernels, whatever else they say.
const IDLE: &[&str] = &["dropout", "flash", "implementation", "initializer", "kernel", "lora"];

impl Keys {
    /// Checks every key of a configuration.
    pub(crate) fn check(&self, file: &ConfigFile) -> Result<(), CheckpointError> {
        for (key, value) in file.fields() {
            let key = key.as_str();
            let only = self.only.iter().chain(COMMON_ONLY).find(|(name, _)| *name == key);
            if let Some((_, only)) = only {
                if !(value.is_null() || only.allows(value)) {
                    return Err(file.unsupported(key, only.expected()));
                }
                continue;
            }
            let known = [self.used, self.harmless, COMMON].iter().any(|keys| keys.contains(&key));
            let named = |parts: &[&str]| parts.iter().any(|part| key.contains(part));
            if !known && named(TELLING) && !named(IDLE) && !is_off(value) {
                return Err(file.unsupported(
                    key,
                    "nothing: the key is unknown and may change what the model computes; remove it if it does not",
                ));
            }
        }
        Ok(())
    }
}

impl Only {
    fn allows(self, value: &Value) -> bool {
        match self {
            Self::Off => is_off(value),
            Self::Text(text) => value.as_str() == Some(text),
            Self::Number(number) => value.as_i64() == Some(number),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Off => "it to be off; a model that uses it is not supported".to_owned(),
            Self::Text(text) => format!("`{text}`"),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Whether a value of a switch is off: `null`, `false`, 0 or empty.
pub(crate) fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}
