//! `LoRA` (arXiv 2106.09685): W + s·B·A with s = alpha / rank, or alpha / √rank for rank-stabilized
//! `LoRA` (arXiv 2312.03732). `DoRA` builds on it.

use serde_json::Value;
use tch::{TchError, Tensor};

use super::target::Target;
use super::{AdapterError, Current, Tensors, dora};
use crate::checkpoint::{CheckpointError, ConfigFile};
use crate::convert::{as_index, whole};
use crate::error::ModelError;
use crate::module::Module;

/// The change of one module.
pub(super) struct Lora {
    pub(super) module: String,
    pub(super) scaling: f64,
    embedding: bool,
    bias: bool,
    magnitude: bool,
}

/// Options that change what is computed and that no published encoder needs.
const REFUSED: [&str; 13] = [
    "fan_in_fan_out",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
    "use_qalora",
    "use_bdlora",
    "megatron_config",
    "ensure_weight_tying",
];

/// The changes that the configuration asks for, with the tensors that each takes.
pub(super) fn plan(
    config: &ConfigFile,
    tensors: &Tensors,
    targets: &[Target],
) -> Result<Vec<(Lora, Vec<String>)>, ModelError> {
    for key in REFUSED {
        let off = |value: &Value| value == &Value::Bool(false) || value.as_array().is_some_and(Vec::is_empty);
        if config.get(key).is_some_and(|value| !off(value)) {
            return Err(config
                .unsupported(key, "off; merge the adapter with the program that made it")
                .into());
        }
    }
    // These begin by changing the base weights, which then are not the checkpoint's.
    if let Some(start) = config.text("init_lora_weights")
        && !["gaussian", "eva", "orthogonal"].contains(&start)
    {
        return Err(config
            .unsupported(
                "init_lora_weights",
                "a start that leaves the base weights as they are; convert the adapter with PEFT",
            )
            .into());
    }
    let (rank, alpha) = (number(config, "r", 8.0)?, number(config, "lora_alpha", 8.0)?);
    let stabilized = config.flag("use_rslora", false)?;
    let magnitude = config.flag("use_dora", false)?;
    let bias = config.flag("lora_bias", false)?;
    let mut planned = Vec::new();
    for target in targets {
        let rank = pattern(config, "rank_pattern", &target.seen)?.unwrap_or(rank);
        let alpha = pattern(config, "alpha_pattern", &target.seen)?.unwrap_or(alpha);
        let embedding = matches!(target.shape, Module::Embedding { .. });
        let scaling = alpha / if stabilized { rank.sqrt() } else { rank };
        let lora = Lora { module: target.module.clone(), scaling, embedding, bias, magnitude };
        if target.optional && lora.keys().all(|key| !tensors.has(&key)) {
            continue;
        }
        lora.check(tensors, target.shape, whole_rank(config, rank)?)?;
        let keys = lora.keys().collect();
        planned.push((lora, keys));
    }
    Ok(planned)
}

/// A positive number.
fn number(config: &ConfigFile, key: &'static str, default: f64) -> Result<f64, CheckpointError> {
    match config.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_f64()
            .filter(|number| *number > 0.0)
            .ok_or_else(|| config.unsupported(key, "a positive number")),
    }
}

/// A rank, which counts rows and columns.
fn whole_rank(config: &ConfigFile, rank: f64) -> Result<usize, CheckpointError> {
    if rank.fract() == 0.0 && rank <= f64::from(u32::MAX) {
        return Ok(as_index(whole(rank)));
    }
    Err(config.unsupported("r", "a whole number, also in `rank_pattern`"))
}

/// The value that a pattern table gives a module: its keys are ends of names, as regular expressions.
fn pattern(config: &ConfigFile, key: &'static str, name: &str) -> Result<Option<f64>, CheckpointError> {
    let Some(table) = config.get(key) else { return Ok(None) };
    let Some(table) = table.as_object() else { return Err(config.unsupported(key, "a table")) };
    let mut found = None;
    for (pattern, value) in table {
        let matcher = regex::Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(|_| {
            config.unsupported(key, "keys that are names or regular expressions without look-around")
        })?;
        let value = value.as_f64().filter(|number| *number > 0.0);
        let value = value.ok_or_else(|| config.unsupported(key, "positive numbers"))?;
        if matcher.is_match(name) && found.replace(value).is_some_and(|other| other != value) {
            // PEFT takes the first in the file's order, which JSON does not promise.
            return Err(config.unsupported(key, format!("only one value for `{name}`")));
        }
    }
    Ok(found)
}

impl Lora {
    fn factors(&self) -> [String; 2] {
        let parts = if self.embedding {
            ["lora_embedding_A", "lora_embedding_B"]
        } else {
            ["lora_A.weight", "lora_B.weight"]
        };
        parts.map(|part| format!("{}.{part}", self.module))
    }

    fn bias_key(&self) -> String {
        format!("{}.lora_B.bias", self.module)
    }

    fn magnitude_key(&self) -> String {
        format!("{}.lora_magnitude_vector", self.module)
    }

    /// The tensors that it takes.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let bias = self.bias.then(|| self.bias_key());
        let magnitude = self.magnitude.then(|| self.magnitude_key());
        self.factors().into_iter().chain(bias).chain(magnitude)
    }

    fn check(&self, tensors: &Tensors, shape: Module, rank: usize) -> Result<(), AdapterError> {
        let [down, up] = self.factors();
        let (outputs, inputs) = match shape {
            Module::Linear { outputs, inputs, .. } | Module::Convolution { outputs, inputs, .. } => {
                (outputs, inputs)
            }
            Module::Embedding { rows, length } => (length, rows),
            Module::Norm { length } => (length, 0),
        };
        if let Module::Convolution { kernel, .. } = shape {
            // Down with the kernel of the base, up with one of width 1.
            tensors.check(&down, &[rank, inputs, kernel])?;
            tensors.check(&up, &[outputs, rank, 1])?;
        } else {
            tensors.check(&down, &[rank, inputs])?;
            tensors.check(&up, &[outputs, rank])?;
        }
        if self.bias {
            tensors.check(&self.bias_key(), &[outputs])?;
            if !matches!(shape, Module::Linear { bias: true, .. } | Module::Convolution { bias: true, .. }) {
                let reason = "adds a bias to a module that has none; train with lora_bias=False";
                return Err(AdapterError::UnexpectedTensor {
                    file: tensors.file.clone(),
                    key: self.bias_key(),
                    reason,
                });
            }
        }
        if self.magnitude {
            if !matches!(shape, Module::Linear { .. }) {
                let reason = "is DoRA over embeddings or convolutions, which is not supported; \
                              train it on linear modules";
                return Err(AdapterError::UnexpectedTensor { file: tensors.file.clone(), key: up, reason });
            }
            tensors.check(&self.magnitude_key(), &[outputs])?;
        }
        Ok(())
    }

    pub(super) fn merge(
        &self,
        tensors: &Current<'_>,
        weight: &Tensor,
        bias: Option<Tensor>,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let [down, up] = self.factors();
        let [down, up] =
            [down, up].map(|key| tensors.load(&key)?.f_flatten(1, -1)?.f_to_kind(weight.f_kind()?));
        let change = up?.f_matmul(&down?)?.f_mul_scalar(self.scaling)?;
        let change = if self.embedding { change.f_transpose(0, 1)? } else { change.f_view_as(weight)? };
        let mut weight = weight.f_add(&change)?;
        if self.magnitude {
            weight = dora::rescale(&weight, &tensors.load(&self.magnitude_key())?)?;
        }
        let bias = match bias {
            Some(bias) if self.bias => {
                Some(bias.f_add(&tensors.load(&self.bias_key())?.f_mul_scalar(self.scaling)?)?)
            }
            bias => bias,
        };
        Ok((weight, bias))
    }
}
