//! Squeeze-and-excite over convolutions (Hu et al., arXiv 1709.01507; in Baskerville's transfer learning): a
//! convolution's result x becomes x + x·tanh(W↑·relu(W↓·mean(x))), the mean taken along the window, before its pool.
//!
//! PEFT has no such kind, so the files are of our own layout: `adapter_config.json` with `"peft_type":
//! "SQUEEZE_EXCITE"`, or with `"HOULSBY"` for both, `se_rank` (the inner width) and `target_modules`, which names
//! convolutions before a pool or the last one. The weights in `adapter_model.safetensors` are named
//! `<module>.squeeze_excite.<down|up>.weight`: `down` [rank, channels], `up` [channels, rank], no biases.

use std::collections::BTreeSet;

use super::{Family, Tensors, target::Target};
use crate::checkpoint::ConfigFile;
use crate::error::ModelError;
use crate::module::Module;
use crate::regulatory::takes_gate;

/// The key of the inner width.
pub(super) const RANK: &str = "se_rank";

/// The convolutions that the configuration asks for, by name.
pub(super) fn plan(
    config: &ConfigFile,
    tensors: &Tensors,
    family: &Family<'_>,
    targets: &[Target],
) -> Result<BTreeSet<String>, ModelError> {
    let rank = config.count(RANK, 1 << 16)? as usize;
    let mut planned = BTreeSet::new();
    for target in targets {
        let takes = matches!(family, Family::Regulatory(config) if takes_gate(config, &target.module));
        let Module::Convolution { outputs, .. } = target.shape else {
            return Err(config.unsupported("target_modules", "names of convolutions").into());
        };
        if !takes {
            let expected = "convolutions before a pool, or the last one, of Borzoi or Flashzoi";
            return Err(config.unsupported("target_modules", expected).into());
        }
        let [down, up] = keys(&target.module);
        tensors.check(&down, &[rank, outputs])?;
        tensors.check(&up, &[outputs, rank])?;
        planned.insert(target.module.clone());
    }
    Ok(planned)
}

/// The tensors of one convolution: matrices down and up.
pub(super) fn keys(module: &str) -> [String; 2] {
    ["down", "up"].map(|part| format!("{module}.squeeze_excite.{part}.weight"))
}
