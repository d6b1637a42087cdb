//! Variant files of any kind, plain or compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestore_fuzz::read_variants(&vestore_fuzz::file(
    "fuzzed.vcf",
    bytes
)));
