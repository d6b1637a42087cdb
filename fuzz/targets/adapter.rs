//! Configurations of adapters, then a zero byte, then their weights.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use vestore_ingest::synthetic::SyntheticFamily;
use vestore_ingest::{ModelSource, describe};

static MODEL: LazyLock<PathBuf> =
    LazyLock::new(|| vestore_fuzz::checkpoint(SyntheticFamily::NucleotideTransformerV2));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let config = vestore_fuzz::file("adapter_config.json", &bytes[..cut]);
    vestore_fuzz::file("adapter_model.safetensors", bytes.get(cut + 1..).unwrap_or_default());
    let adapter = config.parent().map(PathBuf::from);
    drop(describe(&ModelSource { adapter, ..ModelSource::new(&*MODEL) }));
});
