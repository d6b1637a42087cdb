//! Adapters that are to be trained: their first tensors, written as PEFT writes adapters, so that what is trained
//! is read by the code that reads published ones.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::family::{ENCODER, Stack};
use super::start::{BOTTLENECK_SPREAD, Start, drawn};
use crate::convert::narrow;
use crate::encoder::model::blueprint::encoder_modules;
use crate::encoder::model::config::EncoderConfig;
use crate::encoder::model::dialect::{Dialect, LayerPart, Part};
use crate::module::Module;
use crate::tensor_file::{NamedWeight, write_safetensors};

/// A kind of adapter that can be trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum AdapterKind {
    /// `LoRA` (arXiv 2106.09685).
    Lora {
        /// Inner width of each change.
        rank: u32,
        /// The change is scaled by alpha / rank.
        alpha: f64,
    },
    /// IA3 (arXiv 2205.05638).
    Ia3,
    /// Bottlenecks with a residual (Houlsby et al., arXiv 1902.00751); layer norms are trained, too.
    Houlsby {
        /// Inner width of each bottleneck.
        latent: u32,
    },
}

/// What an adapter is trained on.
pub(crate) struct Trunk<'a> {
    pub(crate) dialect: &'static Dialect,
    pub(crate) config: &'a EncoderConfig,
    /// Original numbers of the layers that are run; the adapter counts them from 0.
    pub(crate) kept: &'a [u32],
    /// What the configuration calls the checkpoint.
    pub(crate) name: &'a str,
}

impl Trunk<'_> {
    /// Names within a layer of the modules that a kind of adapter changes unless told otherwise: query and value
    /// for `LoRA`, as its paper does; key, value and what the second feed-forward matrix takes for IA3, as its
    /// paper does. Where query, key and value are one matrix, that one.
    pub(crate) fn default_targets(&self, kind: &AdapterKind) -> Vec<String> {
        let fused = self.config.fused_attention;
        let parts: &[LayerPart] = match kind {
            AdapterKind::Lora { .. } if fused => &[LayerPart::Fused],
            AdapterKind::Lora { .. } => &[LayerPart::Query, LayerPart::Value],
            AdapterKind::Ia3 if fused => &[LayerPart::Fused, LayerPart::FeedForwardOutput],
            AdapterKind::Ia3 => &[LayerPart::Key, LayerPart::Value, LayerPart::FeedForwardOutput],
            AdapterKind::Houlsby { .. } => &[],
        };
        parts.iter().map(|part| self.in_layer(*part)).collect()
    }

    /// Names within a layer of the modules that can be targeted.
    pub(crate) fn modules(&self) -> Vec<String> {
        let prefix = "encoder.layer.0.";
        let modules = encoder_modules(self.dialect, self.config).into_iter();
        let linear = modules.filter(|(_, module)| matches!(module, Module::Linear { .. }));
        linear.filter_map(|(name, _)| name.strip_prefix(prefix).map(str::to_owned)).collect()
    }

    /// The name of an adapter's tensor in its file, from the model's own name for it.
    pub(crate) fn published(&self, name: &str) -> String {
        format!("base_model.model.{}", self.dialect.published(&counted(name, self.kept)))
    }

    fn in_layer(&self, part: LayerPart) -> String {
        let name = self.dialect.name_of(Part::Layer(part), 0);
        name.strip_prefix("encoder.layer.0.").unwrap_or(&name).to_owned()
    }
}

/// The name of an encoder's weight where the layers `kept` are counted from 0.
pub(crate) fn counted(name: &str, kept: &[u32]) -> String {
    counted_in(ENCODER, name, kept)
}

/// The name of a weight where the layers `kept` of a stack are counted from 0.
pub(super) fn counted_in(stack: Stack, name: &str, kept: &[u32]) -> String {
    let place = |layer| kept.iter().position(|kept| *kept == layer);
    match stack.layer_of(name).and_then(place) {
        Some(place) => stack.with_layer(name, narrow(place)),
        None => name.to_owned(),
    }
}

/// Writes `adapter_config.json` and `adapter_model.safetensors` into `directory`: an adapter that changes the
/// modules `targets` (names within a layer) of every kept layer, and changes no number yet; with `head`, the
/// weights of the classification head.
pub(crate) fn write_initial(
    directory: &Path,
    trunk: &Trunk<'_>,
    kind: &AdapterKind,
    targets: &[String],
    head: Vec<NamedWeight>,
    norms: Vec<NamedWeight>,
    seed: u64,
) -> io::Result<()> {
    let mut saved: Vec<String> = head.iter().map(|(name, ..)| holder(name)).collect();
    saved.extend(norms.iter().filter_map(|(name, ..)| name.rsplit('.').nth(1).map(str::to_owned)));
    saved.sort_unstable();
    saved.dedup();
    let config = configuration(trunk, kind, targets, &saved);
    std::fs::write(directory.join("adapter_config.json"), format!("{config:#}\n"))?;
    let mut tensors: Vec<NamedWeight> = Vec::new();
    for layer in trunk.kept {
        for (number, (name, shape, start)) in (0..).zip(starts(trunk, kind, targets, *layer)) {
            tensors.push(drawn(name, shape, start, &[seed, u64::from(*layer), number]));
        }
    }
    tensors.extend(head.into_iter().chain(norms));
    for (name, ..) in &mut tensors {
        *name = trunk.published(name);
    }
    tensors.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    write_safetensors(&directory.join("adapter_model.safetensors"), &tensors)
}

/// The module of the head that a weight belongs to, as PEFT lists it: the outermost.
fn holder(name: &str) -> String {
    name.split('.').next().unwrap_or(name).to_owned()
}

fn configuration(trunk: &Trunk<'_>, kind: &AdapterKind, targets: &[String], saved: &[String]) -> Value {
    let mut config = json!({
        "task_type": "SEQ_CLS",
        "base_model_name_or_path": trunk.name,
        "modules_to_save": saved,
        "inference_mode": true,
    });
    let fields = match kind {
        AdapterKind::Lora { rank, alpha } => json!({
            "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none",
            "fan_in_fan_out": false, "use_rslora": false, "use_dora": false, "init_lora_weights": true,
            "target_modules": pattern(targets),
        }),
        AdapterKind::Ia3 => {
            let inner = trunk.in_layer(LayerPart::FeedForwardOutput);
            let feed_forward: Vec<String> =
                targets.iter().filter(|target| **target == inner).cloned().collect();
            json!({
                "peft_type": "IA3", "fan_in_fan_out": false, "init_ia3_weights": true,
                "target_modules": pattern(targets),
                "feedforward_modules": if feed_forward.is_empty() { json!([]) } else { json!(pattern(&feed_forward)) },
            })
        }
        AdapterKind::Houlsby { latent } => json!({ "peft_type": "HOULSBY", "latent": latent }),
    };
    if let (Some(config), Value::Object(fields)) = (config.as_object_mut(), fields) {
        config.extend(fields);
    }
    config
}

/// A regular expression over whole names for modules of every layer. A list of ends would not do: `output.dense`
/// is the end of `attention.output.dense` as well.
fn pattern(targets: &[String]) -> String {
    let ends: Vec<String> = targets.iter().map(|target| target.replace('.', r"\.")).collect();
    format!(r"(.*\.)?encoder\.layer\.\d+\.({})", ends.join("|"))
}

/// The tensors of one layer with what they begin as: PEFT's beginnings for `LoRA`
/// (A as a linear layer of torch begins, B 0) and IA3 (1), Baskerville's for bottlenecks.
fn starts(
    trunk: &Trunk<'_>,
    kind: &AdapterKind,
    targets: &[String],
    layer: u32,
) -> Vec<(String, Vec<usize>, Start)> {
    let modules = encoder_modules(trunk.dialect, trunk.config);
    let mut found = Vec::new();
    if let AdapterKind::Houlsby { latent } = kind {
        let (latent, hidden) = (*latent as usize, trunk.config.hidden as usize);
        for part in ["attention", "mlp"] {
            let name = |end: &str| format!("encoder.layer.{layer}.{part}_adapter.{end}");
            let normal = Start::Normal(BOTTLENECK_SPREAD);
            found.push((name("down.weight"), vec![latent, hidden], normal));
            found.push((name("down.bias"), vec![latent], Start::Constant(0.0)));
            found.push((name("up.weight"), vec![hidden, latent], normal));
            found.push((name("up.bias"), vec![hidden], Start::Constant(0.0)));
        }
        return found;
    }
    for target in targets {
        let module = format!("encoder.layer.{layer}.{target}");
        let Some(Module::Linear { outputs, inputs, .. }) = modules.get(&module).copied() else {
            panic!("`{module}` was chosen from the model's modules; this is a bug")
        };
        match kind {
            AdapterKind::Lora { rank, .. } => {
                let rank = *rank as usize;
                let bound = 1.0 / (inputs as f64).sqrt();
                found.push((format!("{module}.lora_A.weight"), vec![rank, inputs], Start::Uniform(bound)));
                found.push((format!("{module}.lora_B.weight"), vec![outputs, rank], Start::Constant(0.0)));
            }
            AdapterKind::Ia3 => {
                let inner = *target == trunk.in_layer(LayerPart::FeedForwardOutput);
                let shape = if inner { vec![1, inputs] } else { vec![outputs, 1] };
                found.push((format!("{module}.ia3_l"), shape, Start::Constant(1.0)));
            }
            AdapterKind::Houlsby { .. } => {}
        }
    }
    found
}
