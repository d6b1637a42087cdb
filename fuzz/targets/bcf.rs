//! What follows the magic number of a BCF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vestore_fuzz::read_variants(&vestore_fuzz::file("fuzzed.bcf", &[b"BCF\x02\x02", bytes].concat()));
});
