//! What a model version is: a digest over everything that decides its numbers, and nothing else. The
//! same weights as `.bin`, as one safetensors file or as shards are one model.

use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::checkpoint::CheckpointError;
use super::source::{Found, Opened};

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// The digests of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Over the checkpoint's used weights.
    pub(crate) weights: Hash,
    /// Over vocabulary and rules.
    pub(crate) tokenizer: Hash,
    /// Over the adapter's changes and tensors.
    pub(crate) adapter: Option<Hash>,
    /// Over all of these, the encoder's options and the kept layers.
    pub(crate) model: Hash,
}

impl Identity {
    pub(crate) fn of(opened: &Opened, config: &Value) -> Result<Self, CheckpointError> {
        let names: Vec<&String> = opened.used.keys().collect();
        let lines: Vec<String> = names
            .into_par_iter()
            .filter_map(|name| opened.stored(name).map(|found| tensor_line(name, &found)))
            .collect::<Result<_, _>>()?;
        let weights = digest(lines.concat().as_bytes());
        let tokenizer = digest(canonical(&opened.tokenizer.identity()).as_bytes());
        let adapter = match &opened.adapter {
            Some(adapter) => Some(digest(canonical(&adapter.identity()?).as_bytes())),
            None => None,
        };
        let model = digest(
            canonical(&json!({
                "format": "vestore-model-1",
                "family": opened.dialect.family,
                "encoder": config,
                "weights": hexadecimal(&weights),
                "tokenizer": hexadecimal(&tokenizer),
                "kept_layers": opened.kept,
                "adapter": adapter.map(|hash| hexadecimal(&hash)),
            }))
            .as_bytes(),
        );
        Ok(Self { weights, tokenizer, adapter, model })
    }
}

/// One tensor in a digest: name, number type, shape, and the digest of its numbers in row-major order.
pub(crate) fn tensor_line(name: &str, found: &Found<'_>) -> Result<String, CheckpointError> {
    let bytes = hexadecimal(&found.digest()?);
    Ok(format!("{name} {} {:?} {bytes}\n", found.dtype.name(), found.shape))
}

pub(crate) fn digest(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(hash: &[u8]) -> String {
    use std::fmt::Write;
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// JSON with sorted keys and no spaces, whatever map the JSON library was built with.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(&String, &Value)> = object.iter().collect();
            pairs.sort_unstable_by_key(|(key, _)| *key);
            let pairs: Vec<String> = pairs
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(canonical).collect();
            format!("[{}]", values.join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_sorts_keys_at_every_depth() {
        let value = json!({ "b": [1, { "z": null, "a": "é\"" }], "a": 0.5 });
        assert_eq!(canonical(&value), r#"{"a":0.5,"b":[1,{"a":"é\"","z":null}]}"#);
    }

    #[test]
    fn digests_are_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal(&digest(b"abc")), expected);
    }
}
