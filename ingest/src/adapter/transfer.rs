//! Adapters of regulatory models that are to be trained, as Baskerville's transfer learning places them (Yuan et al.
//! 2025, doi:10.1101/2025.05.26.656171), written as PEFT writes adapters.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::family::TRANSFORMER;
use super::houlsby;
use super::initial::counted_in;
use super::squeeze_excite;
use super::start::{BOTTLENECK_SPREAD, Start, drawn};
use crate::module::{Module, Modules};
use crate::regulatory::{RegulatoryConfig, RegulatoryFamily, final_names, stage_names};
use crate::tensor_file::{NamedWeight, write_safetensors};

/// Convolutions that an adapter changes, counted from the heads: the last ones of the tower, and the one before the heads.
const CONVOLUTIONS: usize = 4;

/// Where IA3 scales a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ia3Layers {
    /// What its second matrix takes, as the paper of IA3 says.
    Paper,
    /// What its first matrix takes, as Baskerville's code chooses layers in a trunk of published width. The convolutions
    /// of width 1 that the code scales beside are left out: PEFT has no form for them.
    Code,
}

impl Ia3Layers {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Paper, Self::Code];

    /// `paper` or `code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Code => "code",
        }
    }

    fn module(self) -> &'static str {
        match self {
            Self::Paper => "4",
            Self::Code => "1",
        }
    }
}

/// An adapter of a regulatory model that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TransferAdapter {
    /// `LoRA` on queries and values (arXiv 2106.09685).
    Lora {
        /// Inner width of each change.
        rank: u32,
        /// The change is scaled by alpha / rank.
        alpha: f64,
    },
    /// `LoRA` on queries and values, and on the last four convolutions.
    Locon {
        /// Inner width of the changes of queries and values.
        rank: u32,
        /// They are scaled by alpha / rank.
        alpha: f64,
        /// Inner width of the changes of convolutions.
        convolution_rank: u32,
        /// They are scaled by alpha / rank.
        convolution_alpha: f64,
    },
    /// IA3 on keys, values and the feed-forward network (arXiv 2205.05638).
    Ia3 {
        /// Where in the feed-forward network.
        layers: Ia3Layers,
    },
    /// Bottlenecks after attention and feed-forward network; layer norms are trained, too (arXiv 1902.00751).
    Houlsby {
        /// Inner width of each bottleneck.
        bottleneck: u32,
    },
    /// The same, with squeeze-and-excite after the last four convolutions (arXiv 1709.01507).
    HoulsbySe {
        /// Inner width of each bottleneck.
        bottleneck: u32,
        /// Inner width of squeeze-and-excite.
        squeeze: u32,
    },
}

/// A tensor's name and shape, and what it begins as.
type Beginning = (String, Vec<usize>, Start);

/// What such an adapter is trained on.
pub(crate) struct TransferBase<'a> {
    pub(crate) config: &'a RegulatoryConfig,
    pub(crate) modules: &'a Modules,
    /// Original numbers of the blocks that are run; the adapter counts them from 0.
    pub(crate) kept: &'a [u32],
    /// What the configuration calls the checkpoint.
    pub(crate) name: &'a str,
    /// The module of the head that is trained.
    pub(crate) head: &'a str,
}

/// The name of a weight where the blocks `kept` are counted from 0.
pub(crate) fn counted_block(name: &str, kept: &[u32]) -> String {
    counted_in(TRANSFORMER, name, kept)
}

/// The layer norms of a block, which bottlenecks are trained with.
pub(crate) fn norm_modules(block: u32) -> [String; 2] {
    ["0.fn.0", "1.fn.0"].map(|norm| format!("transformer.{block}.{norm}"))
}

impl TransferBase<'_> {
    /// Names within a block of what is read as queries and values, or as keys and values: where all are one matrix, that
    /// one.
    fn projections(&self, first: &'static str) -> Vec<String> {
        if self.config.family() == RegulatoryFamily::Flashzoi {
            return vec!["0.fn.1.mha.Wqkv".to_owned()];
        }
        [first, "to_v"].map(|part| format!("0.fn.1.{part}")).to_vec()
    }

    /// The last convolutions before the heads, in order.
    fn convolutions(&self) -> Vec<String> {
        let mut names: Vec<String> =
            stage_names(self.config).into_iter().map(|stage| stage.first.convolution).collect();
        names.push(final_names(self.config).convolution);
        names.split_off(names.len().saturating_sub(CONVOLUTIONS))
    }

    fn module(&self, name: &str) -> Module {
        let Some(module) = self.modules.get(name) else {
            panic!("`{name}` is a module of every model of the family; this is a bug")
        };
        *module
    }

    /// The modules that a kind of adapter changes: names within a block, and names of convolutions.
    fn targets(&self, adapter: &TransferAdapter) -> [Vec<String>; 2] {
        match adapter {
            TransferAdapter::Lora { .. } => [self.projections("to_q"), Vec::new()],
            TransferAdapter::Locon { .. } => [self.projections("to_q"), self.convolutions()],
            TransferAdapter::Ia3 { layers } => {
                let mut names = self.projections("to_k");
                names.push(format!("1.fn.{}", layers.module()));
                [names, Vec::new()]
            }
            TransferAdapter::Houlsby { .. } => [Vec::new(), Vec::new()],
            TransferAdapter::HoulsbySe { .. } => [Vec::new(), self.convolutions()],
        }
    }

    fn configuration(&self, adapter: &TransferAdapter) -> Value {
        let [in_block, convolutions] = self.targets(adapter);
        let mut saved = vec![self.head.to_owned()];
        let norms = self.kept.iter().flat_map(|block| norm_modules(*block));
        let norms = norms.map(|module| counted_block(&module, self.kept));
        let matrices = |names: &[String]| format!(r"transformer\.\d+\.({})", alternatives(names));
        let fields = match adapter {
            TransferAdapter::Lora { rank, alpha } => lora(*rank, *alpha, &matrices(&in_block)),
            TransferAdapter::Locon { rank, alpha, convolution_rank, convolution_alpha } => {
                let pattern = alternatives(&convolutions);
                let mut fields = lora(*rank, *alpha, &format!("{}|{pattern}", matrices(&in_block)));
                fields.insert("rank_pattern".to_owned(), json!({ &*pattern: convolution_rank }));
                fields.insert("alpha_pattern".to_owned(), json!({ &*pattern: convolution_alpha }));
                fields
            }
            TransferAdapter::Ia3 { .. } => object(json!({
                "peft_type": "IA3", "fan_in_fan_out": false, "init_ia3_weights": true,
                "target_modules": matrices(&in_block),
                "feedforward_modules": matrices(&in_block[in_block.len() - 1..]),
            })),
            TransferAdapter::Houlsby { bottleneck } => {
                saved.extend(norms);
                object(json!({ "peft_type": "HOULSBY", "latent": bottleneck }))
            }
            TransferAdapter::HoulsbySe { bottleneck, squeeze } => {
                saved.extend(norms);
                let mut fields = object(json!({ "peft_type": "HOULSBY", "latent": bottleneck }));
                fields.insert(squeeze_excite::RANK.to_owned(), json!(squeeze));
                fields.insert("target_modules".to_owned(), json!(convolutions));
                fields
            }
        };
        let mut config = object(json!({
            "base_model_name_or_path": self.name, "inference_mode": true, "modules_to_save": saved,
            "task_type": null,
        }));
        config.extend(fields);
        Value::Object(config)
    }

    /// The tensors of an adapter with what they begin as: PEFT's beginnings for `LoRA` (A as a linear layer of torch
    /// begins, B 0) and IA3 (1), Baskerville's for bottlenecks and squeeze-and-excite.
    fn starts(&self, adapter: &TransferAdapter) -> Vec<(u64, Vec<Beginning>)> {
        let [in_block, convolutions] = self.targets(adapter);
        let mut groups = Vec::new();
        for block in self.kept {
            let mut found = Vec::new();
            for part in &in_block {
                let module = format!("transformer.{block}.{part}");
                let inner = *part == *in_block.last().unwrap_or(part);
                match adapter {
                    TransferAdapter::Lora { rank, .. } | TransferAdapter::Locon { rank, .. } => {
                        found.extend(factors(&module, self.module(&module), *rank));
                    }
                    TransferAdapter::Ia3 { .. } => {
                        let Module::Linear { outputs, inputs, .. } = self.module(&module) else { continue };
                        let shape = if inner { vec![1, inputs] } else { vec![outputs, 1] };
                        found.push((format!("{module}.ia3_l"), shape, Start::Constant(1.0)));
                    }
                    TransferAdapter::Houlsby { .. } | TransferAdapter::HoulsbySe { .. } => {}
                }
            }
            if let TransferAdapter::Houlsby { bottleneck } | TransferAdapter::HoulsbySe { bottleneck, .. } =
                adapter
            {
                let [latent, hidden] = [*bottleneck, self.config.hidden].map(|size| size as usize);
                for part in ["attention", "mlp"] {
                    let keys = houlsby::keys(&format!("transformer.{block}.{part}_adapter"));
                    let shapes = [vec![latent, hidden], vec![latent], vec![hidden, latent], vec![hidden]];
                    for (key, shape) in keys.into_iter().zip(shapes) {
                        let matrix = shape.len() == 2;
                        let start =
                            if matrix { Start::Normal(BOTTLENECK_SPREAD) } else { Start::Constant(0.0) };
                        found.push((key, shape, start));
                    }
                }
            }
            groups.push((u64::from(*block), found));
        }
        for (number, module) in (0..).zip(&convolutions) {
            let found = match adapter {
                TransferAdapter::Locon { convolution_rank, .. } => {
                    factors(module, self.module(module), *convolution_rank)
                }
                TransferAdapter::HoulsbySe { squeeze, .. } => {
                    let Module::Convolution { outputs, .. } = self.module(module) else { continue };
                    let squeeze = *squeeze as usize;
                    let shapes = [vec![squeeze, outputs], vec![outputs, squeeze]];
                    let keys = squeeze_excite::keys(module).into_iter().zip(shapes);
                    keys.map(|(key, shape)| (key, shape, Start::Normal(BOTTLENECK_SPREAD))).collect()
                }
                _ => Vec::new(),
            };
            groups.push((CONVOLUTION_STREAM + number, found));
        }
        groups
    }
}

/// Numbers of blocks end below this number of a random stream.
const CONVOLUTION_STREAM: u64 = 1 << 32;

/// The factors of one change by `LoRA`.
fn factors(module: &str, shape: Module, rank: u32) -> Vec<Beginning> {
    let rank = rank as usize;
    let (down, up, inputs) = match shape {
        Module::Convolution { outputs, inputs, kernel, .. } => {
            (vec![rank, inputs, kernel], vec![outputs, rank, 1], inputs * kernel)
        }
        Module::Linear { outputs, inputs, .. } => (vec![rank, inputs], vec![outputs, rank], inputs),
        Module::Embedding { .. } | Module::Norm { .. } => return Vec::new(),
    };
    let bound = 1.0 / (inputs as f64).sqrt();
    vec![
        (format!("{module}.lora_A.weight"), down, Start::Uniform(bound)),
        (format!("{module}.lora_B.weight"), up, Start::Constant(0.0)),
    ]
}

/// Names as a regular expression.
fn alternatives(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| name.replace('.', r"\.")).collect();
    names.join("|")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("a configuration is an object; this is a bug"),
    }
}

fn lora(rank: u32, alpha: f64, targets: &str) -> Map<String, Value> {
    object(json!({
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none",
        "fan_in_fan_out": false, "use_rslora": false, "use_dora": false, "init_lora_weights": true,
        "target_modules": targets,
    }))
}

/// Writes `adapter_config.json` and `adapter_model.safetensors` into `directory`: an adapter that changes nothing yet but
/// for the spread of its bottlenecks, and `saved`, whole weights that are trained beside it.
pub(crate) fn write_transfer_adapter(
    directory: &Path,
    base: &TransferBase<'_>,
    adapter: &TransferAdapter,
    saved: Vec<NamedWeight>,
    seed: u64,
) -> io::Result<()> {
    let config = base.configuration(adapter);
    std::fs::write(directory.join("adapter_config.json"), format!("{config:#}\n"))?;
    let mut tensors = saved;
    for (stream, starts) in base.starts(adapter) {
        for (number, (name, shape, start)) in (0..).zip(starts) {
            tensors.push(drawn(name, shape, start, &[seed, stream, number]));
        }
    }
    for (name, ..) in &mut tensors {
        *name = published(name, base.kept);
    }
    tensors.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    write_safetensors(&directory.join("adapter_model.safetensors"), &tensors)
}

/// The name of an adapter's tensor in its file.
pub(crate) fn published(name: &str, kept: &[u32]) -> String {
    format!("base_model.model.{}", counted_block(name, kept))
}
