//! What a `tokenizer.json` can make of a window at most, read from its rules before any of them is run: a file of a
//! few hundred bytes must not unfold into gigabytes.

use serde_json::Value;

/// Most bytes of a tokenizer's file. Published ones take 0.2 to 20 MB.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// Most tokens of a vocabulary, and most merges.
const MOST_TOKENS: usize = 1 << 20;

/// Most tokens beside the vocabulary, which are searched for one by one; published files have five.
const MOST_ADDED: usize = 4096;

/// Longest token that is added.
const LONGEST_ADDED: usize = 4096;

/// Most rules of a kind, nested ones counted.
const MOST_RULES: usize = 64;

/// Most special tokens that frame a window.
pub(super) const MOST_FRAME: usize = 64;

/// Most bytes that a base may become.
const MOST_GROWTH: usize = 16;

/// Why the file is refused, if it is.
pub(super) fn check(json: &Value) -> Result<(), String> {
    let model = json.get("model").unwrap_or(&Value::Null);
    let vocabulary = model.get("vocab").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    let merges = list(model, "merges").len();
    if vocabulary.max(merges) > MOST_TOKENS {
        return Err(format!("it has {vocabulary} tokens and {merges} merges; at most {MOST_TOKENS} of each"));
    }
    let added = list(json, "added_tokens");
    if added.len() > MOST_ADDED {
        return Err(format!("it adds {} tokens to its vocabulary; at most {MOST_ADDED}", added.len()));
    }
    let content = |token: &Value| token.get("content").and_then(Value::as_str).map_or(0, str::len);
    if let Some(length) = added.iter().map(content).find(|length| *length > LONGEST_ADDED) {
        return Err(format!("it adds a token of {length} bytes; at most {LONGEST_ADDED}"));
    }
    for (key, parts) in
        [("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("post_processor", "processors")]
    {
        let rules = json.get(key).map_or(0, |rule| count(rule, parts));
        if rules > MOST_RULES {
            return Err(format!("its {key} has {rules} rules; at most {MOST_RULES}"));
        }
    }
    if json.get("normalizer").is_some_and(is_precompiled) {
        return Err("its normalizer is `Precompiled`, a table that claims its own size; tokenizers of DNA need none: \
                    remove it"
            .to_owned());
    }
    let growth = json.get("normalizer").map_or(1, growth);
    if growth > MOST_GROWTH {
        return Err(format!("its normalizer may make more than {MOST_GROWTH} letters of one"));
    }
    json.get("post_processor").map_or(Ok(()), frame)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How many rules a rule is made of.
fn count(rule: &Value, parts: &str) -> usize {
    1 + list(rule, parts).iter().map(|part| count(part, parts)).sum::<usize>()
}

/// Whether a rule, or one within it, is a table of which the first four bytes say how much memory is taken. The
/// library knows it by its key where it has no type.
fn is_precompiled(rule: &Value) -> bool {
    match rule {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|kind| kind == "Precompiled")
                || fields.contains_key("precompiled_charsmap")
                || fields.values().any(is_precompiled)
        }
        Value::Array(rules) => rules.iter().any(is_precompiled),
        _ => false,
    }
}

/// Most bytes that a normalizer makes of one.
fn growth(rule: &Value) -> usize {
    let length = |key: &str| rule.get(key).and_then(Value::as_str).map_or(0, str::len);
    let own = match rule.get("type").and_then(Value::as_str) {
        Some("Replace") => {
            let pattern = rule.get("pattern").and_then(|pattern| pattern.get("String"));
            match pattern.and_then(Value::as_str).map_or(0, str::len) {
                // A regular expression may match everywhere, and nothing.
                0 => 1 + length("content"),
                pattern => length("content").div_ceil(pattern).max(1),
            }
        }
        // It stands before every stretch between added tokens, of which there may be one a base.
        Some("Prepend") => 1 + length("prepend"),
        Some("ByteLevel") => 2,
        _ => 1,
    };
    let parts = list(rule, "normalizers").iter().map(growth);
    parts.fold(own, usize::saturating_mul)
}

/// Checks that what frames a window is short, and holds the window once.
fn frame(processor: &Value) -> Result<(), String> {
    list(processor, "processors").iter().try_for_each(frame)?;
    let single = list(processor, "single");
    let windows = single.iter().filter(|piece| piece.get("Sequence").is_some()).count();
    if windows > 1 {
        return Err(format!("its post-processor repeats a window {windows} times"));
    }
    let special = processor.get("special_tokens").and_then(Value::as_object);
    let longest =
        special.into_iter().flat_map(|special| special.values()).map(|token| list(token, "ids").len());
    let longest = longest.max().unwrap_or(0).max(1);
    if single.len().saturating_mul(longest) > MOST_FRAME {
        return Err(format!("its post-processor frames a window by more than {MOST_FRAME} tokens"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replace(pattern: &Value, content: &str) -> Value {
        json!({ "type": "Replace", "pattern": pattern, "content": content })
    }

    #[test]
    fn growth_is_bounded_before_anything_is_run() {
        let double = replace(&json!({ "String": "A" }), "AA");
        let sequence =
            |parts: Vec<Value>| json!({ "normalizer": { "type": "Sequence", "normalizers": parts } });
        assert_eq!(check(&sequence(vec![double.clone(); 4])), Ok(()));
        for normalizers in [
            vec![double.clone(); 5],
            vec![json!({ "type": "Sequence", "normalizers": vec![double; 40] })],
            vec![replace(&json!({ "String": "A" }), &"A".repeat(17))],
            vec![replace(&json!({ "Regex": "x*" }), &"A".repeat(16))],
            vec![json!({ "type": "Prepend", "prepend": "A".repeat(100) })],
        ] {
            let refused = check(&sequence(normalizers)).expect_err("a bomb");
            assert!(refused.contains("letters of one"), "{refused}");
        }
        // Shorter and as long is harmless, however often.
        let same = replace(&json!({ "String": "U" }), "T");
        assert_eq!(check(&sequence(vec![same.clone(); 60])), Ok(()));
        assert!(check(&sequence(vec![same; 64])).expect_err("too many").contains("65 rules"));
    }

    /// The table claims 4 GB of 4 bytes each in its first four bytes.
    #[test]
    fn tables_that_claim_their_size_are_refused() {
        let table = json!({ "type": "Precompiled", "precompiled_charsmap": "AAAAgA==" });
        let untyped = json!({ "precompiled_charsmap": "AAAAgA==" });
        let sequence = |rule: &Value| json!({ "type": "Sequence", "normalizers": [rule] });
        for normalizer in [table.clone(), untyped.clone(), sequence(&table), sequence(&sequence(&untyped))] {
            let refused = check(&json!({ "normalizer": normalizer })).expect_err("a table");
            assert!(refused.contains("`Precompiled`"), "{refused}");
        }
        assert_eq!(check(&json!({ "normalizer": sequence(&json!({ "type": "NFC" })) })), Ok(()));
    }

    #[test]
    fn counts_and_frames_are_bounded() {
        let token = |number: usize| json!({ "id": number, "content": format!("<{number}>") });
        let added: Vec<Value> = (0..=MOST_ADDED).map(token).collect();
        assert!(check(&json!({ "added_tokens": added })).expect_err("many").contains("4097 tokens"));
        let long = json!({ "added_tokens": [{ "id": 1, "content": "A".repeat(5000) }] });
        assert!(check(&long).expect_err("long").contains("5000 bytes"));
        let window = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let twice = json!({ "type": "TemplateProcessing", "single": [window.clone(), window.clone()] });
        let nested = json!({ "post_processor": { "type": "Sequence", "processors": [twice] } });
        assert!(check(&nested).expect_err("doubled").contains("repeats a window 2 times"));
        let class = json!({ "SpecialToken": { "id": "[CLS]", "type_id": 0 } });
        let framed = |ids: usize| {
            json!({ "post_processor": { "single": [class, window],
            "special_tokens": { "[CLS]": { "id": "[CLS]", "ids": vec![1; ids] } } } })
        };
        assert_eq!(check(&framed(2)), Ok(()));
        assert!(check(&framed(33)).expect_err("a long frame").contains("more than 64 tokens"));
    }
}
