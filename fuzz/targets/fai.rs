//! Indexes beside a sound reference genome.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path =
        vestore_fuzz::file("indexed.fa", b">chr1 one\nACGTNacgtn\nRYKMAC\n>HLA-A*01:01\nGG\n>chrM\nACGT\n");
    vestore_fuzz::file("indexed.fa.fai", bytes);
    vestore_fuzz::read_reference(&path);
});
