//! Which modules an adapter's configuration names, by PEFT's rules: a list matches ends of names, a
//! string is a regular expression over whole names.

use regex::Regex;
use serde_json::Value;

use super::{AdapterError, Base, Family};
use crate::checkpoint::{CheckpointError, ConfigFile};
use crate::convert::narrow;
use crate::error::ModelError;
use crate::module::Module;

/// A module that the configuration targets.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name in the checkpoint, without prefix.
    pub(super) module: String,
    /// Name as the training program saw it, which patterns match.
    pub(super) seen: String,
    pub(super) shape: Module,
    /// Part of a head, which an adapter may leave out.
    pub(super) optional: bool,
}

/// A rule that matches names.
pub(super) enum Names {
    Ends(Vec<String>),
    Whole(Regex),
    AllLinear,
}

impl Names {
    /// The rule under `key`; `None` when there is none.
    pub(super) fn read(config: &ConfigFile, key: &'static str) -> Result<Option<Self>, CheckpointError> {
        match config.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text == "all-linear" => Ok(Some(Self::AllLinear)),
            Some(Value::String(text)) => {
                whole(text).map(|pattern| Some(Self::Whole(pattern))).ok_or_else(|| {
                    config.unsupported(key, "a regular expression without look-around, or a list")
                })
            }
            Some(_) => Ok(Some(Self::Ends(names(config, key)?))),
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Ends(ends) => ends.iter().any(|end| {
                name.strip_suffix(end.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }),
            Self::Whole(pattern) => pattern.is_match(name),
            Self::AllLinear => true,
        }
    }
}

fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

/// The list of names under `key`; empty when there is none.
pub(super) fn names(config: &ConfigFile, key: &'static str) -> Result<Vec<String>, CheckpointError> {
    let expected = || config.unsupported(key, "a list of module names");
    match config.get(key) {
        None => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(expected)).collect()
        }
        Some(_) => Err(expected()),
    }
}

/// The targeting fields of a configuration.
pub(super) struct Targets {
    names: Names,
    excluded: Option<Names>,
    layers: Option<Vec<u64>>,
}

impl Targets {
    pub(super) fn read(config: &ConfigFile) -> Result<Self, CheckpointError> {
        let names = Names::read(config, "target_modules")?
            .ok_or_else(|| config.unsupported("target_modules", "the modules that were trained"))?;
        let expected = || config.unsupported("layers_to_transform", "a layer number or a list of them");
        let layers = match config.get("layers_to_transform") {
            None => None,
            Some(Value::Array(values)) => {
                let layers = values.iter().map(|value| value.as_u64().ok_or_else(expected));
                Some(layers.collect::<Result<Vec<_>, _>>()?).filter(|layers| !layers.is_empty())
            }
            Some(value) => Some(vec![value.as_u64().ok_or_else(expected)?]),
        };
        // Our families have one list of layers, `layer`.
        let patterns = self::names(config, "layers_pattern")?;
        if layers.is_some() && !patterns.is_empty() && patterns != ["layer"] {
            return Err(config.unsupported("layers_pattern", "`layer`"));
        }
        Ok(Self { names, excluded: Names::read(config, "exclude_modules")?, layers })
    }

    /// The targeted modules of the model. `kept` numbers the layers as the adapter does.
    pub(super) fn modules(
        &self,
        config: &ConfigFile,
        base: &Base<'_>,
        prefixed: bool,
        kept: Option<&[u32]>,
    ) -> Result<Vec<Target>, ModelError> {
        let family = &base.family;
        if self.layers.is_some() && matches!(family, Family::Regulatory(_)) {
            let expected = "null for a regulatory model, whose layers target_modules can name";
            return Err(config.unsupported("layers_to_transform", expected).into());
        }
        let stack = family.stack();
        let mut targets = Vec::new();
        for (module, shape) in base.modules {
            if matches!(shape, Module::Norm { .. }) {
                continue;
            }
            let layer = match (stack.layer_of(module), kept) {
                (Some(layer), Some(kept)) => match kept.iter().position(|number| *number == layer) {
                    Some(place) => Some(narrow(place)),
                    None => continue,
                },
                (layer, _) => layer,
            };
            let prefix = if prefixed && family.is_prefixed(module) { family.prefix() } else { "" };
            let seen = format!(
                "{prefix}{}",
                layer.map_or_else(|| module.clone(), |layer| stack.with_layer(module, layer))
            );
            let chosen = match &self.names {
                // Heads are targets too, where the file has their tensors.
                Names::AllLinear => matches!(shape, Module::Linear { .. }),
                names => names.matches(&seen),
            };
            let listed = self
                .layers
                .as_ref()
                .is_none_or(|layers| layer.is_some_and(|layer| layers.contains(&u64::from(layer))));
            let excluded = self.excluded.as_ref().is_some_and(|names| names.matches(&seen));
            if chosen && listed && !excluded {
                let optional = family.is_optional(module);
                targets.push(Target { module: module.clone(), seen, shape: *shape, optional });
            }
        }
        if !targets.is_empty() {
            return Ok(targets);
        }
        let shown = config.get("target_modules").map_or(String::new(), ToString::to_string);
        let linear = base.modules.iter().filter(|(_, module)| matches!(module, Module::Linear { .. }));
        let mut modules: Vec<String> = linear
            .filter(|(name, _)| stack.layer_of(name) == Some(0))
            .map(|(name, _)| name.replace(&stack.part(0, ""), ""))
            .collect();
        modules.sort_unstable();
        Err(AdapterError::NoTarget { file: config.path().to_owned(), targets: shown, modules }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_match_ends_and_patterns_match_whole_names() {
        let name = "bert.encoder.layer.0.attention.self.Wqkv";
        let ends = |end: &str| Names::Ends(vec![end.to_owned()]).matches(name);
        assert!(ends("Wqkv") && ends("self.Wqkv") && ends(name));
        assert!(!ends("qkv") && !ends("attention"));
        let pattern = |text| Names::Whole(whole(text).expect("a pattern")).matches(name);
        assert!(pattern(r".*\.Wqkv") && pattern(r"Wo|.*Wqkv"));
        assert!(!pattern("Wqkv") && !pattern("bert"));
    }
}
