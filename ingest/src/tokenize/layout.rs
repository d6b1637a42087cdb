//! The files of a byte-pair tokenizer as DNABERT-2 publishes them.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The special tokens; their ids are their places.
pub(crate) const SPECIAL: [&str; 5] = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"];
/// The bases, which follow them.
pub(crate) const BASES: [&str; 4] = ["A", "C", "G", "T"];

#[derive(Serialize)]
struct TokenizerFile<'a> {
    version: &'static str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Value>,
    normalizer: (),
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: (),
    model: ModelPart<'a>,
}

#[derive(Serialize)]
struct ModelPart<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dropout: (),
    unk_token: &'static str,
    continuing_subword_prefix: (),
    end_of_word_suffix: (),
    fuse_unk: bool,
    byte_fallback: bool,
    #[serde(serialize_with = "by_id")]
    vocab: &'a [String],
    merges: Vec<String>,
}

/// An object of token and id, in the order of the ids.
fn by_id<S: Serializer>(tokens: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tokens.iter().zip(0_u32..))
}

/// Names of the files of [`byte_pair_files`].
pub(crate) const BYTE_PAIR_FILES: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];

/// The texts of [`BYTE_PAIR_FILES`]: [`SPECIAL`], [`BASES`] and what `merges` make of them are the `tokens`, and a
/// text is `[CLS]`, its tokens, `[SEP]`.
///
/// # Errors
/// When a token cannot be written as JSON.
pub(crate) fn byte_pair_files(
    tokens: &[String],
    merges: &[[String; 2]],
) -> Result<[String; 2], serde_json::Error> {
    let added = SPECIAL.iter().enumerate().map(|(id, content)| {
        json!({ "id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    });
    let token = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let sequence = |name: &str, kind: u32| json!({ "Sequence": { "id": name, "type_id": kind } });
    let file = TokenizerFile {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: added.collect(),
        normalizer: (),
        pre_tokenizer: json!({ "type": "Whitespace" }),
        post_processor: json!({
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), sequence("A", 0), token("[SEP]")],
            "pair": [token("[CLS]"), sequence("A", 0), token("[SEP]"), sequence("B", 0), token("[SEP]")],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [1], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [2], "tokens": ["[SEP]"] },
            },
        }),
        decoder: (),
        model: ModelPart {
            kind: "BPE",
            dropout: (),
            unk_token: SPECIAL[0],
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: false,
            byte_fallback: false,
            vocab: tokens,
            merges: merges.iter().map(|pair| pair.join(" ")).collect(),
        },
    };
    let [unknown, class, separator, padding, mask] = SPECIAL;
    let config = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": unknown, "cls_token": class,
                         "sep_token": separator, "pad_token": padding, "mask_token": mask });
    Ok([serde_json::to_string_pretty(&file)?, serde_json::to_string_pretty(&config)?])
}
