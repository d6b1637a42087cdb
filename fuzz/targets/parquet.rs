//! Imported Parquet files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::take(&vestore_fuzz::file("fuzzed.parquet", &[b"PAR1", bytes].concat()));
});
