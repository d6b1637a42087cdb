//! Imported text: tables and VCF.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestore_fuzz::take(&vestore_fuzz::file("fuzzed.tsv", bytes)));
