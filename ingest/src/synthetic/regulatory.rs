//! Regulatory models with random weights, of any widths; written one tensor at a time, since the published ones have up
//! to 251 million numbers.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde_json::{Map, Value, json};
use vestore_schema::Head;

use super::{UNTRAINED, bell};
use crate::checkpoint::ConfigFile;
use crate::random::Random;
use crate::regulatory::{Blueprint, RegulatoryConfig, RegulatoryFamily, final_names, head_name, stage_names};

/// Sizes of a regulatory checkpoint to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegulatoryShape {
    /// Whose layout.
    pub family: RegulatoryFamily,
    /// Transformer blocks.
    pub layers: u32,
    /// Width of a token.
    pub hidden: u32,
    /// Attention heads.
    pub heads: u32,
    /// Numbers of a key, by head; not in Flashzoi.
    pub key: u32,
    /// Inner width of the feed-forward network.
    pub ffn: u32,
    /// Channels of the stem and of the tower but its last stage, which is as wide as a token.
    pub widths: Vec<u32>,
    /// Channels that the heads read.
    pub last: u32,
    /// Targets of the human and of the mouse head.
    pub targets: [u32; 2],
    /// Bins that are predicted by default.
    pub bins: u32,
}

impl RegulatoryShape {
    /// The published sizes.
    #[must_use]
    pub fn published(family: RegulatoryFamily) -> Self {
        let enformer = family == RegulatoryFamily::Enformer;
        Self {
            family,
            layers: if enformer { 11 } else { 8 },
            hidden: 1536,
            heads: 8,
            key: 64,
            ffn: 3072,
            widths: if enformer {
                vec![768, 768, 896, 1024, 1152, 1280]
            } else {
                vec![512, 608, 736, 896, 1056, 1280]
            },
            last: if enformer { 3072 } else { 1920 },
            targets: if enformer { [5313, 1643] } else { [7611, 2608] },
            bins: if enformer { 896 } else { 6144 },
        }
    }

    /// Sizes that run in milliseconds.
    #[must_use]
    pub fn tiny(family: RegulatoryFamily) -> Self {
        Self {
            layers: 3,
            hidden: 24,
            heads: 2,
            key: 5,
            ffn: 40,
            widths: vec![7, 8, 9, 10, 11, 12],
            last: 20,
            targets: [5, 3],
            bins: 16,
            ..Self::published(family)
        }
    }

    fn config(&self) -> Value {
        let mut config = json!({
            "dim": self.hidden, "depth": self.layers, "heads": self.heads, "attn_dim_key": self.key,
        });
        let own = match self.family {
            RegulatoryFamily::Enformer => json!({
                "model_type": "enformer", "architectures": ["Enformer"], "target_length": self.bins,
                "num_downsamples": self.widths.len() + 1,
                "output_heads": { "human": self.targets[0], "mouse": self.targets[1] },
            }),
            RegulatoryFamily::Borzoi | RegulatoryFamily::Flashzoi => json!({
                "model_type": "borzoi", "architectures": ["Borzoi"], "bins_to_return": self.bins,
                "attn_dim_value": self.hidden / self.heads, "enable_mouse_head": true,
            }),
        };
        if let (Some(fields), Value::Object(own)) = (config.as_object_mut(), own) {
            fields.extend(own);
        }
        if self.family == RegulatoryFamily::Flashzoi {
            config["flashed"] = json!(true);
            let head = self.hidden / self.heads;
            if head < 128 {
                config["rotary_emb_dim"] = json!(head / 4 * 2);
            }
        }
        config
    }

    /// The sizes of a weight that configurations do not say.
    fn shape_of(&self, config: &RegulatoryConfig, name: &str) -> Option<Vec<usize>> {
        let module = name.strip_suffix(".weight")?;
        let size = |size: u32| size as usize;
        for (number, stage) in stage_names(config).into_iter().enumerate() {
            if stage.first.convolution == module {
                let width = self.widths.get(number).copied().unwrap_or(self.hidden);
                return Some(vec![size(width), 0, if number == 0 { 15 } else { 5 }]);
            }
        }
        if final_names(config).convolution == module {
            return Some(vec![size(self.last), 0, 1]);
        }
        for (head, targets) in Head::ALL.into_iter().zip(self.targets) {
            if head_name(config, head) == module {
                return Some(vec![size(targets)]);
            }
        }
        if module.ends_with(".1.fn.1") {
            return Some(vec![size(self.ffn)]);
        }
        module.ends_with(".to_rel_k").then(|| vec![0, 32])
    }
}

/// Writes config.json, a card and model.safetensors (float32) into `directory`, which is made. The same shape and seed
/// give the same bytes.
///
/// # Errors
/// When a file cannot be written, or the sizes do not fit each other.
pub fn write_regulatory_checkpoint(directory: &Path, shape: &RegulatoryShape, seed: u64) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let file = directory.join("config.json");
    fs::write(&file, shape.config().to_string())?;
    fs::write(directory.join("README.md"), format!("---\nnote: {UNTRAINED}\n---\n"))?;
    let file = ConfigFile::read(&file).map_err(io::Error::other)?;
    let config = RegulatoryConfig::read(&file, shape.family).map_err(io::Error::other)?;
    let shape_of = |name: &str| shape.shape_of(&config, name);
    let blueprint = Blueprint::new(&config, &shape_of);
    let mut header = Map::new();
    let mut offset = 0;
    for (name, sizes) in &blueprint.parameters {
        let end = offset + 4 * sizes.iter().product::<usize>();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": sizes, "data_offsets": [offset, end] }));
        offset = end;
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(directory.join("model.safetensors"))?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for (number, (name, sizes)) in (0..).zip(&blueprint.parameters) {
        let mut random = Random::of(&[seed, number]);
        let (mean, spread) = distribution(name, sizes);
        for _ in 0..sizes.iter().product() {
            out.write_all(&(mean + bell(&mut random, spread)).to_le_bytes())?;
        }
    }
    out.flush()
}

/// Mean and spread of a weight, so that what the layers give stays of order 1.
fn distribution(name: &str, sizes: &[usize]) -> (f32, f64) {
    let end = name.rsplit('.').next().unwrap_or(name);
    match (end, sizes) {
        ("running_var", _) | ("weight", [_]) => (1.0, 0.1),
        ("weight", [_, 4, kernel]) => (0.0, (*kernel as f64).powf(-0.5)),
        ("weight", [_, inner @ ..]) => (0.0, (inner.iter().product::<usize>() as f64).powf(-0.5)),
        _ => (0.0, 0.1),
    }
}
