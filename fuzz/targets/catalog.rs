//! Records of the catalog: the first byte says which, the others are its JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((which, json)) = bytes.split_first() {
        vestore_fuzz::use_record(*which, json);
    }
});
