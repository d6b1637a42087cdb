//! Imported text and labels: tables and VCF.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = vestore_fuzz::file("fuzzed.tsv", bytes);
    vestore_fuzz::read_labels(&path);
    vestore_fuzz::take(&path);
});
