//! Configurations of encoders.
#![no_main]

use vestore_ingest::synthetic::SyntheticFamily;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::describe(SyntheticFamily::Dnabert2, "config.json", bytes);
});
