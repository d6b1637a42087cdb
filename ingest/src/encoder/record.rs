//! What the catalog records of an encoder.

use vestore_schema::{Architecture, Digest, EncoderRecord, Model as ModelRecord};

use super::model::Description;

/// What the catalog records of a model called `name`, whose files lie in the folders `checkpoint` and
/// `adapter`: absolute paths. It has no parent.
#[must_use]
pub fn record_of(
    name: &str,
    description: Description,
    checkpoint: String,
    adapter: Option<String>,
) -> ModelRecord {
    ModelRecord {
        name: name.to_owned(),
        id: Digest::from(description.id),
        family: description.family.to_owned(),
        checkpoint,
        adapter,
        adapter_layers: None,
        copied: false,
        files: Vec::new(),
        parent: None,
        pruned_by: None,
        training: None,
        weights_digest: description.weights_digest.into(),
        adapter_digest: description.adapter_digest.map(Digest::from),
        adapter_kind: description.adapter_kind.map(str::to_owned),
        adapter_base: description.adapter_base,
        hub: None,
        adapter_hub: None,
        config: description.config,
        layers: description.layers_in_checkpoint,
        kept_layers: description.kept_layers,
        hidden: description.hidden,
        parameters: description.parameters,
        weight_bytes: description.weight_bytes,
        architecture: Architecture::Encoder(EncoderRecord {
            tokenizer_digest: description.tokenizer_digest.into(),
            masked_lm: description.has_masked_lm,
            labels: description.labels,
            tokenizer: description.tokenizer_kind,
            max_tokens: description.max_tokens,
        }),
        license: description.license,
        note: description.note,
    }
}
