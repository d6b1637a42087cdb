//! Reference genomes without an index.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = vestore_fuzz::file("fuzzed.fa", bytes);
    drop(std::fs::remove_file(path.with_extension("fa.fai")));
    vestore_fuzz::read_reference(&path);
});
