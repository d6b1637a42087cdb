//! Byte-pair encoding from a `tokenizer.json`, as DNABERT-2 reads DNA.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer as Encoder;

use super::guard::guarded;
use super::{TokenizerError, Tokens, bounds};
use crate::checkpoint::read_text;
use crate::convert::{as_index, narrow};
use crate::random::Random;

/// Windows that every tokenizer is tried on when it is read.
const TRIED: [usize; 4] = [8, 64, 512, 4096];

/// Most tokens that a base may become; one, where the rules are honest.
const MOST_TOKENS_PER_BASE: usize = 4;

/// A byte-pair encoder with the file's own rules, less truncation and padding.
#[derive(Clone, Debug)]
pub struct BpeTokenizer {
    file: PathBuf,
    encoder: Encoder,
    mask: Option<i64>,
    size: u32,
    identity: Value,
}

impl BpeTokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// When the file is unreadable, no byte-pair encoding, or drops merges at random.
    pub fn from_file(file: &Path) -> Result<Self, TokenizerError> {
        let malformed = |reason: String| TokenizerError::Malformed { file: file.to_owned(), reason };
        let text = read_text(file, bounds::MOST_BYTES)
            .map_err(|source| TokenizerError::Io { file: file.to_owned(), source })?;
        let json: Value = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        bounds::check(&json).map_err(malformed)?;
        let identity = identity(&json).map_err(|reason| malformed(reason.to_owned()))?;
        if let Some(reason) = json.get("post_processor").and_then(unusable) {
            return Err(malformed(reason));
        }
        let encoder = guarded(|| {
            let mut encoder = Encoder::from_bytes(&text)?;
            encoder.with_truncation(None)?;
            encoder.with_padding(None);
            Ok(encoder)
        });
        let encoder = encoder.map_err(malformed)?;
        let mask = encoder.token_to_id("[MASK]").or_else(|| encoder.token_to_id("<mask>")).map(i64::from);
        // The highest id decides which rows are needed; added tokens may lie beyond the count, and what frames a
        // window has ids of its own.
        let framed = guarded(|| encoder.encode("A", true)).map_err(malformed)?;
        let highest = encoder.get_vocab(true).into_values().chain(framed.get_ids().iter().copied()).max();
        let size = highest.map_or(0, |id| id.saturating_add(1));
        let tokenizer = Self { file: file.to_owned(), encoder, mask, size, identity };
        tokenizer.try_out().map_err(malformed)?;
        Ok(tokenizer)
    }

    /// Encodes seeded windows of growing length: a rule that fails, or makes much of little, shows here and not in
    /// the middle of a run.
    fn try_out(&self) -> Result<(), String> {
        let mut random = Random::new(0);
        for length in TRIED {
            let window: String = (0..length).map(|_| b"ACGT"[as_index(random.below(4))] as char).collect();
            for window in [window, "A".repeat(length)] {
                let tokens = guarded(|| self.encoder.encode(window.as_str(), true))?.len();
                if tokens > MOST_TOKENS_PER_BASE * length + bounds::MOST_FRAME {
                    return Err(format!("it makes {tokens} tokens of {length} bases"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self, window: &[u8]) -> Result<Tokens, TokenizerError> {
        let text = String::from_utf8_lossy(window);
        let encoding = guarded(|| self.encoder.encode(text.as_ref(), true))
            .map_err(|reason| TokenizerError::Encode { file: self.file.clone(), reason })?;
        let mut tokens = Tokens { ids: Vec::with_capacity(encoding.len()), spans: Vec::new() };
        let mut covered = 0;
        for ((id, offsets), special) in
            encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_special_tokens_mask())
        {
            tokens.ids.push(i64::from(*id));
            if *special == 1 {
                tokens.spans.push(0..0);
                continue;
            }
            let span = narrow(offsets.0)..narrow(offsets.1);
            if span.start != covered {
                return Err(TokenizerError::Uncovered { base: covered });
            }
            covered = span.end;
            tokens.spans.push(span);
        }
        if covered as usize != window.len() {
            return Err(TokenizerError::Uncovered { base: covered });
        }
        Ok(tokens)
    }

    pub(super) fn mask_id(&self) -> Option<i64> {
        self.mask
    }

    pub(super) fn words(&self) -> Vec<i64> {
        let bases = |word: &str| !word.is_empty() && word.bytes().all(|base| b"ACGT".contains(&base));
        let words = self.encoder.get_vocab(true).into_iter().filter(|(word, _)| bases(word));
        let mut words: Vec<i64> = words.map(|(_, id)| i64::from(id)).collect();
        words.sort_unstable();
        words
    }

    pub(super) fn vocabulary_size(&self) -> u32 {
        self.size
    }

    pub(super) fn identity(&self) -> &Value {
        &self.identity
    }
}

/// What of a `tokenizer.json` decides the tokens, spelled in one way: vocabulary by id, merges as
/// pairs, keys sorted, defaults filled in, truncation and padding left out.
fn identity(json: &Value) -> Result<Value, &'static str> {
    let model = json.get("model").and_then(Value::as_object).ok_or("no object `model`")?;
    if model.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "BPE") {
        return Err("its model is not a byte-pair encoding");
    }
    if model.get("dropout").and_then(Value::as_f64).is_some_and(|dropout| dropout > 0.0) {
        return Err("it drops merges at random; set `dropout` to null");
    }
    let words = model.get("vocab").and_then(Value::as_object).ok_or("no object `vocab`")?;
    let mut vocabulary: Vec<(u64, &str)> = Vec::with_capacity(words.len());
    for (word, id) in words {
        vocabulary.push((id.as_u64().ok_or("a token's id is not a number")?, word));
    }
    vocabulary.sort_unstable();
    let mut merges = Vec::new();
    for merge in model.get("merges").and_then(Value::as_array).ok_or("no array `merges`")? {
        let pair = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(pair) => match pair.as_slice() {
                [left, right] => left.as_str().zip(right.as_str()),
                _ => None,
            },
            _ => None,
        };
        let (left, right) = pair.ok_or("a merge is not a pair")?;
        merges.push(json!([left, right]));
    }
    let flag = |key: &str| model.get(key).and_then(Value::as_bool).unwrap_or(false);
    let part = |key: &str| model.get(key).cloned().unwrap_or(Value::Null);
    let whole = |key: &str| json.get(key).cloned().unwrap_or(Value::Null);
    let mut added: Vec<Value> = whole("added_tokens").as_array().cloned().unwrap_or_default();
    added.sort_by_key(|token| token.get("id").and_then(Value::as_u64));
    Ok(sorted(json!({
        "kind": "bpe",
        "vocabulary": vocabulary,
        "merges": merges,
        "unknown": part("unk_token"),
        "prefix": part("continuing_subword_prefix"),
        "suffix": part("end_of_word_suffix"),
        "fuse_unknown": flag("fuse_unk"),
        "byte_fallback": flag("byte_fallback"),
        "ignore_merges": flag("ignore_merges"),
        "added": added,
        "normalizer": whole("normalizer"),
        "pre_tokenizer": whole("pre_tokenizer"),
        "post_processor": whole("post_processor"),
    })))
}

/// What of a template the library would panic over: a special token that nobody declares, a second sequence where
/// there is one.
fn unusable(processor: &Value) -> Option<String> {
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(reason) = list(processor, "processors").iter().find_map(unusable) {
        return Some(reason);
    }
    let declared = processor.get("special_tokens").and_then(Value::as_object);
    let id = |piece: &Value, kind: &str| Some(piece.get(kind)?.get("id")?.as_str()?.to_owned());
    let (single, pair) = (list(processor, "single"), list(processor, "pair"));
    let mut added = single.iter().chain(&pair).filter_map(|piece| id(piece, "SpecialToken"));
    if let Some(name) = added.find(|name| declared.is_none_or(|declared| !declared.contains_key(name))) {
        return Some(format!("its post-processor adds `{name}`, which its `special_tokens` lack"));
    }
    let second = single.iter().any(|piece| id(piece, "Sequence").is_some_and(|sequence| sequence != "A"));
    second.then(|| "its post-processor wants a second sequence where there is one".to_owned())
}

/// The value with the keys of all its objects in order, whatever map the JSON library was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(String, Value)> = object.into_iter().collect();
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(merges: &Value) -> Value {
        json!({
            "version": "1.0", "truncation": { "max_length": 3, "stride": 0, "strategy": "LongestFirst", "direction": "Right" },
            "padding": null,
            "added_tokens": [{ "id": 0, "content": "[UNK]", "special": true, "single_word": false,
                               "lstrip": false, "rstrip": false, "normalized": false }],
            "normalizer": null, "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
            "model": { "type": "BPE", "unk_token": "[UNK]", "fuse_unk": false,
                       "vocab": { "[UNK]": 0, "A": 1, "C": 2, "G": 3, "T": 4, "AC": 5, "ACG": 6 }, "merges": merges }
        })
    }

    fn load(json: &Value) -> BpeTokenizer {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("tokenizer.json");
        std::fs::write(&file, json.to_string()).expect("written");
        BpeTokenizer::from_file(&file).expect("a tokenizer")
    }

    #[test]
    fn every_base_is_covered_whatever_the_file_truncates() {
        let tokens = load(&tiny(&json!(["A C", "AC G"]))).encode(b"TACGNNACA").expect("tokens");
        assert_eq!(tokens.ids, [4, 6, 0, 0, 5, 1]);
        assert_eq!(tokens.spans, [0..1, 1..4, 4..5, 5..6, 6..8, 8..9]);
    }

    #[test]
    fn a_template_that_cannot_be_filled_is_refused() {
        let mut json = tiny(&json!(["A C"]));
        let piece = json!({ "SpecialToken": { "id": "[CLS]", "type_id": 0 } });
        let template =
            json!({ "type": "TemplateProcessing", "single": [piece], "pair": [], "special_tokens": {} });
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("tokenizer.json");
        for processor in [template.clone(), json!({ "type": "Sequence", "processors": [template] })] {
            json["post_processor"] = processor;
            std::fs::write(&file, json.to_string()).expect("written");
            let error = BpeTokenizer::from_file(&file).expect_err("undeclared").to_string();
            assert!(error.contains("adds `[CLS]`") && error.contains("tokenizer.json"), "{error}");
        }
        let second = json!({ "Sequence": { "id": "B", "type_id": 0 } });
        json["post_processor"] =
            json!({ "type": "TemplateProcessing", "single": [second], "pair": [], "special_tokens": {} });
        std::fs::write(&file, json.to_string()).expect("written");
        let error = BpeTokenizer::from_file(&file).expect_err("a second sequence").to_string();
        assert!(error.contains("wants a second sequence"), "{error}");
    }

    #[test]
    fn spelling_is_no_part_of_the_identity() {
        let strings = load(&tiny(&json!(["A C", "AC G"])));
        let pairs = load(&tiny(&json!([["A", "C"], ["AC", "G"]])));
        assert_eq!(strings.identity(), pairs.identity());
        assert_ne!(strings.identity(), load(&tiny(&json!(["A C"]))).identity());
    }
}
