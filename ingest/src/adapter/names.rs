//! Names of an adapter's tensors: as PEFT writes them, and as they stand in the state dict of a model under training.

use std::collections::BTreeSet;

use super::Family;
use crate::checkpoint::{current, without_compiled};

/// The parts of a module that PEFT adds; in a state dict the adapter's name follows.
const PARTS: [&str; 10] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "ia3_l",
    "vera_A",
    "vera_B",
    "vera_lambda_b",
    "vera_lambda_d",
];

/// Without PEFT's, the family's and wrappers' prefixes.
pub(super) fn plain(name: &str, family: &Family<'_>) -> String {
    let name = without_compiled(name);
    let mut name = name.as_str();
    for wrapper in ["module.", "base_model.", "model.", "module."] {
        name = name.strip_prefix(wrapper).unwrap_or(name);
    }
    current(&unnamed(&family.bare(name).replace(".base_layer.", ".")).0)
}

/// Without the name of the adapter, and that name.
pub(super) fn unnamed(name: &str) -> (String, Option<&str>) {
    let parts: Vec<&str> = name.split('.').collect();
    let at = parts.iter().position(|part| PARTS.contains(part) || *part == "modules_to_save");
    let Some(at) = at else { return (name.to_owned(), None) };
    let (saved, magnitude) = (parts[at] == "modules_to_save", parts[at] == "lora_magnitude_vector");
    let rest = &parts[at + 1..];
    let owner = rest.first().copied().filter(|part| saved || !["weight", "bias"].contains(part));
    let rest = &rest[usize::from(owner.is_some())..];
    // The lengths of `DoRA` are a module of one weight while it is trained.
    let rest = if magnitude && rest == ["weight"] { &[] } else { rest };
    let kept = &parts[..if saved { at } else { at + 1 }];
    ([kept, rest].concat().join("."), owner)
}

/// The names of the adapters whose tensors have these names.
pub(super) fn owners<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.filter_map(|name| unnamed(name).1).map(str::to_owned).collect()
}

/// The module that a tensor of an adapter belongs to.
pub(super) fn module_of(key: &str) -> &str {
    let end = PARTS.iter().filter_map(|part| key.find(&format!(".{part}"))).min();
    end.map_or(key, |end| &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapters_name_is_left_out() {
        for (name, expected, owner) in [
            ("q.lora_A.weight", "q.lora_A.weight", None),
            ("q.lora_A.default.weight", "q.lora_A.weight", Some("default")),
            ("q.lora_B.mine.bias", "q.lora_B.bias", Some("mine")),
            ("e.lora_embedding_A.default", "e.lora_embedding_A", Some("default")),
            ("q.lora_magnitude_vector", "q.lora_magnitude_vector", None),
            ("q.lora_magnitude_vector.default.weight", "q.lora_magnitude_vector", Some("default")),
            ("q.ia3_l.default", "q.ia3_l", Some("default")),
            ("classifier.modules_to_save.default.dense.bias", "classifier.dense.bias", Some("default")),
            ("classifier.dense.bias", "classifier.dense.bias", None),
        ] {
            assert_eq!(unnamed(name), (expected.to_owned(), owner), "{name}");
        }
        assert_eq!(module_of("contact_head.regression.lora_A.weight"), "contact_head.regression");
    }
}
