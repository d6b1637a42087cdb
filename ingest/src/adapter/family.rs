//! What an adapter's names, targets and saved weights depend on: the family of its base.

use std::collections::BTreeSet;

use vestore_schema::Head;

use crate::encoder::model::blueprint::{class_modules, decoder_parameters, masked_modules};
use crate::encoder::model::config::EncoderConfig;
use crate::encoder::model::dialect::{Dialect, Part};
use crate::module::Module;
use crate::regulatory::{RegulatoryConfig, head_name, is_ignored, plain_name};

/// The family of an adapter's base.
#[derive(Clone, Copy)]
pub(crate) enum Family<'a> {
    Encoder(&'static Dialect, &'a EncoderConfig),
    Regulatory(&'a RegulatoryConfig),
}

/// What stands before the number of a layer, in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stack(&'static str);

/// Layers of an encoder.
pub(super) const ENCODER: Stack = Stack("encoder.layer.");

/// Blocks of a regulatory model's transformer.
pub(super) const TRANSFORMER: Stack = Stack("transformer.");

impl Stack {
    /// The layer number in a name of the stack.
    pub(super) fn layer_of(self, name: &str) -> Option<u32> {
        name.strip_prefix(self.0)?.split('.').next()?.parse().ok()
    }

    /// The name with another layer number.
    pub(super) fn with_layer(self, name: &str, layer: u32) -> String {
        match name.strip_prefix(self.0).and_then(|rest| rest.split_once('.')) {
            Some((_, rest)) => format!("{}{layer}.{rest}", self.0),
            None => name.to_owned(),
        }
    }

    /// The name of a part of a layer.
    pub(super) fn part(self, layer: u32, part: &str) -> String {
        format!("{}{layer}.{part}", self.0)
    }
}

impl Family<'_> {
    pub(super) fn stack(&self) -> Stack {
        match self {
            Self::Encoder(..) => ENCODER,
            Self::Regulatory(_) => TRANSFORMER,
        }
    }

    /// Layers of the checkpoint, and the width of their stream.
    pub(super) fn layers(&self) -> (u32, u32) {
        match self {
            Self::Encoder(_, config) => (config.layers, config.hidden),
            Self::Regulatory(config) => (config.depth, config.hidden),
        }
    }

    /// What stands before names in checkpoints saved with a head.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Encoder(dialect, _) => dialect.prefix,
            Self::Regulatory(_) => "",
        }
    }

    /// A name as this program knows it.
    pub(super) fn bare(&self, name: &str) -> String {
        match self {
            Self::Encoder(dialect, _) => dialect.bare(name).to_owned(),
            Self::Regulatory(_) => plain_name(name),
        }
    }

    /// Whether a weight is known to be of no use.
    pub(super) fn ignores(&self, name: &str) -> bool {
        match self {
            Self::Encoder(dialect, _) => dialect.ignores(name),
            Self::Regulatory(config) => is_ignored(name) && !Self::is_head(config, name),
        }
    }

    /// Whether a module, which an adapter may have changed, is known to be of no use.
    pub(super) fn ignores_module(&self, module: &str) -> bool {
        match self {
            Self::Encoder(dialect, _) => dialect.ignores_module(module),
            Self::Regulatory(_) => false,
        }
    }

    /// Whether an adapter that targets the module may leave it out.
    pub(super) fn is_optional(&self, module: &str) -> bool {
        match self {
            Self::Encoder(..) => !["encoder.", "embeddings."].iter().any(|start| module.starts_with(start)),
            Self::Regulatory(config) => Self::is_head(config, &format!("{module}.")),
        }
    }

    /// Whether checkpoints saved with a head put the prefix before the module's name.
    pub(super) fn is_prefixed(&self, module: &str) -> bool {
        !self.is_optional(module) || module.starts_with("pooler.")
    }

    fn is_head(config: &RegulatoryConfig, name: &str) -> bool {
        Head::ALL.into_iter().any(|head| name.starts_with(&format!("{}.", head_name(config, head))))
    }

    /// What the names of a head's weights begin with: one may be new, or have other outputs than the checkpoint's.
    pub(super) fn heads(&self) -> Vec<String> {
        match self {
            Self::Encoder(dialect, _) => [Part::ClassDense, Part::ClassOutput]
                .map(|part| format!("{}.", dialect.name_of(part, 0)))
                .to_vec(),
            Self::Regulatory(config) => {
                Head::ALL.map(|head| format!("{}.", head_name(config, head))).to_vec()
            }
        }
    }

    /// The tables that PEFT saves beside any adapter when they were changed.
    pub(super) fn tables(&self) -> Vec<String> {
        match self {
            Self::Encoder(_, config) => {
                let [table, decoder] = self.table_and_decoder();
                if config.tied_decoder { vec![table] } else { vec![table, decoder] }
            }
            Self::Regulatory(_) => Vec::new(),
        }
    }

    /// The embedding table and the decoder, where they are one.
    pub(super) fn tied(&self) -> Option<[String; 2]> {
        match self {
            Self::Encoder(_, config) if config.tied_decoder => Some(self.table_and_decoder()),
            _ => None,
        }
    }

    fn table_and_decoder(&self) -> [String; 2] {
        let Self::Encoder(dialect, _) = self else { return [String::new(), String::new()] };
        [Part::WordEmbedding, Part::MaskedDecoder].map(|part| format!("{}.weight", dialect.name_of(part, 0)))
    }

    /// The weights that a trained copy of a module may hold, of those of the checkpoint and of heads; `kept` are the
    /// layers that were trained, and a model with a classification head has no other where it stands `alone`.
    pub(super) fn savable<'b>(
        &self,
        weights: impl Iterator<Item = &'b String>,
        kept: Option<&[u32]>,
        alone: bool,
    ) -> BTreeSet<String> {
        let stack = self.stack();
        let trained = |name: &&String| {
            let layer = stack.layer_of(name);
            kept.is_none_or(|kept| layer.is_none_or(|layer| kept.contains(&layer)))
        };
        let body = weights.filter(trained).cloned();
        let Self::Encoder(dialect, encoder) = self else { return body.collect() };
        let names = |modules: &mut dyn Iterator<Item = (&String, &Module)>| -> BTreeSet<String> {
            modules.flat_map(|(name, module)| module.parameters(name)).map(|(name, _)| name).collect()
        };
        let head = names(&mut class_modules(dialect, encoder).iter().map(|(name, module)| (name, module)));
        let mut other = names(&mut masked_modules(dialect, encoder).iter());
        other.extend(decoder_parameters(dialect, encoder).map(|(name, _)| name));
        body.filter(|name| !(alone && other.contains(name))).chain(head).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_renumbered_in_names() {
        assert_eq!(ENCODER.layer_of("encoder.layer.12.mlp.wo"), Some(12));
        assert_eq!(ENCODER.layer_of("classifier.dense"), None);
        assert_eq!(ENCODER.with_layer("encoder.layer.12.mlp.wo", 3), "encoder.layer.3.mlp.wo");
        assert_eq!(TRANSFORMER.with_layer("transformer.4.0.fn.1.to_q", 1), "transformer.1.0.fn.1.to_q");
    }
}
