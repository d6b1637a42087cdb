//! Bottleneck adapters (Houlsby et al., arXiv 1902.00751), which cannot be merged and therefore live in
//! the layers: x + W↑·relu(W↓·x + b↓) + b↑, over what attention or MLP give and before the residual is added.
//!
//! PEFT has no such kind, so the files are of our own layout, beside PEFT's: `adapter_config.json` with
//! `"peft_type": "HOULSBY"`, `latent` (the inner width), optionally `target` (a list of `attention` and
//! `mlp`, both by default) and `modules_to_save`. The weights in `adapter_model.safetensors` are named
//! `encoder.layer.<number>.<attention|mlp>_adapter.<down|up>.<weight|bias>` (`transformer.<number>.…` in regulatory
//! models), with or without PEFT's and the family's prefixes: `down.weight` [latent, hidden], `up.weight` [hidden, latent]. Every layer of the model
//! that was trained has them.

use std::collections::BTreeSet;

use super::{Family, Tensors, target};
use crate::checkpoint::ConfigFile;
use crate::error::ModelError;

/// The bottlenecks that the configuration asks for, by name.
pub(super) fn plan(
    config: &ConfigFile,
    tensors: &Tensors,
    family: &Family<'_>,
    kept: Option<&[u32]>,
) -> Result<BTreeSet<String>, ModelError> {
    let latent = config.count("latent", 1 << 16)? as usize;
    let (layers, hidden) = family.layers();
    let hidden = hidden as usize;
    let mut targets = target::names(config, "target")?;
    if targets.is_empty() {
        targets = vec!["attention".to_owned(), "mlp".to_owned()];
    }
    if targets.iter().any(|target| target != "attention" && target != "mlp") {
        return Err(config.unsupported("target", "a list of `attention` and `mlp`").into());
    }
    let layers = kept.map_or_else(|| (0..layers).collect(), <[u32]>::to_vec);
    let mut planned = BTreeSet::new();
    for layer in layers {
        for target in &targets {
            let module = family.stack().part(layer, &format!("{target}_adapter"));
            let shapes: [&[usize]; 4] = [&[latent, hidden], &[latent], &[hidden, latent], &[hidden]];
            for (key, shape) in keys(&module).iter().zip(shapes) {
                tensors.check(key, shape)?;
            }
            planned.insert(module);
        }
    }
    Ok(planned)
}

/// The tensors of one bottleneck: weight and bias down, weight and bias up.
pub(super) fn keys(module: &str) -> [String; 4] {
    ["down.weight", "down.bias", "up.weight", "up.bias"].map(|part| format!("{module}.{part}"))
}
