//! Files to annotate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestore_fuzz::annotate(&vestore_fuzz::file(
    "annotated.vcf",
    bytes
)));
