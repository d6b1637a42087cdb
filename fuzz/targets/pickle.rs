//! Weights as torch writes them.
#![no_main]

use vestore_ingest::synthetic::SyntheticFamily;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::describe(SyntheticFamily::NucleotideTransformerV2, "pytorch_model.bin", bytes);
});
