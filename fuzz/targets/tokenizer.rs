//! Tokenizers of byte pairs.
#![no_main]

use vestore_ingest::synthetic::SyntheticFamily;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::describe(SyntheticFamily::Dnabert2, "tokenizer.json", bytes);
});
