//! Segments that no vestore wrote, under a catalog that agrees with them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((how, rest)) = bytes.split_first() {
        vestore_fuzz::use_segment(*how, rest);
    }
});
