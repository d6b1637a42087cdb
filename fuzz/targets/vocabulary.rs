//! Lists of k-mers.
#![no_main]

use vestore_ingest::synthetic::SyntheticFamily;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::describe(SyntheticFamily::NucleotideTransformerV1, "vocab.txt", bytes);
});
